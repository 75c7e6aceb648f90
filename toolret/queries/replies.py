"""Schemas for an LLM's replies, and their parsers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from toolret.errors import QueryGenerationError
from toolret.llm import json_object
from toolret.text.rendering import tool_text
from toolret.types import JsonObject, Tool

__all__ = [
    "missing_schema",
    "parse_missing",
    "parse_reply",
    "parse_tools",
    "reply_schema",
    "thoughtful_schema",
    "tools_schema",
]

_LONGEST_QUERY = 500
"""Characters of a query, which is one sentence; longer ones copy the request or are nonsense."""

_LONGEST_TOOL = 1_000
"""Characters of a hypothetical tool with its parameters."""

_MOST_PARAMETERS = 8
"""Parameters of a hypothetical tool: more only dilute its meaning."""


@dataclass
class _Queries:
    queries: list[str]


@dataclass
class _Missing:
    missing: list[str]


@dataclass
class _Parameter:
    name: str
    description: str = ""


@dataclass
class _Tool:
    name: str
    description: str
    parameters: list[_Parameter] = field(default_factory=list)


@dataclass
class _Tools:
    tools: list[_Tool]


def reply_schema() -> JsonObject:
    """Return the JSON Schema of queries; like those below, it suits structured output."""
    return _object(queries=_texts())


def thoughtful_schema() -> JsonObject:
    """Return the JSON Schema of reasoning followed by queries."""
    return _object(thoughts=_TEXT, queries=_texts())


def missing_schema() -> JsonObject:
    """Return the JSON Schema of queries for what is still missing."""
    return _object(missing=_texts())


def tools_schema() -> JsonObject:
    """Return the JSON Schema of hypothetical tools."""
    parameter = _object(name=_TEXT, description=_TEXT)
    parameters = {"type": "array", "items": parameter}
    tool = _object(name=_TEXT, description=_TEXT, parameters=parameters)
    return _object(tools={"type": "array", "items": tool})


def parse_reply(reply: str, *, most: int) -> tuple[str, ...]:
    """Parse the queries in an LLM's reply: JSON alone, in a code fence or within prose.

    Blank and repeated queries are dropped, long ones truncated, and only ``most`` are kept.

    Raises:
        QueryGenerationError: If the reply holds no such JSON.
    """
    return _distinct(_read(reply, _Queries).queries, _LONGEST_QUERY, most)


def parse_missing(reply: str, *, most: int) -> tuple[str, ...]:
    """``parse_reply`` for what is still missing."""
    return _distinct(_read(reply, _Missing).missing, _LONGEST_QUERY, most)


def parse_tools(reply: str, *, most: int) -> tuple[str, ...]:
    """Parse an LLM's hypothetical tools, each as the text by which a real one is embedded.

    Raises:
        QueryGenerationError: If the reply holds no such JSON.
    """
    wished = (tool_text(_as_tool(tool)) for tool in _read(reply, _Tools).tools[: 4 * most])
    return _distinct(wished, _LONGEST_TOOL, most)


_TEXT = {"type": "string"}


def _texts() -> dict[str, Any]:
    return {"type": "array", "items": _TEXT}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _as_tool(tool: _Tool) -> Tool:
    properties = {
        parameter.name: {"description": parameter.description}
        for parameter in tool.parameters[:_MOST_PARAMETERS]
    }
    schema = {"type": "object", "properties": properties}
    return Tool(tool.name, tool.name, description=tool.description, parameters=schema)


_Reply = TypeVar("_Reply", _Queries, _Missing, _Tools)


def _read(reply: str, kind: type[_Reply]) -> _Reply:
    # Imported only for validation: a search without an LLM starts sooner.
    from pydantic import TypeAdapter, ValidationError

    key = fields(kind)[0].name
    try:
        return TypeAdapter(kind).validate_python(json_object(reply, key))
    except ValidationError as error:
        where = error.errors()[0]
        place = ".".join(map(str, where["loc"])) or "reply"
        raise QueryGenerationError(f"malformed reply: {place}: {where['msg']}") from error


def _distinct(texts: Iterable[str], longest: int, most: int) -> tuple[str, ...]:
    # Lone surrogates, which cannot be encoded, would break the embedder.
    clean = (" ".join(text.encode("utf-8", "ignore").decode().split()) for text in texts)
    return tuple(dict.fromkeys(text[:longest] for text in clean if text))[:most]
