"""Fifty written conversations over the shipped catalog, whose last message alone is not enough.

What a model would write of each stands in the rows. It was written by hand, by somebody who knew
the catalog: it shows that the way from a reply to the tools holds, not how well a model writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rewrites import write_recording
from tests.conftest import ROOT
from tests.words_model import use_words_model
from toolret.catalogs import load_tools
from toolret.cli import main
from toolret.rows import load_requests

FILE = ROOT / "tests" / "data" / "conversations.jsonl"
ROWS: list[dict[str, Any]] = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]


def test_the_conversations_are_what_they_claim() -> None:
    requests = load_requests(FILE)
    catalog = {tool.id for tool in load_tools(ROOT / "tool_catalogs")}
    assert len(requests) >= 40
    assert len({request.text for request in requests}) == len(requests)
    assert {tool for request in requests for tool in request.tools} <= catalog
    assert sum(len(request.tools) > 1 for request in requests) >= 8
    assert sum(not request.tools for request in requests) >= 4
    for row in ROWS:
        turns = row["messages"]
        assert sum(turn["role"] == "user" for turn in turns) >= 2, row["id"]
        assert turns[-1]["role"] == "user"
        assert len(row["rewrite"]) == len(row["tools"])
        calls = [call["id"] for turn in turns for call in turn.get("tool_calls", ())]
        assert calls == [turn["tool_call_id"] for turn in turns if turn["role"] == "tool"]


def figures(tmp_path: Path, *options: str, last_only: bool = False) -> dict[str, float]:
    """The metrics of ``toolret eval`` over the conversations."""
    queries, report = tmp_path / "queries.jsonl", tmp_path / "report.json"
    rows = [row | {"messages": row["messages"][-1:]} for row in ROWS] if last_only else ROWS
    queries.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    command = ["eval", "--tools", str(ROOT / "tool_catalogs"), "--queries", str(queries)]
    command += ["--demos", str(ROOT / "demos"), "--keep-all"]
    command += ["--index", str(tmp_path / "index"), "--json", str(report)]
    assert main([*command, *options]) == 0
    metrics: dict[str, float] = json.loads(report.read_text("utf-8"))["metrics"]
    return {name: 100 * value for name, value in metrics.items()}


def measured(tmp_path: Path) -> list[dict[str, float]]:
    """With the last message alone, with the conversation, and with the replies of a recording."""
    recording = tmp_path / "replies.jsonl"
    written = [(row["messages"], row["rewrite"]) for row in ROWS]
    write_recording(written, recording, model="by hand")
    return [
        figures(tmp_path, last_only=True),
        figures(tmp_path),
        figures(tmp_path, "--replay", str(recording)),
    ]


def test_what_is_written_of_a_conversation_finds_its_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_words_model(monkeypatch)
    last, whole, replayed = measured(tmp_path)
    # Hashed words do not profit from what was said before, but must not suffer either.
    assert last["COMP@10"] - 5 < whole["COMP@10"]
    assert whole["COMP@10"] + 20 < replayed["COMP@10"]
    assert replayed["COMP@10"] > 85


@pytest.mark.model
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("shipped_index")
def test_a_conversation_tells_more_than_its_last_message(tmp_path: Path) -> None:
    last, whole, replayed = measured(tmp_path)
    assert last["COMP@5"] + 8 < whole["COMP@5"]
    assert whole["COMP@5"] > 40
    assert replayed["COMP@5"] > 92
