"""Group a conversation into turns: what was said, which tools were called, and the results."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolret.json_values import parse_json, short_repr
from toolret.text.names import CALL, DISCOVER
from toolret.text.surrogates import drop_surrogates
from toolret.turns.contents import words_of
from toolret.turns.messages import Unread, messages_of
from toolret.types import Message

__all__ = [
    "Turn",
    "TurnCall",
    "arguments_of",
    "map_values",
    "says_failed",
    "turns",
    "value_of",
]

_INSTRUCTIONS = ("system", "developer")
"""The roles of instructions, which belong to no turn."""

_FAILED = re.compile(r"(?i)\s*(error|exception|traceback|http (?!304)[345]\d\d)(?![\w-])")
"""The beginning of a failed call's result, as toolret, LangChain and Python write it."""


@dataclass(slots=True)
class TurnCall:
    """A call of a tool in a conversation, with its result.

    Attributes:
        id: The call's id, by which its result is found.
        name: The called name, as the model wrote it.
        arguments: The arguments, as JSON or as an object.
        result: The result's text; None if the conversation does not hold it.
        failed: Whether the result says that the call failed.
    """

    id: Any
    name: str
    arguments: Any
    result: str | None = None
    failed: bool = False


@dataclass(slots=True)
class Turn:
    """A user's request in a conversation, and what was done about it.

    Attributes:
        said: The texts of the user's messages.
        calls: The calls that were made, oldest first.
        answer: The assistant's last text after the calls; empty if there is none.
    """

    said: list[str] = field(default_factory=list)
    calls: list[TurnCall] = field(default_factory=list)
    answer: str = ""


def turns(conversation: Any) -> tuple[list[Turn], list[str]]:
    """Group the messages of a conversation into turns.

    A user message starts a new turn only if there were calls since the last one did.

    Args:
        conversation: Anything that ``messages_of`` reads.

    Returns:
        The turns, oldest first, and one line for each entry that was skipped, which does not quote
        it.
    """
    grouped = [Turn()]
    by_message: list[list[TurnCall]] = []
    unread: list[str] = []
    for message in messages_of(conversation):
        if isinstance(message, Unread):
            kind = message.kind or type(message.value).__name__
            unread.append(f"an item of the type {short_repr(kind)}: it was not read")
            continue
        role, turn = message["role"], grouped[-1]
        text = words_of(message.get("content"))
        if role == "user":
            if turn.calls:
                turn = Turn()
                grouped.append(turn)
            if message.get("is_summary"):
                unread.append("a summary of earlier messages: the user did not say it")
            elif text:
                turn.said.append(text)
        elif role == "tool":
            _put_result(by_message, message, text)
        elif role == "assistant":
            turn.answer = text
            if tool_calls := message.get("tool_calls"):
                calls = [TurnCall(call["id"], **call["function"]) for call in tool_calls]
                by_message.append([*_unwrap_calls(calls)])
                turn.calls += by_message[-1]
                turn.answer = ""
        elif role not in _INSTRUCTIONS:
            unread.append(f"a message of the role {short_repr(role)}: it was not read")
    return grouped, unread


def _unwrap_calls(calls: Iterable[TurnCall]) -> Iterator[TurnCall]:
    """Yield calls without those that search for tools; of ``call_tool``, the call that it wraps."""
    for call in calls:
        if call.name == CALL:
            inner = arguments_of(call.arguments) or {}
            if isinstance(inner.get("name"), str) and "arguments" in inner:
                yield TurnCall(call.id, inner["name"], inner["arguments"])
                continue
        if call.name != DISCOVER:
            yield call


def _put_result(by_message: Sequence[Sequence[TurnCall]], message: Message, text: str) -> None:
    """Put a result into a call of its id that has none: the first of the latest such message.

    Some models use an id again later, and some servers give parallel calls the same id, or none.
    The message may be of an earlier turn, if the user spoke before the result came.
    """
    for call in (call for calls in reversed(by_message) for call in calls):
        if call.id == message.get("tool_call_id") and call.result is None:
            call.result = text
            status = message.get("status")  # of LangChain's messages; OpenAI's have none
            call.failed = status == "error" or (status != "success" and says_failed(text))
            return


def says_failed(text: str) -> bool:
    """Whether a result's text says that the call failed."""
    if _FAILED.match(text):
        return True
    value = value_of(text)
    return isinstance(value, Mapping) and (
        value.get("status") == "error"
        or any(value.get(key) for key in ("error", "isError", "is_error"))
    )


def arguments_of(arguments: Any) -> dict[str, Any] | None:
    """Return a call's arguments, which are JSON or an object; None if they are no JSON object."""
    try:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, default=str)
        value = map_values(parse_json(text or "{}", allow_lone_surrogates=True), _clean_value)
    except (RecursionError, TypeError, ValueError):
        return None
    if value is None:  # models may write null if a tool is called without arguments
        return {}
    return value if isinstance(value, dict) else None


def value_of(text: str) -> Any:
    """Return the value of a text that is JSON; any other text unchanged."""
    try:
        return map_values(parse_json(text, allow_lone_surrogates=True), _clean_value)
    except (RecursionError, ValueError):
        return text


def map_values(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a JSON value with a function applied to all its strings and numbers, and to keys."""
    if isinstance(value, Mapping):
        return {change(key): map_values(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [map_values(inner, change) for inner in value]
    return value if value is None or isinstance(value, bool) else change(value)


def _clean_value(value: Any) -> Any:
    """Return a value, without lone surrogates if it is a text."""
    return drop_surrogates(value) if isinstance(value, str) else value
