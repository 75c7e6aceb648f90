"""Tools with which the model itself searches the index, and the answers to its searches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from toolret.integrations.offers import SEARCH_DESCRIPTION
from toolret.integrations.openai.forms import RESPONSES, RequestForm
from toolret.json_values import compact_json, parse_json
from toolret.prompt import Packed
from toolret.prompt.packed import PackedTool
from toolret.text.names import CALL, DISCOVER
from toolret.turns import Unread, content_text, messages_of
from toolret.types import JsonObject

__all__ = [
    "found_names",
    "found_text",
    "proxy_tools",
    "query_of",
    "search_ids",
    "search_output",
    "search_tool",
]

_QUERY = "What is to be done, in a few words, such as: refund a payment"

_PARAMETERS: JsonObject = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": _QUERY}},
    "required": ["query"],
    "additionalProperties": False,
}
"""The schema of a search's arguments."""

_NONE = "No tool of the catalog does that. Say so, or search for it in other words."
"""What the model is told if nothing was found."""

_FAILED = "Error: the search of the catalog failed. Go on without it."
"""What the model is told if the search failed."""


def search_tool() -> JsonObject:
    """Return Responses' ``tool_search`` for the client to run (``ToolSearchToolParam``)."""
    return {
        "type": "tool_search",
        "execution": "client",
        "description": SEARCH_DESCRIPTION,
        "parameters": _PARAMETERS,
    }


def search_output(call_id: str, found: Packed | None, known: Collection[str]) -> dict[str, Any]:
    """Return the answer to a ``tool_search_call``: the tools found, loaded from here on.

    Args:
        call_id: The call's id.
        found: The tools that were found; None if the search failed.
        known: Names of the tools that the model has. They are left out, except the best tool found,
            so that the answer is not empty only because the model has it.
    """
    best_first = found.tools if found else ()
    tools = [tool for rank, tool in enumerate(best_first) if not rank or tool.name not in known]
    return {
        "type": "tool_search_output",
        "call_id": call_id,
        "execution": "client",
        "status": "completed",
        "tools": [{**RESPONSES.function(tool), "defer_loading": True} for tool in tools],
    }


def proxy_tools(form: RequestForm) -> tuple[JsonObject, ...]:
    """Return ``discover_tools`` and ``call_tool``, which replace the index's tools in *proxy*."""
    call = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": f"The tool's name, as {DISCOVER} gave it."},
            "arguments": {"type": "object", "description": "Its arguments, by its parameters."},
        },
        "required": ["name", "arguments"],
    }
    about = f"Calls a tool that {DISCOVER} found."
    tools = (
        PackedTool(DISCOVER, DISCOVER, SEARCH_DESCRIPTION, _PARAMETERS),
        PackedTool(CALL, CALL, about, call),
    )
    return tuple(form.function(tool) for tool in tools)


def found_text(found: Packed | None, known: Collection[str]) -> str:
    """Return the answer to ``discover_tools``: tools with their schemas, and worked examples.

    Args:
        found: The tools that were found; None if the search failed.
        known: Names of tools found before: the conversation already holds their schemas.
    """
    if found is None:
        return _FAILED
    if not found.tools:
        return _NONE
    tools = [
        {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        for tool in found.tools
        if tool.name not in known
    ]
    answer: dict[str, Any] = {"tools": tools}
    if before := [tool.name for tool in found.tools if tool.name in known]:
        answer["found before"] = before
    if examples := found.examples():
        answer["examples"] = examples
    return compact_json(answer)


def search_ids(items: Iterable[Any]) -> tuple[str, ...]:
    """Return the ids of the calls of ``discover_tools`` in a conversation or in a response."""
    messages = [entry for entry in messages_of(list(items)) if not isinstance(entry, Unread)]
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    ids = (call["id"] for call in calls if call["function"]["name"] == DISCOVER)
    return tuple(id_ for id_ in ids if isinstance(id_, str))


def found_names(
    items: Sequence[JsonObject], mode: str, searches: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return the names of the tools that the model's own searches found in a conversation.

    Args:
        items: The conversation.
        mode: How the model searches: *proxy* or *search*; in others it does not.
        searches: Ids of searches before these items.
    """
    if mode != "proxy":
        return RESPONSES.loaded_names(items) if mode == "search" else ()
    all_searches = {*searches, *search_ids(items)}
    names: list[str] = []
    for message in messages_of(items):
        if isinstance(message, Unread):
            continue
        call_id = message.get("tool_call_id")
        if message.get("role") == "tool" and isinstance(call_id, str) and call_id in all_searches:
            names += _names(content_text(message.get("content")))
    return tuple(dict.fromkeys(names))


def query_of(arguments: Any) -> str:
    """Return what a search is for: its ``query``, or whatever else the model wrote."""
    if isinstance(arguments, str):
        try:
            arguments = parse_json(arguments)
        except ValueError:
            return str(arguments)
    if isinstance(arguments, Mapping):
        texts = [value for value in arguments.values() if isinstance(value, str)]
        query = arguments.get("query")
        return query if isinstance(query, str) else " ".join(texts)
    return ""


def _names(text: str) -> list[str]:
    """Return the names of the tools in an answer of ``discover_tools``."""
    try:
        tools = parse_json(text)["tools"]
        return [tool["name"] for tool in tools if isinstance(tool["name"], str)]
    except (KeyError, TypeError, ValueError):  # an answer without tools
        return []
