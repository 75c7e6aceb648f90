from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import toolret
from tests.conftest import ROOT
from tests.words_model import WordsModel, use_words_model
from toolret.cli import main
from toolret.index import ToolIndex
from toolret.retrieval.retriever import ToolRetriever
from toolret.tokens import TokenCounter

TOOLS: list[dict[str, Any]] = [
    {
        "id": "orders.cancel",
        "name": "cancel",
        "description": "Cancel an order.",
        "parameters": None,
    },
    {"id": "billing.refund", "name": "refund", "description": "Return money that was paid."},
]
DEMOS = [
    {"id": "d1", "text": "stop my purchase", "tools": ["orders.cancel"]},
    {"id": "d2", "text": "money back", "calls": [{"tool": "billing.refund", "arguments": {}}]},
]
REQUESTS = [
    {"id": "q1", "text": "cancel the order", "tools": ["orders.cancel"]},
    {"id": "q2", "text": "sing a song", "tools": []},
]


@pytest.fixture(autouse=True)
def _no_model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.node.get_closest_marker("model"):
        use_words_model(monkeypatch)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    rows: dict[str, Sequence[object]] = {"tools": TOOLS, "demos": DEMOS, "requests": REQUESTS}
    paths = {name: tmp_path / f"{name}.jsonl" for name in rows}
    for name, path in paths.items():
        path.write_text("".join(json.dumps(row) + "\n" for row in rows[name]))
    return {name: str(path) for name, path in paths.items()} | {"index": str(tmp_path / "index")}


@pytest.fixture
def indexed(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    assert (
        main(["index", files["tools"], "--demos", files["demos"], "--index", files["index"]]) == 0
    )
    capsys.readouterr()
    return files


def index_rows(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], *rows: dict[str, Any]
) -> None:
    """Index these tools and no others; what is printed of it is dropped."""
    Path(files["tools"]).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["index", files["tools"], "--index", files["index"]]) == 0
    capsys.readouterr()


def test_index_says_what_it_did_and_the_second_time_nothing(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["index", files["tools"], "--demos", files["demos"], "--index", files["index"]]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "tools: 2 added, 0 changed, 0 removed, 0 kept (2 embedded)" in printed.out
    assert printed.err == f"found {files['tools']}: 2 x tool row, 2 tools\n"
    before = _contents(files["index"])
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tools"] == {
        "added": 0,
        "changed": 0,
        "removed": 0,
        "kept": 2,
        "embedded": 0,
        "added_ids": [],
        "changed_ids": [],
        "removed_ids": [],
    }
    assert report["demos"]["kept"] == 2
    assert _contents(files["index"]) == before


def test_what_was_recorded_is_forgotten_on_request(
    indexed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    function = {"name": "orders__cancel", "arguments": "{}"}
    call = {"id": "c", "type": "function", "function": function}
    conversation = [
        {"role": "user", "content": "get rid of 48812"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "{}"},
    ]
    model = WordsModel("sentence-transformers/all-MiniLM-L6-v2")  # the command line's default
    index = ToolIndex(indexed["index"], embedder=model)
    assert ToolRetriever(index).record(conversation).ids
    command = ["index", indexed["tools"], "--index", indexed["index"], "--json"]
    for more, kept in ((["--demos", indexed["demos"]], 3), (["--forget-recorded"], 2)):
        command += more
        assert main(command) == 0
        assert json.loads(capsys.readouterr().out)["demos"]["kept"] == kept
    command = ["index", indexed["tools"], "--index", indexed["index"], "--forget-recorded"]
    assert main(command) == 1
    assert "--forget-recorded needs --demos" in capsys.readouterr().err


def test_demonstrations_of_tools_that_are_gone_are_reported(
    indexed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["index", indexed["tools"], "--index", indexed["index"]]
    renamed = json.dumps(TOOLS[0]).replace("orders.cancel", "orders.stop")
    for rows, said in (
        ([renamed, json.dumps(TOOLS[1])], "1 demonstration uses a tool that is gone"),
        ([renamed], "2 demonstrations use tools that are gone"),
    ):
        Path(indexed["tools"]).write_text("\n".join(rows))
        gone = "billing.refund, orders.cancel" if said.startswith("2") else "orders.cancel"
        for more in (["--dry-run"], []):
            assert main([*command, *more]) == 0
            assert capsys.readouterr().err.splitlines()[1:] == [f"{said} ({gone})"]


@pytest.mark.parametrize(
    ("properties", "required", "fits"),
    [
        ({"order_id": {}}, ["order_id"], True),
        ({"order_id": {}, "reason": {"default": "none"}}, ["order_id", "reason"], True),
        ({"number": {}}, [], False),
        ({"order_id": {}, "reason": {}}, ["reason"], False),
        ({}, [], True),
    ],
)
def test_demonstrations_by_arguments_that_do_not_fit_are_reported(
    indexed: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    properties: dict[str, Any],
    required: list[str],
    fits: bool,
) -> None:
    parameters = {"type": "object", "properties": properties, "required": required}
    changed = {**TOOLS[0], "parameters": parameters}
    Path(indexed["tools"]).write_text("\n".join(map(json.dumps, (changed, TOOLS[1]))))
    call = {"tool": "orders.cancel", "arguments": {"order_id": "48812"}}
    Path(indexed["demos"]).write_text(json.dumps({"id": "d", "text": "stop it", "calls": [call]}))
    command = ["index", indexed["tools"], "--index", indexed["index"], "--demos", indexed["demos"]]
    told = ["1 demonstration calls a tool by arguments that do not fit (orders.cancel)"]
    for more in (["--dry-run"], []):
        assert main([*command, *more]) == 0
        assert capsys.readouterr().err.splitlines()[1:] == ([] if fits else told)


def test_an_option_that_is_given_twice_adds_to_the_first(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    parts = [tmp_path / "d1.jsonl", tmp_path / "d2.jsonl"]
    for part, row in zip(parts, DEMOS, strict=True):
        part.write_text(json.dumps(row) + "\n")
    demos = [word for part in parts for word in ("--demos", str(part))]
    for _ in range(2):  # the second run starts from nothing again
        assert main(["index", files["tools"], *demos, "--index", files["index"], "--json"]) == 0
        report = json.loads(capsys.readouterr().out)["demos"]
        assert report["added"] + report["kept"] == 2


def _contents(folder: str) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path(folder).iterdir()}


def test_versions_of_one_api_are_told_apart_by_namespaces(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    names = ["v1.json", "v2.json", "v3=old.json"]
    for name in names:
        operation = {"operationId": "list", "summary": f"List things, as {name} does."}
        api = {
            "openapi": "3.1.0",
            "info": {"title": "Shop API"},
            "paths": {"/a": {"get": operation}},
        }
        (tmp_path / name).write_text(json.dumps(api))
    paths = [str(tmp_path / name) for name in names]
    place = ["--index", files["index"]]
    assert main(["index", *paths[:2], *place]) == 1
    assert "read one catalog with a namespace= of its own (NAME=CATALOG" in capsys.readouterr().err
    assert main(["index", paths[0], f"shop_v2={paths[1]}", *place]) == 0
    assert capsys.readouterr().err.count("found ") == 2
    assert main(["search", "list things", *place, "--keep-all", "--json"]) == 0
    found = {hit["id"] for hit in json.loads(capsys.readouterr().out)}
    assert found == {"shop.list", "shop_v2.list"}
    assert (
        main(["lint", f"old={paths[2]}", "--fail-on", "never"]) == 0
    )  # a name with a sign of its own
    assert main(["lint", paths[2], f"v1={paths[0]}", "--fail-on", "never"]) == 0
    assert "in 2 tools" in capsys.readouterr().out


def test_a_list_shows_what_an_index_holds_without_a_model(
    indexed: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "toolret.index.tool_index.resolve_embedder", lambda *_, **__: pytest.fail("a model")
    )
    command = ["list", "--index", indexed["index"]]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert printed.out == (
        "billing.refund  Return money that was paid.\norders.cancel   Cancel an order.\n"
    )
    assert printed.err == "2 tools\n"
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[1] == {
        "id": "orders.cancel",
        "name": "cancel",
        "namespace": "",
        "description": "Cancel an order.",
        "parameters": None,
    }
    assert main([*command, "--demos"]) == 0
    printed = capsys.readouterr()
    assert (
        printed.out == "d1  stop my purchase  (orders.cancel)\nd2  money back  (billing.refund)\n"
    )
    assert main([*command, "--demos", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first == {"id": "d1", "text": "stop my purchase", "tools": ["orders.cancel"]}
    assert second["calls"] == [{"tool": "billing.refund", "arguments": {}}]
    assert main(["list", "--index", indexed["tools"] + ".none"]) == 1
    _expect_one_line(capsys, "there is no index here; make one with toolret index")


def test_a_list_shows_the_first_sentence_in_one_safe_line(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    described = {"long": "word " * 99, "two": "Cancel\n an order. It is gone.", "none": ""}
    rows = [{"name": name, "description": text} for name, text in described.items()]
    index_rows(files, capsys, *rows, {"name": "e\x1b[2J"})
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["list", "--index", files["index"]]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) == len("e_[2J  ") + 163
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["list", "--index", files["index"]]) == 0
    evil, long, none, two = capsys.readouterr().out.splitlines()
    assert evil == "e<U+001B>[2J"
    assert (len(long), long[-8:]) == (80, "word ...")
    assert none == "none"
    assert two.endswith("two    Cancel an order.")


def test_a_tilde_after_a_namespace_is_the_home(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(Path(files["tools"]).parent))
    assert main(["lint", "shop=~/tools.jsonl"]) == 0
    assert "in 2 tools" in capsys.readouterr().out


def test_search_ranks_with_evidence(
    indexed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "cancel the order", "--index", indexed["index"], "-k", "1"]) == 0
    printed = capsys.readouterr()
    assert re.fullmatch(r"  1\. 0\.\d{3}  orders\.cancel  Cancel an order\.\n", printed.out)
    assert re.fullmatch(r"1 tool; p = [01]\.\d{3} that one is needed\n", printed.err)
    explained = ["search", "cancel the order", "--index", indexed["index"], "--explain"]
    assert main(explained) == 0
    assert re.search(r"\n +[+-]\d+\.\d\d  \w+ \(", capsys.readouterr().out)
    assert main(["search", "cancel the order", "--index", indexed["index"], "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)
    assert hits[0]["id"] == "orders.cancel"
    assert {"signal", "value", "contribution"} == set(hits[0]["evidence"][0])


def test_where_no_tool_fits_it_says_so_and_how_to_see_the_nearest(
    indexed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["search", "how tall is a giraffe", "--index", indexed["index"]]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("no tool fits (p = 0.")
    assert printed.endswith(" that one is needed); --keep-all lists the nearest\n")
    assert main([*command, "--json"]) == 0
    printed_json = capsys.readouterr()
    assert (json.loads(printed_json.out), printed_json.err) == ([], printed)
    assert main([*command, "--keep-all", "-k", "1"]) == 0
    nearest = capsys.readouterr()
    assert nearest.out.startswith("  1.")
    assert nearest.err.startswith("no tool fits (p = 0.")
    assert main(["plan", *command[1:]]) == 0
    assert "no tool fits (p = 0." in capsys.readouterr().err


@pytest.mark.parametrize("form", ["openai", "anthropic", "text"])
def test_plan_prints_a_prompt_within_the_budget(
    indexed: dict[str, str], capsys: pytest.CaptureFixture[str], form: str
) -> None:
    command = ["plan", "cancel the order", "--index", indexed["index"], "--format", form]
    assert main([*command, "--budget", "300"]) == 0
    printed = capsys.readouterr()
    assert "orders__cancel" in printed.out
    assert "of 300 tokens; all tools would take about" in printed.err
    assert main([*command, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["tools"][0]["id"] == "orders.cancel"
    assert plan["tokens"] <= plan["token_budget"] == 2000
    assert plan["demos"][0]["id"] == "d1"


def test_plan_says_what_it_cut(indexed: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    request = "cancel the order and refund the payment"
    command = ["plan", request, "--index", indexed["index"], "--budget", "45"]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "cut tool billing.refund: left out" in printed.err
    assert "1 of 2 tools, 0 examples: " in printed.err
    assert " of 45 tokens; all tools would take about " in printed.err
    assert main([*command[:-1], "3"]) == 1
    assert "a token budget of 3 holds not even" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("exact", "said"),
    [
        (True, r": \d+ of 300 tokens; .* \d+\n"),
        (False, r": about .* \(estimates that err high\)\n"),
    ],
)
def test_plan_says_where_tokens_are_estimated(
    indexed: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    exact: bool,
    said: str,
) -> None:
    counter = TokenCounter("words", exact=exact, count=lambda text: len(text.split()))
    monkeypatch.setattr("toolret.tokens.token_counter", lambda: counter)
    place = ["--index", indexed["index"], "--budget", "300"]
    assert main(["plan", "cancel the order", *place]) == 0
    assert re.search(said, capsys.readouterr().err)


def test_eval_measures_and_writes(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out, trec = tmp_path / "out.json", tmp_path / "run.trec"
    command = ["eval", "--tools", files["tools"], "--queries", files["requests"]]
    options = ["--demos", files["demos"], "--keep-all", "--json", str(out), "--run", str(trec)]
    assert main([*command, *options]) == 0
    printed = capsys.readouterr().out
    assert "2 tools, 2 demonstrations, 2 requests" in printed
    assert "COMP@1   100.0" in printed
    assert json.loads(out.read_text())["metrics"]["COMP@1"] == 1
    assert trec.read_text().splitlines()[0].startswith("q1 Q0 orders.cancel 1 ")
    assert main([*command, "--against", str(trec), "--require", "C@1=100", "N@5=90"]) == 0
    printed = capsys.readouterr().out
    assert "+0.0  [+0.0, +0.0]       1.000" in printed
    assert "on 1 of 1 requests that have a right tool: those for which both runs rank" in printed
    assert main([*command, "--demos", files["demos"], "--require", "N@1=100", "AUROC=100"]) == 0
    unlike = tmp_path / "unlike.trec"
    unlike.write_text("\ufeffq1 Q0 billing.refund 1 0.5 x\n\n", "utf-8")
    assert main([*command, "--against", str(unlike)]) == 0
    for request in ("q2", "other"):
        unlike.write_text(f"{request} Q0 billing.refund 1 0.5 x\n")
        assert main([*command, "--against", str(unlike)]) == 1
        assert "the run has tools for none of the requests" in capsys.readouterr().err
    assert main([*command, "--against", files["requests"]]) == 1
    assert "line 1: is not of the form" in capsys.readouterr().err
    assert main([*command, "--json", str(tmp_path)]) == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("broken.json", b'{"openapi": "3.1.0",', "broken.json"),
        ("broken.yaml", b"openapi: 3.1.0\n  paths: [", "broken.yaml"),
        ("no_paths.yaml", b"openapi: 3.1.0\ninfo: {title: T, version: '1'}\n", "no_paths.yaml"),
        (
            "nowhere.json",
            json.dumps(
                {
                    "openapi": "3.1.0",
                    "info": {"title": "T", "version": "1"},
                    "paths": {"/a": {"get": {"parameters": [{"$ref": "#/components/nothing"}]}}},
                }
            ).encode(),
            "#/components/nothing",
        ),
        (
            "twice.jsonl",
            b'{"id": "a", "name": "a", "description": "x"}\n'
            b'{"id": "a", "name": "a", "description": "y"}\n',
            "twice.jsonl",
        ),
        ("nameless.jsonl", b'{"name": "a"}\n{"id": "b", "description": "x"}\n', "line 2"),
        ("empty.jsonl", b"", "empty.jsonl"),
        ("latin.jsonl", '{"id": "a", "name": "é"}\n'.encode("latin-1"), "latin.jsonl"),
        ("deep.jsonl", b'{"id": "a", "name": "a", "x": ' + b"[" * 99999 + b"\n", "deep.jsonl"),
    ],
)
def test_a_bad_catalog_is_one_line_and_leaves_the_index_alone(
    indexed: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    name: str,
    content: bytes,
    problem: str,
) -> None:
    bad = tmp_path / name
    bad.write_bytes(content)
    assert main(["index", indexed["tools"], str(bad), "--index", indexed["index"]]) == 1
    _expect_one_line(capsys, problem)
    _expect_unharmed(indexed, capsys)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id": "d", "text": "x", "tools": ["no.such"]}', "'no.such'"),
        ('{"id": "d", "text": "x", "tools": ["order.cancel"]}', "did you mean 'orders.cancel'?"),
        ('{"id": "d", "tools": ["orders.cancel"]}', "line 1"),
        ("not JSON", "line 1"),
    ],
)
def test_bad_demonstrations_are_one_line_and_leave_the_index_alone(
    indexed: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    line: str,
    problem: str,
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(line + "\n")
    command = ["index", indexed["tools"], "--demos", str(bad), "--index", indexed["index"]]
    assert main(command) == 1
    _expect_one_line(capsys, problem)
    _expect_unharmed(indexed, capsys)


def _expect_one_line(capsys: pytest.CaptureFixture[str], problem: str) -> None:
    error = capsys.readouterr().err
    assert error.startswith("toolret: ")
    assert error.count("\n") == 1
    assert problem in error


def _expect_unharmed(indexed: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "cancel the order", "--index", indexed["index"], "--json"]) == 0
    assert {hit["id"] for hit in json.loads(capsys.readouterr().out)} == {
        "orders.cancel",
        "billing.refund",
    }


def test_a_missing_index_is_reported(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "x", "--index", files["index"]]) == 1
    _expect_one_line(capsys, "toolret index")
    assert main(["index", "no-such-file", "--index", files["index"]]) == 1
    _expect_one_line(capsys, "no-such-file")
    assert not Path(files["index"]).exists()


def test_another_embedder_is_refused_or_embeds_again(
    indexed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = ["--index", indexed["index"], "--embedder", "other"]
    assert main(["search", "x", *other]) == 1
    _expect_one_line(capsys, "toolret index --reembed")
    assert main(["index", indexed["tools"], *other, "--reembed"]) == 0
    assert "0 changed, 0 removed, 2 kept (2 embedded)" in capsys.readouterr().out
    assert main(["search", "cancel the order", *other]) == 0


def test_what_was_removed_is_named_and_nothing_is_with_add(
    indexed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"name": f"tool {number}", "description": "Do it."} for number in range(7)]
    Path(indexed["tools"]).write_text("\n".join(map(json.dumps, [TOOLS[0], *rows])))
    command = ["index", indexed["tools"], "--index", indexed["index"]]
    assert main([*command, "--add"]) == 0
    assert "tools: 7 added, 0 changed, 0 removed, 2 kept" in capsys.readouterr().out
    Path(indexed["tools"]).write_text(json.dumps(TOOLS[0] | {"description": "Stop an order."}))
    assert main([*command, "--add", "--demos", indexed["demos"], "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tools"]["changed_ids"] == ["orders.cancel"]
    assert (report["tools"]["removed"], report["demos"]["kept"]) == (0, 2)
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[1] == (
        "  removed: billing.refund, tool 0, tool 1, tool 2, tool 3 and 3 more; with --add nothing "
        "is removed"
    )


def test_a_bad_demonstration_adds_no_tool_either(
    indexed: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Path(indexed["tools"]).write_text('{"name": "new"}')
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "x", "tools": ["no.such"]}')
    for more in ([], ["--dry-run"]):
        command = ["index", indexed["tools"], "--demos", str(bad), "--index", indexed["index"]]
        assert main([*command, "--add", *more]) == 1
        _expect_one_line(capsys, "'no.such'")
    _expect_unharmed(indexed, capsys)
    assert main([*command, "--add", "--forget-recorded"]) == 1
    _expect_one_line(capsys, "--add removes nothing: leave --forget-recorded out")


@pytest.mark.parametrize("more", [[], ["--add"]])
def test_a_dry_run_says_what_would_change_and_changes_nothing(
    indexed: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
) -> None:
    rows = [TOOLS[0] | {"description": "Stop an order."}, {"name": "new"}]
    Path(indexed["tools"]).write_text("\n".join(map(json.dumps, rows)))
    Path(indexed["demos"]).write_text(json.dumps(DEMOS[0]) + "\n")
    command = ["index", indexed["tools"], "--demos", indexed["demos"], *more]
    command += ["--index", indexed["index"]]
    before = _contents(indexed["index"])
    with monkeypatch.context() as patched:
        patched.setattr(
            "toolret.index.tool_index.resolve_embedder", lambda *_, **__: pytest.fail("a model")
        )
        assert main([*command, "--dry-run"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("tools: 1 added, 1 changed, ")
        assert lines[0].endswith(" kept (dry run, nothing is changed)")
        assert lines[1:3] == ["  added: new", "  changed: orders.cancel"]
        assert ("  removed: billing.refund; with --add nothing is removed" in lines) != bool(more)
        assert main([*command, "--dry-run", "--json"]) == 0
        planned = json.loads(capsys.readouterr().out)
    assert _contents(indexed["index"]) == before
    assert main([*command, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    for report in (*planned.values(), *done.values()):
        report["embedded"] = 0
    assert planned == done


def test_a_dry_run_makes_no_index(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", files["tools"], "--index", files["index"], "--dry-run"]) == 0
    assert "  added: billing.refund, orders.cancel\n" in capsys.readouterr().out
    assert not Path(files["index"]).exists()


def test_what_a_caller_with_permissions_gets_is_shown(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    guarded = [TOOLS[0], TOOLS[1] | {"permissions": ["pay", "read"], "tags": ["money"]}]
    Path(files["tools"]).write_text("\n".join(map(json.dumps, guarded)))
    place = ["--index", files["index"]]
    assert main(["index", files["tools"], "--demos", files["demos"], *place]) == 0
    capsys.readouterr()

    def ids(*command: str) -> list[str]:
        assert main([*command, *place, "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        return [row["id"] for row in (printed if isinstance(printed, list) else printed["tools"])]

    request = "return money that was paid"
    search = ("search", request, "--keep-all")
    assert set(ids(*search)) == {"billing.refund", "orders.cancel"}
    assert ids(*search, "--allow", "read") == ids(*search, "--allow") == ["orders.cancel"]
    assert ids(*search, "--allow", "read", "pay")[0] == "billing.refund"
    assert "billing.refund" in ids("plan", request)
    assert "billing.refund" not in ids("plan", request, "--allow", "read")
    assert ids("list", "--allow") == ["orders.cancel"]
    assert ids("list", "--demos", "--allow", "read") == ["d1"]
    assert ids("list", "--demos", "--allow", "read", "--allow", "pay") == ["d1", "d2"]
    assert main(["list", *place, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert (row["permissions"], row["tags"]) == ([["pay", "read"]], ["money"])


def test_a_plan_is_explained_beside_the_prompt(
    indexed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["plan", "cancel the order", "--index", indexed["index"], "--explain"]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["tools"]
    assert "request: cancel the order" in printed.err
    assert "1. orders.cancel  p=0." in printed.err


def test_a_hit_is_one_line_as_wide_as_the_terminal(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = TOOLS[0] | {"description": "Cancel an order " + "word " * 50}
    index_rows(files, capsys, row)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    command = ["search", "cancel the order", "--index", files["index"], "--keep-all"]
    assert main(command) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert (len(line), line[-3:]) == (60, "...")


def test_a_request_without_quotes_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["search", "skip", "track"], ["plan", "skip", "track", "now"]):
        with pytest.raises(SystemExit) as stop:
            main([*command, "--index", "i"])
        assert stop.value.code == 2
        assert "(put a request of several words in quotes)" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["list", "--index", "i", "--nothing"])
    assert "unrecognized arguments: --nothing\n" in capsys.readouterr().err


def test_functions_are_not_read_from_files(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "functions.py"
    file.write_text("def cancel(order: str) -> None: ...\n")
    assert main(["index", str(file), "--index", files["index"]]) == 1
    _expect_one_line(capsys, "give the functions to load_tools(...) in Python")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("index", ["NAME=CATALOG sets", "--dry-run"]),
        ("lint", ["NAME=CATALOG sets"]),
        ("eval", ["NAME=CATALOG sets", "docs/evaluation.md", "(default: 10)"]),
        ("search", ["(default: 10)", "in quotes"]),
        ("plan", ["(default: 2000)", "(default: openai)"]),
    ],
)
def test_help_says_defaults_and_what_a_catalog_is(
    command: str, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert [text for text in said if text not in printed] == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["search", "x"],
        ["search", "x", "--index", "i", "-k0"],
        ["index", "", "--index", "i"],
        ["lint", ""],
        ["eval", "--queries", ""],
    ],
)
def test_a_command_line_that_cannot_be_read_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_an_interrupt_is_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, indexed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("toolret.retrieval.retriever.ToolRetriever.select", interrupted)
    assert main(["search", "x", "--index", indexed["index"]]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_what_a_catalog_says_cannot_work_on_a_terminal(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = {"name": "cancel\x1b[2J", "description": "Cancel an order.\x1b]0;x\x07\nSafely.\u009b"}
    index_rows(files, capsys, evil)
    place = ["--index", files["index"]]
    commands = [
        ["search", "cancel an order", *place, "--keep-all"],
        ["search", "cancel an order", *place, "--keep-all", "--json"],
        ["plan", "cancel an order", *place, "--format", "text"],
    ]
    for command in commands:
        monkeypatch.undo()
        use_words_model(monkeypatch)
        assert main(command) == 0
        in_a_file = capsys.readouterr().out
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        assert main(command) == 0
        shown = capsys.readouterr().out
        assert shown != in_a_file
        assert not {"\x1b", "\x07", "\u009b"} & set(shown)
        assert shown.count("\n") == in_a_file.count("\n")
        if "--json" in command:
            assert json.loads(shown) == json.loads(in_a_file)


def test_what_a_catalog_does_not_read_like_cannot_work_on_a_terminal(
    files: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    evil = tmp_path / "evil.json"
    evil.write_text(json.dumps({"openapi": "3.0.\x1b[2J", "paths": {"/a": {"get": {}}}}))
    assert main(["index", str(evil), "--index", files["index"]]) == 1
    assert "OpenAPI 3.0.<U+001B>[2J is not read" in capsys.readouterr().err
    named = tmp_path / "e\x1b[2Jvil.jsonl"
    named.write_text('{"name": "cancel"}\n')
    assert main(["index", str(named), "--index", files["index"]]) == 0
    assert "e<U+001B>[2Jvil.jsonl: tool row, 1 tool" in capsys.readouterr().err


SCRIPT = """
import sys, tests.words_model as t, toolret.embedders.role_embedder as e
e.SentenceTransformerEmbedder = t.WordsModel
from toolret.cli import main; sys.exit(main())
"""


@pytest.mark.parametrize(
    "options",
    [["list"], ["list", "--json"], ["search", "refund it"], ["plan", "refund it"], ["index"]],
)
def test_a_reader_that_stops_ends_a_command_quietly(
    files: dict[str, str], indexed: dict[str, str], options: list[str]
) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    command = [sys.executable, "-c", SCRIPT, *options, "--index", indexed["index"]]
    command += [files["tools"]] * (options == ["index"])
    done = subprocess.run(command, stdout=writes, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    os.close(writes)
    assert done.returncode == 141
    assert "rror" not in done.stderr
    assert "Broken" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "asked", [["search", "cancel the order", "--keep-all"], ["plan", "cancel the order"], ["list"]]
)
def test_output_that_cannot_be_written_is_one_line(
    indexed: dict[str, str], asked: list[str], unbuffered: str
) -> None:
    command = [sys.executable, "-c", SCRIPT, *asked, "--index", indexed["index"]]
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env
        )
    assert done.returncode == 1
    assert done.stderr == "toolret: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("closed", ["1>&-", "2>&-"])
@pytest.mark.parametrize("options", [["list"], ["list", "--json"], ["index"]])
def test_a_stream_that_is_closed_is_done_without(
    files: dict[str, str], indexed: dict[str, str], options: list[str], closed: str
) -> None:
    command = [sys.executable, "-c", SCRIPT, *options, "--index", indexed["index"]]
    command += [files["tools"]] * (options == ["index"])
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert bool(done.stdout) == (closed == "2>&-")
    assert "2 tools\n" not in done.stdout  # it is told beside what was asked for


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_characters_that_the_terminal_lacks_are_escaped(
    files: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
) -> None:
    row = {"name": "storno_für_alle", "description": "Cancel an order."}
    index_rows(files, capsys, row)
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", out)
    command = ["search", "cancel order", "--keep-all", "--index", files["index"], *options]
    assert main(command) == 0
    text = out.buffer.getvalue().decode()
    if options:
        assert json.loads(text)[0]["name"] == row["name"]
    else:
        assert r"storno_f\xfcr_alle" in text


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert toolret.__version__ in capsys.readouterr().out
    command = [sys.executable, "-m", "toolret", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == f"toolret {toolret.__version__}\n"


@pytest.mark.model
def test_the_real_model_indexes_a_service_and_plans(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = ["--index", str(tmp_path / "index")]
    assert main(["index", str(ROOT / "tool_catalogs" / "shipping.yaml"), *index]) == 0
    capsys.readouterr()
    assert main(["search", "where is the parcel right now", *index, "--json", "-k", "5"]) == 0
    assert any(hit["id"].startswith("shipping.") for hit in json.loads(capsys.readouterr().out))


@pytest.mark.model
def test_nothing_of_other_libraries_is_printed(files: dict[str, str]) -> None:
    """In a process of its own, for here pytest has set up the logging already."""
    command = [sys.executable, "-c", "import sys; from toolret.cli import main; sys.exit(main())"]
    command += ["index", files["tools"], "--demos", files["demos"], "--index", files["index"]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == f"found {files['tools']}: 2 x tool row, 2 tools\n"
