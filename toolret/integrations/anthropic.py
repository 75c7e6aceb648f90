"""Anthropic's search for tools, run by the client: its forms made of tools and selections.

A request holds all tools, marked ``defer_loading``, so that its beginning never changes; the model
sees those that a ``tool_reference`` in a tool's result has named. Plain dicts in the forms of the
Messages API; the ``anthropic`` package is not needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from toolret.names import DISCOVER, wire_name
from toolret.prompt import Packed, packed_tool
from toolret.selection import Selection
from toolret.types import Tool

__all__ = ["SEARCH_NAME", "deferred_tools", "search_tool", "tool_references"]

SEARCH_NAME = DISCOVER
"""What the search is called; ``names.RESERVED`` keeps it from all other tools."""


def deferred_tools(tools: Iterable[Tool]) -> list[dict[str, Any]]:
    """Tools for the ``tools`` of a request, none of which the model sees before it is referred to.

    Args:
        tools: All that the user may use, in an order that stays, such as an index's.
    """
    packed = Packed("anthropic", tuple(map(packed_tool, tools)), ())
    return [{**tool, "defer_loading": True} for tool in packed.to_anthropic()["tools"]]


def search_tool() -> dict[str, Any]:
    """The tool by which the model searches; it stands before the deferred ones."""
    query = {"type": "string", "description": "What is to be done, in a few words."}
    return {
        "name": SEARCH_NAME,
        "description": "Searches the catalog for tools. Search when none of the tools at hand does "
        "what is needed, once for each different thing to do.",
        "input_schema": {"type": "object", "properties": {"query": query}, "required": ["query"]},
    }


def tool_references(tool_use_id: str, selection: Selection) -> dict[str, Any]:
    """The ``tool_result`` that answers a search: references to the tools, or that there are none.

    Args:
        tool_use_id: The id of the model's call of the search.
        selection: What was selected for its ``query``.
    """
    content: list[dict[str, Any]] = [
        {"type": "tool_reference", "tool_name": wire_name(hit.tool.id)} for hit in selection.tools
    ]
    if not content:
        content = [{"type": "text", "text": "No tool of the catalog does that."}]
    return {"type": "tool_result", "tool_use_id": tool_use_id, "content": content}
