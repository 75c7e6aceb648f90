"""The JSON Schemas of an LLM's replies to strategies, and their parsers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from toolret.llm.replies import parse_reply_as
from toolret.text.rendering import tool_text
from toolret.text.surrogates import drop_surrogates
from toolret.types import JsonObject, Tool

__all__ = [
    "missing_schema",
    "parse_missing",
    "parse_queries",
    "parse_tools",
    "queries_schema",
    "thoughtful_schema",
    "tools_schema",
]

_LONGEST_QUERY = 500
"""How many characters of a query are kept. A query is one sentence; a longer one copies the request
or is nonsense."""

_LONGEST_TOOL = 1_000
"""How many characters of a hypothetical tool's text are kept. The text includes its parameters."""

_MOST_PARAMETERS = 8
"""How many parameters of a hypothetical tool are kept: more only dilute its meaning."""


@dataclass
class _QueriesReply:
    queries: list[str]


@dataclass
class _MissingReply:
    missing: list[str]


@dataclass
class _WishedParameter:
    name: str
    description: str = ""


@dataclass
class _WishedTool:
    name: str
    description: str
    parameters: list[_WishedParameter] = field(default_factory=list)


@dataclass
class _ToolsReply:
    tools: list[_WishedTool]


def queries_schema() -> JsonObject:
    """Return the JSON Schema of a reply with queries, within the rules of structured output."""
    return _object(queries=_text_list())


def thoughtful_schema() -> JsonObject:
    """Return the JSON Schema of a reply with reasoning followed by queries."""
    return _object(thoughts=_TEXT, queries=_text_list())


def missing_schema() -> JsonObject:
    """Return the JSON Schema of a reply with queries for what is still missing."""
    return _object(missing=_text_list())


def tools_schema() -> JsonObject:
    """Return the JSON Schema of a reply with hypothetical tools."""
    parameter = _object(name=_TEXT, description=_TEXT)
    parameters = {"type": "array", "items": parameter}
    tool = _object(name=_TEXT, description=_TEXT, parameters=parameters)
    return _object(tools={"type": "array", "items": tool})


def parse_queries(reply: str, *, most: int) -> tuple[str, ...]:
    """Return the queries in an LLM's reply, which is JSON alone, in a code fence or within prose.

    Blank and repeated queries are dropped, long ones are truncated, and at most ``most`` are kept.

    Raises:
        LLMError: If the reply holds no JSON that follows ``queries_schema``.
    """
    return _distinct(parse_reply_as(_QueriesReply, reply).queries, _LONGEST_QUERY, most)


def parse_missing(reply: str, *, most: int) -> tuple[str, ...]:
    """Return the queries in a reply that follows ``missing_schema``, as ``parse_queries`` does."""
    return _distinct(parse_reply_as(_MissingReply, reply).missing, _LONGEST_QUERY, most)


def parse_tools(reply: str, *, most: int) -> tuple[str, ...]:
    """Return the hypothetical tools in a reply, each as the text that is embedded of a real one.

    Raises:
        LLMError: If the reply holds no JSON that follows ``tools_schema``.
    """
    # Some may be blank or repeated, so more are rendered than are kept.
    tools = parse_reply_as(_ToolsReply, reply).tools[: 4 * most]
    texts = (tool_text(_as_tool(tool)) for tool in tools)
    return _distinct(texts, _LONGEST_TOOL, most)


_TEXT = {"type": "string"}


def _text_list() -> dict[str, Any]:
    return {"type": "array", "items": _TEXT}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _as_tool(tool: _WishedTool) -> Tool:
    properties = {
        parameter.name: {"description": parameter.description}
        for parameter in tool.parameters[:_MOST_PARAMETERS]
    }
    schema = {"type": "object", "properties": properties}
    return Tool(tool.name, tool.name, description=tool.description, parameters=schema)


def _distinct(texts: Iterable[str], longest: int, most: int) -> tuple[str, ...]:
    """Return the first ``most`` texts, without blank and repeated ones, each truncated."""
    clean = (" ".join(drop_surrogates(text).split()) for text in texts)
    return tuple(dict.fromkeys(text[:longest] for text in clean if text))[:most]
