"""Convert a conversation in any form to Chat Completions messages.

No other code needs to know the forms: Chat Completions, items and replies of Responses, Anthropic's
messages, LangChain's and the state that its agents return, and pairs of role and text; dicts or
objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolret.turns.contents import SILENT
from toolret.types import Message

__all__ = ["Unread", "field_of", "messages_of"]

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
"""OpenAI's roles, by their own names and by LangChain's message types."""

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
"""The attributes that are read from a message object."""

_REWRITTEN = ("additional_kwargs", "function_call", "tool_calls", "type")
"""The fields that are rewritten or dropped, so that messages of all forms look alike."""

_SUMMARY = "summarization"
"""The ``lc_source`` of the user message in which LangChain sums up those that it removed."""


@dataclass(frozen=True, slots=True)
class Unread:
    """An entry of a conversation that cannot be read as a message.

    Attributes:
        value: The entry itself.
        kind: The entry's type, if it is an item of the Responses API; otherwise empty.
    """

    value: Any
    kind: str = ""


def messages_of(conversation: Any) -> Iterator[Message | Unread]:
    """Yield the messages of a conversation, oldest first.

    Each message has a ``role`` and a ``content`` (text or parts). Calls are ``tool_calls``, and a
    tool's result is a message of role ``tool`` with the ``tool_call_id`` of its call. Reasoning is
    left out. A summary of earlier messages has the role ``user`` and a true ``is_summary``.

    Args:
        conversation: The messages, in any of the forms above; a text or a single message, too.
    """
    if isinstance(conversation, str):
        yield {"role": "user", "content": conversation}
    elif isinstance(conversation, Iterable) and not _is_single(conversation):
        for entry in conversation:
            yield from _read_entry(entry)
    else:
        yield from _read_entry(conversation)


def _is_single(value: Any) -> bool:
    """Whether a value is one message or reply; it may be iterable, as pydantic's objects are."""
    return isinstance(value, Mapping) or hasattr(value, "model_dump") or _is_pair(value)


def _is_pair(value: Any) -> bool:
    """Whether a value is a pair of role and text."""
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[0], str)
        and value[0] in _ROLES
    )


def _read_entry(entry: Any) -> Iterator[Message | Unread]:
    """Yield the messages of an entry of a conversation: a message, an item, or a whole reply."""
    output, choices = field_of(entry, "output"), field_of(entry, "choices")
    messages = field_of(entry, "messages")
    if field_of(entry, "object") == "response" and _is_list(output):
        yield from messages_of(output)
    elif _is_list(messages) and field_of(entry, "role") is None:
        yield from messages_of(messages)
    elif _is_list(choices) and choices:
        yield from _read_entry(field_of(choices[0], "message"))
    elif (message := _as_mapping(entry)) is None:
        yield Unread(entry)
    elif "role" in message:
        yield from _from_message(message)
    else:
        yield from _from_item(message)


def _as_mapping(entry: Any) -> Message | None:
    """Return the fields of a message with its original role, or of an item; None if neither."""
    if _is_pair(entry):
        return {"role": entry[0], "content": entry[1]}
    if isinstance(entry, Mapping) and not {"role", "content"} & entry.keys():
        inner = entry.get("data")  # as LangChain's ``messages_to_dict`` writes it
        entry = {**entry, **inner} if isinstance(inner, Mapping) else entry
    role, kind = field_of(entry, "role"), field_of(entry, "type")
    if not isinstance(role, str):
        role = kind if isinstance(kind, str) and kind in _ROLES else None
    if role is None and not isinstance(kind, str):
        return None
    names = entry if isinstance(entry, Mapping) else _FIELDS
    fields = {name: value for name in names if (value := field_of(entry, name)) is not None}
    fields.pop("role", None)
    return fields if role is None else {"role": role, **fields}


def _from_message(message: Message) -> Iterator[Message]:
    """Yield a message in OpenAI's form; before a user's message, the tool results within it."""
    role, content = _ROLES.get(message["role"], message["role"]), _as_parts(message.get("content"))
    if role == "user" and _is_list(content):
        results = [part for part in content if field_of(part, "type") == "tool_result"]
        yield from map(_from_result, results)
        content = [part for part in content if field_of(part, "type") != "tool_result"]
        if results and not content:
            return
    fields = {name: value for name, value in message.items() if name not in _REWRITTEN}
    fields |= {"role": role, "content": content or message.get("refusal") or content}
    if calls := _calls(message, content):
        fields["tool_calls"] = calls
    if field_of(message.get("additional_kwargs"), "lc_source") == _SUMMARY:
        fields["is_summary"] = True
    if message["role"] == "function":  # legacy API, in which calls had no ids
        fields["tool_call_id"] = message.get("name")
    yield fields


def _as_parts(content: Any) -> Any:
    """Return a message's content with its parts as mappings; a text unchanged."""
    if isinstance(content, Mapping):
        return [content]
    if not _is_list(content):
        return content
    return [_as_part(part) for part in content]


def _as_part(part: Any) -> Any:
    """Return a part of a content as a mapping; a text, and what has no attributes, unchanged."""
    if hasattr(part, "model_dump"):
        return part.model_dump(exclude_none=True)
    return part if isinstance(part, str | Mapping) or not hasattr(part, "__dict__") else vars(part)


def _from_result(part: Any) -> Message:
    """Convert Anthropic's tool result to a message."""
    message = _tool_message(field_of(part, "tool_use_id"), field_of(part, "content"))
    return {**message, "status": "error"} if field_of(part, "is_error") else message


def _tool_message(call_id: Any, content: Any) -> Message:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def _calls(message: Message, content: Any) -> list[Message]:
    """Return the calls of a message, from its fields or the parts of its content."""
    calls = message.get("tool_calls")
    if _is_list(calls) and calls:
        return [_call(call) for call in calls]
    if function := message.get("function_call"):
        return [_call({"id": field_of(function, "name"), "function": function})]
    parts = content if _is_list(content) else ()
    return [_call(part) for part in parts if field_of(part, "type") == "tool_use"]


def _call(call: Any) -> Message:
    """Convert a call of Chat Completions (custom too), Responses, Anthropic or LangChain."""
    function = field_of(call, "function") or field_of(call, "custom") or call
    arguments = (field_of(function, key) for key in ("arguments", "args", "input"))
    name = field_of(function, "name")
    return {
        "id": field_of(call, "call_id") or field_of(call, "id"),
        "type": "function",
        "function": {
            "name": name if isinstance(name, str) else "unknown",
            "arguments": next((value for value in arguments if value is not None), None),
        },
    }


def _from_item(item: Message) -> Iterator[Message | Unread]:
    """Convert a Responses item that is not a message to the equivalent message."""
    kind = item["type"]
    if kind.endswith("_output"):
        yield _tool_message(item.get("call_id"), item.get("output"))
    elif kind in ("function_call", "custom_tool_call"):
        yield {"role": "assistant", "content": "", "tool_calls": [_call(item)]}
    elif kind not in SILENT:
        yield Unread(item, kind)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def field_of(value: Any, name: str) -> Any:
    """Return a field of a mapping, or an attribute of an object; None if it has none."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
