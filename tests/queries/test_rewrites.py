"""``benchmarks.rewrites`` on a set small enough to know the answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.rewrites import main
from tests.words_model import use_words_model

TOOLS = [
    {"id": "cancel", "name": "cancel", "description": "Cancel an order."},
    {"id": "track", "name": "track", "description": "Where a parcel is now."},
]


def row(written: str) -> dict[str, object]:
    needs = [{"user_intent": "x", "tool_description": written}]
    return {
        "id": "q",
        "text": "never mind the tent",
        "tools": ["cancel"],
        "rewritten": {"tool_needs": needs},
    }


@pytest.mark.parametrize(
    ("written", "status"), [("Cancel an order.", 0), ("Where a parcel is now.", 1)]
)
def test_recorded_rewrites_are_measured_against_their_floor(
    written: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_words_model(monkeypatch)
    (tmp_path / "tools.jsonl").write_text("".join(json.dumps(tool) + "\n" for tool in TOOLS))
    (tmp_path / "apigen_dev.jsonl").write_text(json.dumps(row(written)) + "\n")
    assert main([str(tmp_path), "--sets", "apigen"]) == status
