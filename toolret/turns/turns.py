"""Group a conversation into turns: what was said, which tools were called, and the results."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolret.json_values import parse_json, short_repr
from toolret.text.names import CALL, DISCOVER
from toolret.turns.contents import clean, words_of
from toolret.turns.messages import Unread, messages_of
from toolret.types import Message

__all__ = ["Turn", "TurnCall", "arguments_of", "map_values", "turns", "value_of"]

_RULES = ("system", "developer")
"""Roles of instructions, which belong to no turn."""

_FAILED = re.compile(r"\s*(error|exception|traceback|http [45]\d\d)(?![\w-])", re.IGNORECASE)
"""Beginnings of results of failed calls: toolret's own, LangChain's, and Python's."""


@dataclass(slots=True)
class TurnCall:
    """One call and its result, None until there is one."""

    id: Any
    name: str
    arguments: Any
    result: str | None = None
    failed: bool = False


@dataclass(slots=True)
class Turn:
    """What the user said, the calls made for it, and the final answer."""

    said: list[str] = field(default_factory=list)
    calls: list[TurnCall] = field(default_factory=list)
    answer: str = ""


def turns(conversation: Any) -> tuple[list[Turn], list[str]]:
    """Group messages into turns; a user message starts a new turn only after calls.

    The second list says which entries were skipped, one line each, without quoting them.

    Args:
        conversation: Anything that ``messages_of`` reads.
    """
    found = [Turn()]
    unread: list[str] = []
    for message in messages_of(conversation):
        if isinstance(message, Unread):
            kind = message.kind or type(message.value).__name__
            unread.append(f"an item of the type {short_repr(kind)}: it was not read")
            continue
        role, turn = message["role"], found[-1]
        said = words_of(message.get("content"))
        if role == "user":
            if turn.calls:
                turn = Turn()
                found.append(turn)
            if message.get("is_summary"):
                unread.append("a summary of earlier messages: the user did not say it")
            elif said:
                turn.said.append(said)
        elif role == "tool":
            _put_result(found, message, said)
        elif role == "assistant":
            turn.answer = said
            if calls := message.get("tool_calls"):
                turn.calls += _asked(map(_asked_by, calls))
                turn.answer = ""
        elif role not in _RULES:
            unread.append(f"a message of the role {short_repr(role)}: it was not read")
    return found, unread


def _asked(calls: Iterable[TurnCall]) -> Iterator[TurnCall]:
    """Yield tool calls: tool searches are skipped, and ``call_tool`` is unwrapped."""
    for call in calls:
        if call.name == CALL:
            inner = arguments_of(call.arguments) or {}
            if isinstance(inner.get("name"), str) and "arguments" in inner:
                yield TurnCall(call.id, inner["name"], inner["arguments"])
                continue
        if call.name != DISCOVER:
            yield call


def _asked_by(call: Mapping[str, Any]) -> TurnCall:
    return TurnCall(call["id"], **call["function"])


def _put_result(found: Sequence[Turn], message: Message, text: str) -> None:
    """Attach a result to the last open call of its id: some models reuse ids.

    It may be a call of an earlier turn, if the user spoke before the result came.
    """
    for call in (call for turn in reversed(found) for call in reversed(turn.calls)):
        if call.id == message.get("tool_call_id") and call.result is None:
            call.result = text
            status = message.get("status")  # LangChain's; OpenAI's messages have none of these
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
    """Read a call's arguments from JSON or an object; None if they are not a JSON object."""
    try:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, default=str)
        value = map_values(parse_json(text or "{}", allow_lone_surrogates=True), _clean_value)
    except (RecursionError, TypeError, ValueError):
        return None
    if value is None:  # as models write it that call a tool without arguments
        return {}
    return value if isinstance(value, dict) else None


def value_of(text: str) -> Any:
    """Parse a text as JSON, or return it unchanged if it is not JSON."""
    try:
        return map_values(parse_json(text, allow_lone_surrogates=True), _clean_value)
    except (RecursionError, ValueError):
        return text


def map_values(value: Any, change: Callable[[Any], Any]) -> Any:
    """Apply a function to all strings and numbers of a JSON value, including keys."""
    if isinstance(value, Mapping):
        return {change(key): map_values(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [map_values(inner, change) for inner in value]
    return value if value is None or isinstance(value, bool) else change(value)


def _clean_value(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else value
