"""The benchmarks run, on catalogs small enough to know the answers."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import budget, indexing, mixtures, need, published_apis, robustness
from benchmarks.quality import SYSTEMS, Result, main, sample
from benchmarks.systems import (
    Bm25,
    CachedModel,
    Data,
    Dense,
    Rrf,
    System,
    Votes,
    fuse,
)
from toolret.embedders import SentenceTransformerEmbedder
from toolret.ranking.general import GENERAL_REQUESTS
from toolret.rows import LabelledRequest
from toolret.testing import HashedWordsEmbedder
from toolret.types import Demo, Tool

ASKED = {
    "cancel the order": ["cancel_order"],
    "what does she owe": ["list_invoices"],
    "track the parcel and cancel the order": ["track_parcel", "cancel_order"],
    "she wants her money back": ["refund_payment"],
}


@pytest.fixture
def data(tools: list[Tool], demos: list[Demo], tmp_path: Path) -> Data:
    return Data(tools, demos, HashedWordsEmbedder(), tmp_path)


@pytest.fixture
def folder(tmp_path: Path, tools: list[Tool], demos: list[Demo]) -> Path:
    """Two sets, one without demonstrations."""
    for name in ("shop", "bare"):
        (tmp_path / name).mkdir()
        write(
            tmp_path / name / "tools.jsonl",
            [{"id": t.id, "name": t.name, "description": t.description} for t in tools],
        )
        write(
            tmp_path / name / "dev.jsonl",
            [{"id": text, "text": text, "tools": right} for text, right in ASKED.items()]
            + [{"id": "none", "text": "hello", "tools": []}],
        )
    write(
        tmp_path / "shop" / "demos.jsonl",
        [{"id": d.id, "text": d.text, "tools": list(d.tools)} for d in demos],
    )
    return tmp_path


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def measure(folder: Path, *arguments: str) -> int:
    return main(["--data", str(folder), *arguments], embedder=HashedWordsEmbedder())


def test_plain_methods_rank_as_they_are_defined(data: Data) -> None:
    assert Bm25(data).rank("cancel the orders") == ["cancel_order"]
    assert Bm25(data).rank("the of") == []
    dense = Dense(data)
    assert dense.rank("where is the parcel")[0] == "track_parcel"
    # The demonstration d2 is the request itself; d4 says "the ... back" and uses both tools.
    votes = Votes(data).rank("the customer wants her money back")
    assert votes[:2] == ["refund_payment", "cancel_order"]


def test_fusion_counts_both_ranks() -> None:
    fused = fuse(np.array([1, 3]), np.array([0, 2, 3, 1]), tools=4)
    assert fused == pytest.approx([1 / 61, 1 / 61 + 1 / 64, 1 / 62, 1 / 62 + 1 / 63])


def test_fusion_finds_what_only_vectors_find(data: Data) -> None:
    assert Bm25(data).rank("parcel") == ["track_parcel"]
    assert Rrf(data).rank("parcel") == Dense(data).rank("parcel")


@pytest.mark.model
def test_each_text_is_embedded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    embedded = []
    encode = SentenceTransformerEmbedder.encode

    def counted(self: SentenceTransformerEmbedder, texts: list[str]) -> Any:
        embedded.extend(texts)
        return encode(self, texts)

    monkeypatch.setattr(SentenceTransformerEmbedder, "encode", counted)
    model = CachedModel()
    first = model.embed_documents(["a", "b", "a"])
    assert first[0] == first[2] == model.embed_query("a")
    assert embedded == ["a", "b"]
    assert model.id == SentenceTransformerEmbedder().id


def test_a_sample_is_evenly_spaced() -> None:
    requests = [LabelledRequest(str(i), "x", ("t",)) for i in range(9)]
    assert [request.id for request in sample(requests, 3)] == ["0", "4", "8"]
    assert sample(requests, 20) == sample(requests, None) == requests


def test_the_table_and_the_figures(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("langgraph", "langgraph.store.base", "langgraph.store.memory"):
        monkeypatch.setitem(sys.modules, module, None)
    systems = ["bm25", "dense", "rrf", "langgraph", "objectindex", "votes"]
    figures = folder / "figures.json"
    assert measure(folder, "--systems", *systems, "--json", str(figures)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("###")] == [
        "### R@1",
        "### COMP@5",
        "### COMP@10",
        "### nDCG@10",
    ]
    comp = lines[lines.index("### COMP@5") + 2 :]
    assert comp[0] == (
        "| set | tools | demonstrations | requests "
        "| BM25 | dense | RRF | LangGraph store | ObjectIndex | votes |"
    )
    assert comp[2].startswith("| bare/dev | 4 | 0 | 4 | 75.0 | **100.0** | **100.0** |")
    assert comp[2].endswith("| not installed | **100.0** | - |")
    assert comp[3].startswith("| shop/dev | 4 | 4 | 4 |")
    assert lines[-2] == f"- ObjectIndex {version('llama-index-core')}"
    assert lines[-1].startswith("- LangGraph store: not installed: ")
    kept = json.loads(figures.read_text())
    assert (kept["demos"], kept["limit"]) == ("all", None)
    by_place = {(row["set"], row["system"]): row for row in kept["results"]}
    # The peer searches the same vectors.
    dense, peer = (by_place["shop/dev", name]["measures"] for name in ("dense", "ObjectIndex"))
    assert dense == peer
    assert by_place["bare/dev", "votes"]["measures"] == {}


def test_toolret_with_and_without_demonstrations(folder: Path) -> None:
    figures, table = folder / "figures.json", folder / "table.md"
    arguments = ["--systems", "toolret", "toolret-texts", "--sets", "shop", "--limit", "2"]
    assert measure(folder, *arguments, "--output", str(table), "--json", str(figures)) == 0
    rows = json.loads(figures.read_text())["results"]
    assert [(row["system"], row["requests"], row["demos"]) for row in rows] == [
        ("toolret, no demonstrations", 2, 4),
        ("toolret", 2, 4),
    ]
    assert rows[1]["measures"]["R@1"] == 100
    assert "| toolret, no demonstrations | toolret |" in table.read_text()


def test_toolret_is_asked_with_an_adapter_that_saw_nothing_of_the_set(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    held = tmp_path / "held"
    held.mkdir()
    asked = ["--data", str(folder), "--sets", "bare", "--adapters", str(held), "--systems"]
    embedder = HashedWordsEmbedder()
    assert main([*asked, "toolret-texts"], embedder=embedder) == 1
    assert "bare.npy: there is no adapter" in capfd.readouterr().err
    np.save(held / "bare.npy", np.eye(3, dtype=np.float32))
    assert main([*asked, "toolret-texts"], embedder=embedder) == 1
    assert "the adapter has the shape (3, 3)" in capfd.readouterr().err
    figures = ["--json", str(tmp_path / "figures.json")]
    # A peer's vectors are the model's.
    assert main([*asked, "dense", *figures], embedder=embedder) == 0
    assert main([*asked, "bm25", "--add", figures[1]], embedder=embedder) == 0


@pytest.mark.parametrize("share", ["half", "none"])
def test_fewer_demonstrations(folder: Path, share: str) -> None:
    figures = folder / "figures.json"
    arguments = ["--systems", "votes", "--sets", "shop/dev", "--demos", share]
    assert measure(folder, *arguments, "--json", str(figures)) == 0
    row = json.loads(figures.read_text())["results"][0]
    assert row["demos"] == {"half": 2, "none": 0}[share]
    assert bool(row["measures"]) == (share == "half")


def test_figures_of_another_run_stand_beside(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = folder / "figures.json"
    both = ["--add", str(figures), "--json", str(figures)]
    assert measure(folder, "--sets", "shop", "--systems", "votes", "bm25", *both[2:]) == 0
    assert measure(folder, "--sets", "shop", "bare", "--systems", "bm25", *both) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].startswith("| bare/dev | 4 | 0 | 4 |")
    assert lines[-3].endswith("| not run |")
    assert lines[-2].startswith("| shop/dev | 4 | 4 | 4 |")
    rows = json.loads(figures.read_text())["results"]
    assert [(row["set"], row["system"]) for row in rows] == [
        ("bare/dev", "BM25"),
        ("shop/dev", "BM25"),
        ("shop/dev", "votes"),
    ]
    assert measure(folder, "--limit", "2", *both[:2]) == 1
    assert "figures.json: was made with --limit None: run both alike" in capsys.readouterr().err
    assert measure(folder, "--adapters", str(folder), *both[:2]) == 1
    assert "figures.json: was made with --adapters False" in capsys.readouterr().err


def test_a_peer_that_fails_is_said_to_and_one_of_ours_stops_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: System, text: str) -> list[str]:
        raise KeyError("no")

    for system in SYSTEMS:
        if system.key in ("objectindex", "bm25"):
            monkeypatch.setattr(system, "rank", broken)
    assert measure(folder, "--sets", "shop", "--systems", "objectindex") == 0
    out = capsys.readouterr().out
    assert "| failed |" in out
    assert "- ObjectIndex: failed: KeyError: 'no'" in out
    with pytest.raises(KeyError):
        measure(folder, "--sets", "shop", "--systems", "bm25")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sets", "nope"], "there is no set 'nope'; there are bare, bare/dev, shop, shop/dev"),
        (["--add", "nope.json"], "No such file"),
        (["--add", "shop/dev.jsonl"], "shop/dev.jsonl: is not what --json writes"),
        (["--add", "unknown.json"], "unknown.json: has figures of 'x', which is not here"),
        (["--sets", "idle"], "idle/dev.jsonl: no request here has a right tool"),
    ],
)
def test_wrong_options_are_one_line(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    result = Result(set="s", system="x", tools=1, demos=0, requests=1, measures={})
    made = {"limit": None, "demos": "all", "adapters": False}
    unknown = made | {"results": [asdict(result)]}
    (folder / "unknown.json").write_text(json.dumps(unknown))
    if "idle" in arguments:
        (folder / "idle").mkdir()
        write(folder / "idle" / "tools.jsonl", [{"name": "t"}])
        write(folder / "idle" / "dev.jsonl", [{"id": "none", "text": "hello", "tools": []}])
    assert measure(folder, *arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_folder_without_sets_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measure(tmp_path) == 1
    assert "holds no folder with requests" in capsys.readouterr().err


MODULES = {
    "langgraph": "langgraph.store",
    "haystack": "haystack",
    "fastmcp": "fastmcp",
    "pydantic-ai": "pydantic_ai",
    "ratel-ai": "ratel_ai",
    "semantic-router": "semantic_router",
}
"""What a peer is imported as, by its key."""


@pytest.mark.parametrize("key", MODULES)
def test_a_peer_that_is_installed_answers(data: Data, key: str) -> None:
    pytest.importorskip(MODULES[key])
    peer = next(system for system in SYSTEMS if system.key == key)(data)
    request = "where is the parcel"
    if key == "langgraph":
        assert peer.rank(request) == Dense(data).rank(request)
    elif key == "semantic-router":
        assert peer.rank("where is the package of Alice")[0] == "track_parcel"
    else:
        runs = peer.runs([LabelledRequest("1", request), LabelledRequest("2", "zebra")])
        assert runs["1"][0] == peer.rank(request)[0] == "track_parcel"
        assert runs["2"] == []


def test_ratel_ai_learns_of_demonstrations_where_it_is_installed(data: Data) -> None:
    pytest.importorskip("ratel_ai")
    hybrid, learned = (
        next(system for system in SYSTEMS if system.key == f"ratel-ai-{kind}")(data)
        for kind in ("hybrid", "learned")
    )
    request = "the customer wants her money back"  # as a demonstration says it
    assert learned.rank(request)[0] == "refund_payment"
    assert set(learned.rank(request)) <= set(hybrid.rank(request))


def test_the_costs_of_indexing_are_a_table(capfd: pytest.CaptureFixture[str]) -> None:
    indexing.main(["--texts", "0", "--tools", "300"])
    *_, row = capfd.readouterr().out.splitlines()
    count, build, *_ = (cell.strip() for cell in row.strip("|").split("|"))
    assert count == "300"
    assert float(build) > 0


def test_published_apis_counts_a_request_whose_needs_are_all_met(
    tmp_path: Path, tools: list[Tool], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"id": t.id, "name": t.name, "description": t.description} for t in tools]
    write(tmp_path / "tools.jsonl", rows)
    both = [["cancel_order", "refund_payment"], ["track_parcel"]]
    one = {"text": "cancel the order", "needs": [["cancel_order"]]}
    two = {"text": "track the parcel and cancel the order", "needs": both}
    write(tmp_path / "wishes", [one, two])
    command = [str(tmp_path / "tools.jsonl"), "--wishes", str(tmp_path / "wishes")]
    assert published_apis.main(command, embedder=HashedWordsEmbedder()) == 0
    printed = capsys.readouterr().out
    assert f"{len(tools)} operations, 2 requests" in printed
    assert "| toolret, no demonstrations | 50.0 | 100.0 | 100.0 | 100.0 |" in printed
    wish = published_apis.read_wishes(tmp_path / "wishes")[1]
    assert wish.met_by(["refund_payment", "track_parcel"])
    assert not wish.met_by(["cancel_order", "refund_payment"])
    write(tmp_path / "wishes", [{"text": "sing", "needs": [["sing", "cancel_order"]]}])
    with pytest.raises(SystemExit):
        published_apis.main(command, embedder=HashedWordsEmbedder())
    assert "tools.jsonl has no sing" in capsys.readouterr().err


def test_the_published_requests_can_be_read() -> None:
    wishes = published_apis.read_wishes(published_apis.WISHES)
    assert len({wish.text for wish in wishes}) == len(wishes) > 80
    assert all(wish.needs and all(wish.needs) for wish in wishes)


def test_a_budget_serves_a_request_if_the_arguments_of_its_calls_are_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    optional = {"type": "object", "properties": {"order": {"type": "string"}}}
    write(
        tmp_path / "tools.jsonl",
        [
            {
                "name": name,
                "description": f"{name} of the shop. {'Words. ' * 20}",
                "parameters": optional,
            }
            for name in ("cancel_order", "track_parcel")
        ],
    )
    call = {"tool": "cancel_order", "arguments": {"order": "48812"}}
    write(tmp_path / "dev.jsonl", [{"text": "cancel the order of the shop", "calls": [call]}])
    budgets = ["--budgets", "20", "80", "2000"]
    assert budget.main([str(tmp_path), *budgets], embedder=HashedWordsEmbedder()) == 0
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[3:]]
    assert [(tools, served) for _, tools, _, served in rows] == [
        ("0.0", "0.0 %"),
        ("1.0", "0.0 %"),
        ("1.0", "100.0 %"),
    ]


def test_need_is_measured_on_requests_of_other_sets_and_on_general_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, wish in (("shop", "find my parcel"), ("bfcl", "orbits of planets")):
        (tmp_path / name).mkdir()
        tool = {"id": f"{name}.tool", "name": "tool", "description": wish}
        requests = [{"id": i, "text": f"{wish} {i}", "tools": [tool["id"]]} for i in "123"]
        write(tmp_path / name / "tools.jsonl", [tool])
        write(tmp_path / name / "dev.jsonl", requests)
    assert need.main([str(tmp_path), "shop"], embedder=HashedWordsEmbedder()) == 0
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[:3] for row in rows] == [
        ["shop", "100", "its own or others'"],
        ["shop", "100", "general"],
    ]
    assert [float(row[3]) for row in rows] == [100, pytest.approx(100, abs=5)]


def test_the_general_requests_measured_are_not_those_of_the_fit() -> None:
    assert len(set(need.GENERAL)) == len(need.GENERAL) == 40
    assert not set(need.GENERAL) & set(GENERAL_REQUESTS)


def test_demonstrations_of_one_catalog_beside_requests_for_another(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sky").mkdir()
    orbit = {"id": "orbit", "name": "orbit", "description": "Compute the orbits of planets."}
    write(folder / "sky" / "tools.jsonl", [orbit])
    asked = [{"id": "1", "text": "orbits of planets", "tools": ["orbit"]}]
    write(folder / "sky" / "dev.jsonl", asked)
    embedder = HashedWordsEmbedder()
    assert mixtures.main([str(folder), "shop+sky"], embedder=embedder) == 0
    row = "| shop | sky | 100.0 | 100.0 | 100.0 | 100.0 |"
    assert capsys.readouterr().out.splitlines()[2:] == [row]
    monkeypatch.setattr(mixtures, "MOST_LOST", -1.0)
    assert mixtures.main([str(folder), "shop+sky"], embedder=embedder) == 1
    for pair in ("shop", "shop+gone", "bare+shop"):
        assert mixtures.main([str(folder), pair], embedder=embedder) == 1
        assert capsys.readouterr().err.startswith("mixtures: ")


def test_catalogs_and_requests_in_worse_shape(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = HashedWordsEmbedder()
    monkeypatch.setattr(robustness, "MOST_LOST", 100.0)
    assert robustness.main([str(folder), "shop", "bare"], embedder=embedder) == 0
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    changes = [change.name for change in robustness.CHANGES]
    assert [row[:2] for row in rows] == [
        [name, change] for name in ("shop", "bare") for change in changes
    ]
    assert all(row[4] == row[7] == "-" for row in rows if row[0] == "bare")
    unchanged, undescribed = (dict(zip(changes, rows, strict=False))[name] for name in changes[:2])
    assert float(undescribed[3]) <= float(unchanged[3])
    monkeypatch.setattr(robustness, "MOST_LOST", -1.0)
    assert robustness.main([str(folder), "bare"], embedder=embedder) == 1
    assert robustness.main([str(folder), "gone"], embedder=embedder) == 1
    assert "robustness: there is no " in capsys.readouterr().err


def test_what_is_changed_in_worse_shapes() -> None:
    tool = Tool("a.b", "b", namespace="a", description="Do it.", parameters={"type": "object"})
    changes = {change.name: change for change in robustness.CHANGES}
    text = "Please cancel order 48812, and refund {it}"
    asked = {name: change.request(text) for name, change in changes.items()}
    assert asked["as it is"] == asked["no descriptions"] == text
    assert asked["key words only"] == "cancel order 48812 refund"
    assert (
        asked["lower case, no punctuation"].split()
        == text.lower().translate(str.maketrans(",{}", "   ")).split()
    )
    assert text in asked["small talk around the request"]
    typed = asked["typing errors"]
    assert typed != text
    assert typed == changes["typing errors"].request(text)
    assert "48812, and" in typed  # short words and numbers are typed right
    lengths = [len(word) for word in typed.split()]
    assert all(abs(a - len(b)) <= 1 for a, b in zip(lengths, text.split(), strict=True))
    changed = {name: change.tool(7, tool) for name, change in changes.items()}
    assert changed["as it is"] == tool
    assert not changed["no descriptions"].description
    nameless = changed["names that say nothing"]
    assert (nameless.name, nameless.namespace) == ("fn_0007", "")
