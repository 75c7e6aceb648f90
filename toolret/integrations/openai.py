"""The calls of an OpenAI model, run: for hand-written loops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from toolret.calling import Outcome, Toolbox
from toolret.offers import refusal

__all__ = ["arun_calls", "run_calls"]

_Call = tuple[str, str, str, bool]
"""Id, name and arguments of a call, and whether it is of the Responses API."""


def run_calls(
    reply: Any, toolbox: Toolbox, *, offered: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Run the tool calls of a reply, one after the other.

    Args:
        reply: A message of Chat Completions, or a response of Responses or its ``output``;
            objects of the ``openai`` package, or dicts.
        toolbox: What runs them.
        offered: The tools' ids by the names that the model may call: ``selection.names``. A call of
            another is not run, and the model is told so. None: all of the toolbox.

    Returns:
        One message (``function_call_output`` for Responses) for each call, in order, to put behind
        the reply; empty if it calls nothing.
    """
    messages = []
    for call in _calls(reply):
        tool, refused = _tool(call, offered)
        messages.append(_message(call, refused or toolbox.call(tool, call[2])))
    return messages


async def arun_calls(
    reply: Any, toolbox: Toolbox, *, offered: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """``run_calls`` for event loops."""
    messages = []
    for call in _calls(reply):
        tool, refused = _tool(call, offered)
        messages.append(_message(call, refused or await toolbox.acall(tool, call[2])))
    return messages


def _calls(reply: Any) -> Iterator[_Call]:
    """The function calls of a reply in either form."""
    items = _field(reply, "output") if not isinstance(reply, list) else reply
    for item in items or ():
        if _field(item, "type") == "function_call":
            yield _field(item, "call_id"), _field(item, "name"), _field(item, "arguments"), True
    for item in (_field(reply, "tool_calls") if not isinstance(reply, list) else None) or ():
        function = _field(item, "function")
        if function is not None:
            yield _field(item, "id"), _field(function, "name"), _field(function, "arguments"), False


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _tool(call: _Call, offered: Mapping[str, str] | None) -> tuple[str, Outcome | None]:
    """The name or id of the tool that is called; if it was not offered, what the model is told."""
    if offered is None or call[1] in offered:
        return (offered or {}).get(call[1], call[1]), None
    return "", Outcome(refusal(call[1], offered), ok=False)


def _message(call: _Call, outcome: Outcome) -> dict[str, Any]:
    if call[3]:
        return {"type": "function_call_output", "call_id": call[0], "output": outcome.text}
    return {"role": "tool", "tool_call_id": call[0], "content": outcome.text}
