from __future__ import annotations

from pathlib import Path

from tests.conftest import tool
from tests.integrations.openai.conftest import retriever_of
from toolret.integrations.anthropic import (
    SEARCH_NAME,
    deferred_tools,
    search_tool,
    tool_references,
)
from toolret.text.names import RESERVED

SHOP = [
    tool("cancel", "Cancel an order.", id="shop.cancel", parameters={"type": "object"}),
    tool("track", "Say where a parcel is.", id="shop.track"),
]


def test_tools_are_deferred_and_the_search_is_not() -> None:
    assert deferred_tools(SHOP)[0] == {
        "name": "shop__cancel",
        "description": "Cancel an order.",
        "input_schema": {"type": "object", "properties": {}},
        "defer_loading": True,
    }
    assert [each["defer_loading"] for each in deferred_tools(SHOP)] == [True, True]
    assert "defer_loading" not in search_tool()
    assert search_tool()["name"] == SEARCH_NAME
    assert SEARCH_NAME in RESERVED


def test_a_search_is_answered_with_references(tmp_path: Path) -> None:
    retriever = retriever_of(SHOP, tmp_path, max_tools=1)
    assert tool_references("toolu_1", retriever.select("cancel the order")) == {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": [{"type": "tool_reference", "tool_name": "shop__cancel"}],
    }
    nothing = retriever_of([], tmp_path / "empty").select("cancel the order")
    assert tool_references("toolu_1", nothing)["content"][0]["type"] == "text"
