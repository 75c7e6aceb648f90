"""Anthropic's tool search, run by the client: tools and selections in its forms.

A request holds all tools, marked ``defer_loading``, so that its beginning never changes; the model
sees only those that a ``tool_reference`` in a tool's result has named. Plain dicts in the forms of
the Messages API; the ``anthropic`` package is not needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from toolret.integrations.offers import SEARCH_DESCRIPTION
from toolret.prompt import Packed
from toolret.prompt.packed import packed_tool
from toolret.retrieval.selection import Selection
from toolret.text.names import DISCOVER, wire_name
from toolret.types import Tool

__all__ = ["SEARCH_NAME", "deferred_tools", "search_tool", "tool_references"]

SEARCH_NAME = DISCOVER
"""The name of the search tool; ``names.RESERVED`` keeps other tools from taking it."""


def deferred_tools(tools: Iterable[Tool]) -> list[dict[str, Any]]:
    """Return tools for a request's ``tools``; the model sees each once it is referred to.

    Args:
        tools: All tools that the user may use, in a stable order, such as an index's.
    """
    packed = Packed("anthropic", tuple(map(packed_tool, tools)), ())
    return [{**tool, "defer_loading": True} for tool in packed.to_anthropic()["tools"]]


def search_tool() -> dict[str, Any]:
    """Return the tool with which the model searches; put it before the deferred ones."""
    query = {"type": "string", "description": "What is to be done, in a few words."}
    return {
        "name": SEARCH_NAME,
        "description": SEARCH_DESCRIPTION,
        "input_schema": {"type": "object", "properties": {"query": query}, "required": ["query"]},
    }


def tool_references(tool_use_id: str, selection: Selection) -> dict[str, Any]:
    """Return the ``tool_result`` of a search: references to tools, or a text if none fits.

    Args:
        tool_use_id: The id of the model's call of the search tool.
        selection: What was selected for its ``query``.
    """
    content: list[dict[str, Any]] = [
        {"type": "tool_reference", "tool_name": wire_name(hit.tool.id)} for hit in selection.tools
    ]
    if not content:
        content = [{"type": "text", "text": "No tool of the catalog does that."}]
    return {"type": "tool_result", "tool_use_id": tool_use_id, "content": content}
