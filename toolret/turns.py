"""A conversation in any form, by its turns: what was said, what was called, what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolret.jsonlines import parse_json
from toolret.names import CALL, DISCOVER

__all__ = ["Asked", "Turn", "arguments_of", "clean", "mapped", "turns", "value_of"]

_FAILED = re.compile(r"\s*(error|exception|traceback|http [45]\d\d)(?![\w-])", re.IGNORECASE)
"""How results begin that say that a call failed: toolret's own, LangChain's, and Python's."""


@dataclass(slots=True)
class Asked:
    """One call, and what came of it; None while nothing has."""

    id: Any
    name: str
    arguments: Any
    result: str | None = None
    failed: bool = False


@dataclass(slots=True)
class Turn:
    """What the user said, what was called for it, and what was answered at last."""

    said: list[str] = field(default_factory=list)
    calls: list[Asked] = field(default_factory=list)
    answer: str = ""


def turns(messages: Iterable[Any]) -> list[Turn]:
    """The user's turns, each with the calls that it led to; without calls it goes on.

    Args:
        messages: Of Chat Completions, items or replies of Responses, or LangChain's; dicts or
            objects. What has another form is passed over.
    """
    found = [Turn()]
    for message in _flat(messages):
        role, turn = _role(message), found[-1]
        if role == "user":
            if turn.calls:
                turn = Turn()
                found.append(turn)
            if said := clean(_text(_field(message, "content"))).strip():
                turn.said.append(said)
        elif role == "call":
            turn.calls += _asked([_responses_call(message)])
            turn.answer = ""
        elif role == "result":
            _put_result(turn, message)
        elif role == "assistant":
            turn.answer = clean(_text(_field(message, "content")))
            calls = _field(message, "tool_calls")
            if isinstance(calls, Sequence) and calls:
                turn.calls += _asked(map(_chat_call, calls))
                turn.answer = ""
    return found


def _flat(messages: Iterable[Any]) -> Iterator[Any]:
    """The messages, with those within whole replies of the ``openai`` package."""
    for message in messages:
        output, choices = _field(message, "output"), _field(message, "choices")
        if _field(message, "object") == "response" and isinstance(output, Sequence):
            yield from output
        elif isinstance(choices, Sequence) and choices:
            yield _field(choices[0], "message")
        else:
            yield message


_ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "HumanMessageChunk": "user",
    "AIMessageChunk": "assistant",
    "tool": "result",
    "ToolMessageChunk": "result",
    "function_call": "call",
    "function_call_output": "result",
}
"""OpenAI's roles, LangChain's types of messages, and the types of Responses' items."""


def _role(message: Any) -> str:
    role = _field(message, "role") or _field(message, "type")
    return _ROLES.get(role, "") if isinstance(role, str) else ""


def _asked(calls: Iterable[Asked]) -> Iterator[Asked]:
    """Calls of tools: searches for tools are none, and ``call_tool`` is a call of what it calls."""
    for call in calls:
        if call.name == CALL:
            inner = arguments_of(call.arguments) or {}
            if isinstance(inner.get("name"), str) and "arguments" in inner:
                yield Asked(call.id, inner["name"], inner["arguments"])
                continue
        if call.name != DISCOVER:
            yield call


def _chat_call(call: Any) -> Asked:
    """Of Chat Completions, or LangChain's."""
    function = _field(call, "function") or call
    arguments = _field(function, "arguments")
    if arguments is None:
        arguments = _field(function, "args")
    return Asked(_field(call, "id"), str(_field(function, "name")), arguments)


def _responses_call(item: Any) -> Asked:
    return Asked(_field(item, "call_id"), str(_field(item, "name")), _field(item, "arguments"))


def _put_result(turn: Turn, message: Any) -> None:
    """To the last call of its id: some models use ids again."""
    id_ = _field(message, "tool_call_id") or _field(message, "call_id")
    content = _field(message, "content")
    text = clean(_text(_field(message, "output") if content is None else content))
    for call in reversed(turn.calls):
        if call.id == id_ and call.result is None:
            call.result = text
            status = _field(message, "status")  # LangChain's; OpenAI's messages have none of these
            call.failed = status == "error" or (status != "success" and _says_failed(text))
            return


def _says_failed(text: str) -> bool:
    if _FAILED.match(text):
        return True
    value = value_of(text)
    return isinstance(value, Mapping) and (
        value.get("status") == "error"
        or any(value.get(key) for key in ("error", "isError", "is_error"))
    )


def arguments_of(arguments: Any) -> dict[str, Any] | None:
    """The arguments of a call, from JSON or an object; None if they are no JSON object."""
    try:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, default=str)
        value = mapped(parse_json(text or "{}", halves=True), _clean_value)
    except (RecursionError, TypeError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def value_of(text: str) -> Any:
    """JSON if it is that, else the text."""
    try:
        return mapped(parse_json(text, halves=True), _clean_value)
    except (RecursionError, ValueError):
        return text


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """JSON with all its texts and numbers changed, keys too."""
    if isinstance(value, Mapping):
        return {change(key): mapped(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [mapped(inner, change) for inner in value]
    return value if value is None or isinstance(value, bool) else change(value)


def clean(text: str) -> str:
    """Without halves of surrogate pairs, which cannot be stored."""
    return text.encode("utf-8", "ignore").decode()


def _clean_value(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else value


def _text(content: Any) -> str:
    """The text of a message's content; images and the like have none."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, Sequence) else ()
    texts = (part if isinstance(part, str) else _field(part, "text") for part in parts)
    return "\n".join(text for text in texts if isinstance(text, str))


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
