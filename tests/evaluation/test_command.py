"""``toolret eval`` with an LLM: a real server, its recording, and what cannot be."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout

from tests.conftest import ROOT
from tests.words_model import use_words_model
from toolret.cli import main
from toolret.evaluation.runs import Report, evaluate
from toolret.retrieval.retriever import ToolRetriever
from toolret.rows import load_requests
from toolret.stores.folder import FolderStore
from toolret.testing import OpenAIServer, Reply
from toolret.types import Demo

TOOLS: list[dict[str, Any]] = [
    {"id": "cancel", "name": "cancel", "description": "Cancel an order."},
    {"id": "refund", "name": "refund", "description": "Return money that was paid."},
    {"id": "track", "name": "track", "description": "Where a parcel is now."},
]
ROWS: list[dict[str, Any]] = [
    {"id": "q1", "text": "she wants it back", "tools": ["refund"]},
    {
        "id": "q2",
        "messages": [
            {"role": "user", "content": "order 7"},
            {"role": "assistant", "content": "It is placed."},
            {"role": "user", "content": "not any more"},
        ],
        "tools": ["cancel"],
    },
]
REPLIES = (
    Reply('{"queries": ["return money that was paid"]}'),
    Reply('{"queries": ["cancel an order"]}'),
)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    use_words_model(monkeypatch)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for name, rows in (("tools", TOOLS), ("queries", ROWS)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = [str(tmp_path / f"{name}.jsonl") for name in ("tools", "queries")]
    return ["eval", "--tools", files[0], "--queries", files[1], "--keep-all"]


@pytest.fixture
def no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test fail if it gets as far as the index that is to be measured."""
    monkeypatch.setattr(
        "toolret.evaluation.command._index_to_measure", lambda *_: pytest.fail("it ran")
    )


def test_a_run_is_recorded_and_replayed_without_a_server(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording, reports = tmp_path / "replies.jsonl", [tmp_path / "a.json", tmp_path / "b.json"]
    with OpenAIServer(*REPLIES) as server:
        asked = ["--llm", server.base_url, "--model", "small", "--record", str(recording)]
        assert main([*command, *asked, "--json", str(reports[0]), "--require", "R@1=100"]) == 0
        prompts = [request["messages"][0]["content"] for request in server.requests]
        assert [request["model"] for request in server.requests] == ["small", "small"]
    assert '{"role": "user", "text": "order 7"}' in prompts[1]
    assert "queries: rewrite by small: 2 calls, 2 tokens read" in capsys.readouterr().out

    assert main([*command, "--replay", str(recording), "--json", str(reports[1])]) == 0
    first, second = (json.loads(report.read_text()) for report in reports)
    assert second["metrics"] == first["metrics"]
    assert second["llm"] == first["llm"]
    assert first["llm"] == {
        "model": "small",
        "strategy": "rewrite",
        "calls": 2,
        "input_tokens": 2,
        "output_tokens": 2,
        "failed": 0,
        "failures": {},
    }

    # Another strategy asks other questions.
    assert main([*command, "--replay", str(recording), "--strategy", "think"]) == 1
    assert "ask by the strategy that was recorded" in capsys.readouterr().err


def test_a_server_that_is_down_costs_the_queries_and_is_reported(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    asked = ["--llm", "http://127.0.0.1:9/v1", "--model", "m", "--deadline", "1"]
    assert main([*command, *asked, "--json", str(report)]) == 1
    printed = capsys.readouterr()
    assert "an unknown number of tokens read" in printed.out
    assert "2 requests without some or all of them" in printed.out
    assert "the LLM failed, most often: APIConnectionError: Connection error." in printed.out
    assert "the LLM failed for every request" in printed.err
    failures = json.loads(report.read_text())["llm"]["failures"]
    assert failures == {"APIConnectionError: Connection error.": 2}


def test_failures_are_reported_and_asked_again_by_a_second_run(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with OpenAIServer(Reply(status=401), *REPLIES[::-1]) as server:
        asked = ["--llm", server.base_url, "--model", "m", "--record", str(tmp_path / "r.jsonl")]
        assert main([*command, *asked]) == 0
        printed = capsys.readouterr().out
        assert "1 request without some or all of them" in printed
        assert "most often: AuthenticationError: Error code: 401" in printed
        assert main([*command, *asked]) == 0
        assert "0 requests without some or all of them" in capsys.readouterr().out
        assert len(server.requests) == 3
    assert main([*command, "--replay", str(tmp_path / "r.jsonl")]) == 0
    assert "0 requests without some or all of them" in capsys.readouterr().out


def test_an_outage_costs_no_more_requests_than_it_lasts(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [ROWS[0] | {"id": f"q{number}", "text": f"text {number}"} for number in range(9)]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with OpenAIServer(*[Reply(status=401)] * 6, REPLIES[0]) as server:
        assert main([*command, "--llm", server.base_url, "--model", "m"]) == 0
    assert "6 requests without some or all of them" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--strategy", "rewrite"], "the strategy 'rewrite' needs an LLM: name it with --llm"),
        (["--strategy", "guess"], "there is no strategy 'guess'"),
        (["--llm", "http://127.0.0.1:9/v1"], "name one with --model"),
        (["--model", "m"], "name it with --llm BASE_URL"),
        (["--record", "x"], "name it with --llm BASE_URL"),
        (["--replay", "none.jsonl"], "none.jsonl"),
        (["--replay", "none.jsonl", "--model", "m"], "--replay asks no model"),
    ],
)
def test_impossible_options_are_reported_in_one_line(
    command: list[str], options: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *options]) == 1
    printed = capsys.readouterr().err
    assert problem in printed
    assert printed.count("\n") == 1


def test_an_index_is_measured_and_never_changed(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tools, place = command[2], ["--index", str(tmp_path / "index")]
    demos = tmp_path / "demos.jsonl"
    demos.write_text('{"id": "d", "text": "stop my purchase", "tools": ["cancel"]}\n')
    queries = [part for part in command if part not in ("--tools", tools)]
    assert main([*queries, *place]) == 1
    assert "there is no index here" in capsys.readouterr().err
    assert main(queries) == 1
    assert "give --tools, or --index" in capsys.readouterr().err
    assert main([*command, "--demos", str(demos), *place]) == 0  # a new one is made

    whole = [*command, "--demos", str(demos)]
    capsys.readouterr()
    for options, counts in (
        (queries, "3 tools, 1 demonstration"),
        (whole, "3 tools, 1 demonstration"),
        (command, "3 tools, 0 demonstrations"),
    ):
        assert main([*options, *place]) == 0
        printed = capsys.readouterr()
        assert printed.out.startswith(f"{counts}, 2 requests")
        assert ("a copy is measured" in printed.err) == (options == command)
    with Path(tools).open("a") as file:
        file.write('{"id": "ship", "name": "ship", "description": "Ship it."}\n')
    assert main([*whole, *place]) == 0
    assert capsys.readouterr().out.startswith("4 tools, 1 demonstration, 2 requests")
    assert main([*queries, *place]) == 0
    assert capsys.readouterr().out.startswith("3 tools, 1 demonstration, 2 requests")
    assert main([*queries, "--demos", str(demos), *place]) == 1
    assert "--demos goes with --tools" in capsys.readouterr().err


def test_writers_are_held_off_while_an_index_is_copied(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, copytree = tmp_path / "index", shutil.copytree
    copied = []

    def copy(source: Path, to: Path, **more: Any) -> Path:
        with pytest.raises(Timeout), FileLock(index / "write.lock", timeout=0):
            pass
        copied.append(copytree(source, to, **more))
        assert not list(copied[0].glob("*.tmp"))
        return copied[0]

    assert main([*command, "--index", str(index)]) == 0
    with Path(command[2]).open("a") as file:
        file.write('{"id": "ship", "name": "ship", "description": "Ship it."}\n')
    (index / "derived.1-2.tmp").touch()  # another process is writing it, and removes it any time
    monkeypatch.setattr(shutil, "copytree", copy)
    assert main([*command, "--index", str(index)]) == 0
    assert copied


@pytest.mark.parametrize("option", ["--run", "--json"])
def test_an_index_is_not_overwritten(
    command: list[str], option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = ["--index", str(tmp_path / "index")]
    assert main([*command, *index]) == 0
    before = (tmp_path / "index" / "index.sqlite3").read_bytes()
    assert main([*command, *index, option, str(tmp_path / "index" / "index.sqlite3")]) == 1
    assert "is read by this run, and --" in capsys.readouterr().err
    assert (tmp_path / "index" / "index.sqlite3").read_bytes() == before


@pytest.mark.parametrize("option", ["--run", "--json"])
def test_output_that_cannot_be_written_is_reported_before_the_run(
    command: list[str], option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, option, str(tmp_path / "none" / "out")]) == 1
    printed = capsys.readouterr()
    assert "cannot be written: there is no folder" in printed.err
    assert printed.out == ""
    assert main([*command, option, "/dev/full"]) == 1  # found when it is written only
    printed = capsys.readouterr()
    assert "/dev/full: cannot be written" in printed.err
    assert "COMP@1" in printed.out


def test_figures_over_more_tools_than_are_ranked_are_left_out(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "-k", "3", "--require", "R@3=0"]) == 0
    printed = capsys.readouterr().out
    assert "nDCG@3" in printed
    assert "@5" not in printed
    assert "MRR" not in printed
    assert main([*command, "-k", "3", "--require", "R@5=0"]) == 1
    assert "--require R@5 looks at 5 tools, and -k 3 ranks only 3" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--require", "X=5"])
    assert "X is not measured; measured are COMP@1" in capsys.readouterr().err


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--require", "MRR=50", "-k", "3"], "MRR looks at 10 tools, and -k 3 ranks only 3"),
        (["--require", "AUROC=50"], "AUROC needs requests that have no right tool, too"),
    ],
)
def test_requirements_that_cannot_be_measured_are_reported_before_the_run(
    command: list[str],
    options: list[str],
    problem: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*command, *options]) == 1
    assert problem in capsys.readouterr().err


def test_figures_of_right_tools_need_requests_that_have_them(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"id": "q", "text": "sing a song", "tools": []}
    (tmp_path / "queries.jsonl").write_text(json.dumps(row) + "\n")
    assert main([*command, "--require", "R@5=50"]) == 1
    assert "--require R@5 needs requests that have a right tool" in capsys.readouterr().err


def test_options_that_are_given_twice_add_to_the_first(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"tools": TOOLS[0] | {"id": "ship"}, "queries": ROWS[0] | {"id": "q3"}}
    for name, row in more.items():
        (tmp_path / f"more_{name}.jsonl").write_text(json.dumps(row) + "\n")
        command += [f"--{name}", str(tmp_path / f"more_{name}.jsonl")]
    assert main([*command, "--require", "R@1=100", "--require", "R@3=0"]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("4 tools, 0 demonstrations, 3 requests")
    assert "R@1 is" in printed.err


def test_two_outputs_in_one_file_are_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = ["--run", str(tmp_path / "out"), "--json", f"{tmp_path}/./out"]
    assert main([*command, *outputs]) == 1
    assert "--run, --json and --record name one file" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--run", "--json", "--record", "--replay", "--against"])
def test_nothing_that_is_read_is_overwritten(
    command: list[str], option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, demos = tmp_path / "demos", tmp_path / "demos" / "d.jsonl"
    folder.mkdir()
    demos.write_text('{"id": "d", "text": "stop my purchase", "tools": ["cancel"]}\n')
    recording = tmp_path / "replies.jsonl"
    recording.write_text('{"toolret_recording": 1, "model": "m"}\n')
    (tmp_path / "link.jsonl").symlink_to(recording)
    if option in ("--replay", "--against"):
        options = [[option, str(recording), "--run", str(tmp_path / "link.jsonl")]]
    else:
        read = (command[2], command[4], str(demos), f"{tmp_path}/demos/../demos/d.jsonl")
        asked = ["--llm", "http://127.0.0.1:9/v1", "--model", "m"] * (option == "--record")
        options = [["--demos", str(folder), option, path, *asked] for path in read]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl")}
    for more in options:
        assert main([*command, *more]) == 1
        assert "is read by this run, and --" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl")}


def test_figures_are_printed_in_place_of_the_report(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--json", "-", "--strategy", "clauses + verbatim"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["tools"] == 3


def test_an_index_on_a_server_is_not_copied(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = FolderStore(tmp_path / "index", lock_timeout=5)
    monkeypatch.setattr("toolret.index.tool_index.store_at", lambda *_, **__: folder)
    place = ["--index", "http://127.0.0.1:9/mine"]
    assert main([*command, *place]) == 0
    with Path(command[2]).open("a") as file:
        file.write('{"id": "ship", "name": "ship", "description": "Ship it."}\n')
    capsys.readouterr()
    assert main([*command, *place]) == 1
    assert "an index on a server is not copied" in capsys.readouterr().err


@pytest.mark.usefixtures("no_run")
def test_a_row_that_cannot_be_asked_is_named_before_the_run(
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    messages = [{"content": "no role"}, {"role": "user", "content": "cancel it"}]
    row = {"id": "q3", "messages": messages, "tools": ["cancel"]}
    with (tmp_path / "queries.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    assert main(command) == 1
    assert "queries.jsonl: line 3: a message has no role" in capsys.readouterr().err


def test_the_nearest_tool_is_named_where_an_id_is_wrong(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "queries.jsonl").write_text(json.dumps(ROWS[0] | {"tools": ["refunds"]}) + "\n")
    assert main(command) == 1
    assert "index its catalog; did you mean 'refund'?" in capsys.readouterr().err


def test_files_are_written_though_nobody_reads_what_is_printed(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", closed)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    trec, out = tmp_path / "run.trec", tmp_path / "out.json"
    assert main([*command, "--run", str(trec), "--json", str(out)]) == 141
    assert (trec.read_text()[:5], "metrics" in out.read_text()) == ("q1 Q0", True)


def test_rows_without_a_word_of_the_user_are_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"id": "q", "messages": [{"role": "assistant", "content": "hello"}], "tools": []}
    (tmp_path / "queries.jsonl").write_text(json.dumps(row) + "\n")
    assert main(command) == 1
    assert "neither a `text` nor `messages`" in capsys.readouterr().err


def test_a_run_is_compared_on_the_requests_that_it_has_tools_for(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "half.trec"
    run.write_text("q1 Q0 track 1 0.5 other\nq2 Q0 cancel 1 0.5 other\nq9 Q0 cancel 1 0.5 other\n")
    assert main([*command, "--against", str(run), "--json", "-"]) == 0
    whole = json.loads(capsys.readouterr().out)["against"]
    assert whole["requests"] == 2
    run.write_text("q1 Q0 track 1 0.5 other\n")
    assert main([*command, "--against", str(run), "--json", "-"]) == 0
    half = json.loads(capsys.readouterr().out)["against"]
    assert half["requests"] == 1
    assert half["metrics"].keys() == whole["metrics"].keys()
    # q2, which only one of them has, counts for neither.
    assert half["metrics"]["COMP@1"]["difference"] in (0, 1)
    assert half["metrics"]["COMP@1"].keys() == {"difference", "interval", "p_value"}
    assert main([*command, "--against", str(run)]) == 0
    printed = capsys.readouterr()
    assert "with the other run on 1 of 2 requests that have a right" in printed.out
    assert "gone" not in printed.err


def test_recall_that_only_the_other_run_tells_from_completeness_is_compared(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [ROWS[0] | {"tools": ["refund", "track"]}]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = tmp_path / "before.trec"
    for ranked, differences in ((["refund"], ["+50.0"]), (["refund", "track"], [])):
        lines = [f"q1 Q0 {tool} {rank} {-rank} other" for rank, tool in enumerate(ranked)]
        run.write_text("\n".join(lines))
        assert main([*command, "--against", str(run)]) == 0
        shown = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert [row[4] for row in shown if row[:1] == ["R@5"]] == differences


@pytest.mark.parametrize(("other", "code"), [("tools", 1), ("demos", 0)])
def test_tools_that_change_while_they_are_measured_are_an_error(
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    other: str,
    code: int,
) -> None:
    place = str(tmp_path / "index")
    assert main([*command, "--index", place]) == 0

    def meanwhile(retriever: ToolRetriever, *args: Any, **options: Any) -> Report:
        if other == "tools":
            retriever.index.remove_tools(["cancel"])
        else:
            retriever.index.add_demos([Demo("d", "not any more", tools=("cancel",))])
        return evaluate(retriever, [], **options)

    monkeypatch.setattr("toolret.evaluation.runs.evaluate", meanwhile)
    capsys.readouterr()
    assert main([*command, "--index", place]) == code
    printed = capsys.readouterr()
    assert (f"{place}: its tools changed while it was measured" in printed.err) == bool(code)
    assert f"{3 - code} tools" in printed.out


def test_tools_of_another_run_that_are_gone_are_reported(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "before.trec"
    run.write_text("q1 Q0 halt 1 0.5 other\nq1 Q0 track 2 0.4 other\nq9 Q0 stop 1 0.5 other\n")
    assert main([*command, "--against", str(run)]) == 0
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"{run}: ranks tools that are gone")
    assert told.endswith("only have been renamed: halt")


def test_missed_requests_are_shown_with_what_came_first(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"id": "right", "text": "cancel an order", "tools": ["cancel"]},
        {"id": "second", "text": "return money\nthat was paid", "tools": ["refund", "track"]},
    ]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main([*command, "-k", "1"]) == 0
    assert "missed" not in capsys.readouterr().out
    assert main([*command, "-k", "1", "--misses"]) == 0
    shown = capsys.readouterr().out.partition("\n\n")[2].splitlines()
    assert shown[0].startswith("missed: 1 of 2 requests; ")
    assert shown[1] == "second: return money that was paid"
    assert shown[2].startswith("    wanted: refund (rank 1), track (")
    assert shown[3].startswith("    first: refund (0.")
    assert len(shown) == 4
    assert main([*command, "-k", "1", "--misses", "--json", "-"]) == 0
    (miss,) = json.loads(capsys.readouterr().out)["misses"]
    assert (miss["request"], miss["text"]) == ("second", rows[1]["text"])
    assert miss["wanted"][0] == {"tool": "refund", "rank": 1}
    assert miss["first"][0]["tool"] == "refund"
    assert miss["no_tool"] is False


def test_requests_that_got_no_tool_or_needed_none_are_missed_unless_all_are_ranked(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"id": "silent", "text": "xyzzy plugh", "tools": ["cancel"]},
        {"id": "idle", "text": "cancel an order", "tools": []},
    ]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command.remove("--keep-all")
    assert main([*command, "--misses"]) == 0
    shown = capsys.readouterr().out.partition("missed: ")[2]
    assert "silent: xyzzy plugh\n    wanted: cancel (" in shown
    assert "    answered with no tool: p = 0." in shown
    assert "idle: cancel an order\n    wanted: no tool\n    first: cancel (0." in shown
    assert main([*command, "--misses", "--keep-all"]) == 0
    assert "idle" not in capsys.readouterr().out


def test_the_page_on_evaluation_has_rows_that_are_read_and_options_that_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text("utf-8")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(page.partition("```json\n")[2].partition("```")[0])
    assert [len(request.tools) for request in load_requests(rows)] == [2, 1, 0]
    with pytest.raises(SystemExit):
        main(["eval", "--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z][a-z-]+", page)) <= options
