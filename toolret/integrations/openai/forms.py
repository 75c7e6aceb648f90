"""OpenAI's two request forms, Chat Completions and Responses, behind one interface."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from toolret.prompt.packed import PackedTool
from toolret.types import JsonObject

__all__ = [
    "CHAT",
    "PROVIDER_LIMIT",
    "RESPONSES",
    "Chat",
    "RequestForm",
    "Responses",
    "as_choice",
    "as_dict",
    "as_items",
    "as_json",
    "callable_tools",
    "tool_name",
    "value_or_none",
]

PROVIDER_LIMIT = 128
"""How many tools OpenAI accepts in a request."""

_Dict: TypeAlias = dict[str, Any]


class RequestForm(ABC):
    """How one of the APIs writes what both can express.

    Attributes:
        items: The name of the argument that holds the conversation.
    """

    items: ClassVar[str]

    @abstractmethod
    def function(self, tool: PackedTool) -> _Dict:
        """Return a tool of the index as a function tool."""

    @abstractmethod
    def normalized(self, tool: JsonObject) -> JsonObject:
        """Return a caller's tool as the API takes it."""

    @abstractmethod
    def choice_of(self, tool: JsonObject) -> _Dict:
        """Return how ``tool_choice`` refers to a tool."""

    @abstractmethod
    def allowed_tools(self, mode: str, tools: Sequence[JsonObject]) -> _Dict:
        """Return the ``tool_choice`` that lets the model call only these tools."""

    @abstractmethod
    def loaded_names(self, items: Iterable[JsonObject]) -> tuple[str, ...]:
        """Return the names of the tools that a search loaded within the conversation."""


class Chat(RequestForm):
    """The form of Chat Completions."""

    items = "messages"

    def function(self, tool: PackedTool) -> _Dict:
        """Return ``{"type": "function", "function": {...}}``."""
        return {"type": "function", "function": _function(tool)}

    def normalized(self, tool: JsonObject) -> JsonObject:
        """Return the tool as it is."""
        return tool

    def choice_of(self, tool: JsonObject) -> _Dict:
        """Return ``{"type": "function", "function": {"name": ...}}``, or that of a custom tool."""
        kind = tool["type"]
        return {"type": kind, kind: {"name": tool_name(tool)}}

    def allowed_tools(self, mode: str, tools: Sequence[JsonObject]) -> _Dict:
        """Return a ``ChatCompletionAllowedToolChoiceParam``."""
        allowed = {"mode": mode, "tools": [self.choice_of(tool) for tool in tools]}
        return {"type": "allowed_tools", "allowed_tools": allowed}

    def loaded_names(self, items: Iterable[JsonObject]) -> tuple[str, ...]:  # noqa: ARG002 - see there
        """Return no names: Chat Completions have no search."""
        return ()


class Responses(RequestForm):
    """The form of Responses."""

    items = "input"

    def function(self, tool: PackedTool) -> _Dict:
        """Return a ``FunctionToolParam``; never strict: APIs' schemas are not written for that."""
        return {"type": "function", **_function(tool), "strict": False}

    def normalized(self, tool: JsonObject) -> JsonObject:
        """Return the tool, flat: ``parse`` also takes functions in the form of Chat Completions."""
        function = tool.get("function")
        if tool.get("type") != "function" or not isinstance(function, Mapping):
            return tool
        return {"type": "function", **function}

    def choice_of(self, tool: JsonObject) -> _Dict:
        """Return ``{"type": "function", "name": ...}``, or what identifies a hosted tool."""
        return {key: tool[key] for key in ("type", "name", "server_label") if key in tool}

    def allowed_tools(self, mode: str, tools: Sequence[JsonObject]) -> _Dict:
        """Return a ``ToolChoiceAllowedParam``."""
        allowed = [self.choice_of(tool) for tool in tools]
        return {"type": "allowed_tools", "mode": mode, "tools": allowed}

    def loaded_names(self, items: Iterable[JsonObject]) -> tuple[str, ...]:
        """Return the names of the tools in ``tool_search_output`` items."""
        outputs = (item for item in items if item.get("type") == "tool_search_output")
        tools = [tool for output in outputs for tool in output.get("tools") or ()]
        return tuple(name for tool in tools if (name := tool_name(tool)))


CHAT = Chat()
RESPONSES = Responses()


def tool_name(tool: JsonObject) -> str:
    """Return the name of a function or custom tool in either form; empty for other tools."""
    if tool.get("type") not in ("function", "custom"):
        return ""
    inner = tool.get(tool["type"])
    name = (inner if isinstance(inner, Mapping) else tool).get("name")
    return name if isinstance(name, str) else ""


def callable_tools(tools: Iterable[JsonObject]) -> Iterator[JsonObject]:
    """Yield tools, with those in a namespace of Responses instead of the namespace."""
    for tool in tools:
        inner = tool.get("tools") if tool.get("type") == "namespace" else None
        if isinstance(inner, list | tuple):
            yield from (part for part in inner if isinstance(part, Mapping))
        else:
            yield tool


def as_items(conversation: Any) -> list[Any]:
    """Return a conversation's items; a string is a user message, an omitted one is empty."""
    if isinstance(conversation, str):
        return [{"role": "user", "content": conversation}]
    return list(conversation) if isinstance(conversation, Iterable) else []


def value_or_none(value: Any) -> Any:
    """Return an argument's value; None for ``openai``'s markers of an omitted one."""
    return value if isinstance(value, str | Mapping) or hasattr(value, "model_dump") else None


def as_choice(value: Any) -> Any:
    """Return a ``tool_choice`` as a string or dict; None if there is none."""
    choice = value_or_none(value)
    return as_json(choice) if hasattr(choice, "model_dump") else choice


def as_dict(tool: Any) -> _Dict:
    """Return a tool as a dict; ``openai`` objects in it as that package would send them."""
    return {key: _dumped(value) for key, value in dict(_dumped(tool)).items()}


def _dumped(value: Any) -> Any:
    if not hasattr(value, "model_dump"):
        return value
    return value.model_dump(mode="json", by_alias=True, exclude_unset=True)


def as_json(item: Any) -> _Dict:
    """Return an item of a conversation as JSON values, without empty ones.

    So an object of the ``openai`` package, its dump, and what a user kept of it become equal.
    """
    value = json.loads(json.dumps(item, default=_dump), object_hook=_without_empty)
    return value if isinstance(value, dict) else {}


def _function(tool: PackedTool) -> _Dict:
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }


def _dump(value: Any) -> Any:
    """Convert what is not JSON: ``openai`` objects, iterables, and anything else as text."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True, warnings=False)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    return str(value)


def _without_empty(value: _Dict) -> _Dict:
    return {key: part for key, part in value.items() if part not in (None, [], {})}
