"""Convert a conversation in any form to Chat Completions messages.

No other code needs to know the forms: Chat Completions, items and replies of Responses, Anthropic's
messages, LangChain's, and pairs of role and text; dicts or objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolret.turns.contents import SILENT
from toolret.types import Message

__all__ = ["Unread", "messages_of"]

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "function": "tool",
    "HumanMessageChunk": "user",
    "AIMessageChunk": "assistant",
    "SystemMessageChunk": "system",
    "ToolMessageChunk": "tool",
    "FunctionMessageChunk": "tool",
} | {role: role for role in ("assistant", "developer", "system", "tool", "user")}
"""OpenAI's roles, by their names and by LangChain's message types."""

_FIELDS = (
    "additional_kwargs",
    "arguments",
    "call_id",
    "content",
    "function_call",
    "input",
    "name",
    "output",
    "refusal",
    "role",
    "status",
    "tool_call_id",
    "tool_calls",
    "type",
)
"""Attributes to read from a message object."""


_REWRITTEN = ("additional_kwargs", "function_call", "tool_calls", "type")
"""Fields that are rewritten or dropped, so that messages of all forms look alike."""

_SUMMARY = "summarization"
"""The ``lc_source`` of the user message in which LangChain sums up those that it removed."""


@dataclass(frozen=True, slots=True)
class Unread:
    """An entry of a conversation that cannot be read as a message.

    Attributes:
        value: The entry as given.
        kind: Its type, if it is a Responses item of an unsupported type; otherwise empty.
    """

    value: Any
    kind: str = ""


def messages_of(conversation: Any) -> Iterator[Message | Unread]:
    """Yield the messages of a conversation, oldest first; also accepts a text or a single message.

    Each has a ``role`` and a ``content`` (text or parts); calls are ``tool_calls``, and a tool's
    result is a message of role ``tool`` with the ``tool_call_id`` of its call. Reasoning is left
    out. A summary of earlier messages has the role ``user`` and a true ``is_summary``.
    """
    if isinstance(conversation, str):
        yield {"role": "user", "content": conversation}
    elif isinstance(conversation, Iterable) and not _is_one(conversation):
        for given in conversation:
            yield from _read(given)
    else:
        yield from _read(conversation)


def _is_one(value: Any) -> bool:
    """Whether a value is one message or reply; pydantic objects are iterable too."""
    return isinstance(value, Mapping) or hasattr(value, "model_dump") or _is_pair(value)


def _is_pair(value: Any) -> bool:
    """Whether a value is a pair of role and text."""
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[0], str)
        and value[0] in _ROLES
    )


def _read(given: Any) -> Iterator[Message | Unread]:
    output, choices = _field(given, "output"), _field(given, "choices")
    if _field(given, "object") == "response" and _is_list(output):
        yield from messages_of(output)
    elif _is_list(choices) and choices:
        yield from _read(_field(choices[0], "message"))
    elif (message := _as_mapping(given)) is None:
        yield Unread(given)
    elif "role" in message:
        yield from _from_message(message)
    else:
        yield from _from_item(message)


def _as_mapping(given: Any) -> Message | None:
    """Convert to a mapping: a message with its original role, or a typed item; None if neither."""
    if _is_pair(given):
        return {"role": given[0], "content": given[1]}
    if isinstance(given, Mapping) and not {"role", "content"} & given.keys():
        inner = given.get("data")  # as LangChain's ``messages_to_dict`` writes it
        given = {**given, **inner} if isinstance(inner, Mapping) else given
    role, kind = _field(given, "role"), _field(given, "type")
    if not isinstance(role, str):
        role = kind if isinstance(kind, str) and kind in _ROLES else None
    if role is None and not isinstance(kind, str):
        return None
    names = given if isinstance(given, Mapping) else _FIELDS
    fields = {name: value for name in names if (value := _field(given, name)) is not None}
    fields.pop("role", None)
    return fields if role is None else {"role": role, **fields}


def _from_message(message: Message) -> Iterator[Message]:
    """Yield a message; tool results inside a user message become messages of their own."""
    role, content = _ROLES.get(message["role"], message["role"]), _as_parts(message.get("content"))
    if role == "user" and _is_list(content):
        results = [part for part in content if _field(part, "type") == "tool_result"]
        yield from map(_from_result, results)
        content = [part for part in content if _field(part, "type") != "tool_result"]
        if results and not content:
            return
    told = {name: value for name, value in message.items() if name not in _REWRITTEN}
    told |= {"role": role, "content": content or message.get("refusal") or content}
    if calls := _calls(message, content):
        told["tool_calls"] = calls
    if _field(message.get("additional_kwargs"), "lc_source") == _SUMMARY:
        told["is_summary"] = True
    if message["role"] == "function":  # legacy API, in which calls had no ids
        told["tool_call_id"] = message.get("name")
    yield told


def _as_parts(content: Any) -> Any:
    """Return a content's parts as mappings, or its text."""
    if isinstance(content, Mapping):
        return [content]
    if not _is_list(content):
        return content
    return [_as_part(part) for part in content]


def _as_part(part: Any) -> Any:
    if hasattr(part, "model_dump"):
        return part.model_dump(exclude_none=True)
    return part if isinstance(part, str | Mapping) or not hasattr(part, "__dict__") else vars(part)


def _from_result(part: Any) -> Message:
    """Convert Anthropic's tool result."""
    result = _result(_field(part, "tool_use_id"), _field(part, "content"))
    return {**result, "status": "error"} if _field(part, "is_error") else result


def _result(call_id: Any, content: Any) -> Message:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def _calls(message: Message, content: Any) -> list[Message]:
    given = message.get("tool_calls")
    if _is_list(given) and given:
        return [_call(call) for call in given]
    if function := message.get("function_call"):
        return [_call({"id": _field(function, "name"), "function": function})]
    parts = content if _is_list(content) else ()
    return [_call(part) for part in parts if _field(part, "type") == "tool_use"]


def _call(call: Any) -> Message:
    """Convert a call of Chat Completions (custom too), Responses, Anthropic or LangChain."""
    function = _field(call, "function") or _field(call, "custom") or call
    given = (_field(function, name) for name in ("arguments", "args", "input"))
    named = _field(function, "name")
    return {
        "id": _field(call, "call_id") or _field(call, "id"),
        "type": "function",
        "function": {
            "name": named if isinstance(named, str) else "unknown",
            "arguments": next((arguments for arguments in given if arguments is not None), None),
        },
    }


def _from_item(item: Message) -> Iterator[Message | Unread]:
    """Convert a Responses item that is not a message to the equivalent message."""
    kind = item["type"]
    if kind.endswith("_output"):
        yield _result(item.get("call_id"), item.get("output"))
    elif kind in ("function_call", "custom_tool_call"):
        yield {"role": "assistant", "content": "", "tool_calls": [_call(item)]}
    elif kind not in SILENT:
        yield Unread(item, kind)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
