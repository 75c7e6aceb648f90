"""``ToolResult``, the result of a tool's call, and the interface of what runs tools."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pydantic import ValidationError

from toolret.errors import CallError, message_of
from toolret.text.surrogates import replace_surrogates
from toolret.tracing import log_error
from toolret.types import JsonObject, Tool

__all__ = ["Runner", "ToolResult", "failed_result", "pauses_a_graph"]

_log = logging.getLogger(__name__)

_MAX_REASON = 500
"""Most characters of a foreign error's message that a model is shown."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool's call.

    Attributes:
        text: The text that the model is shown.
        value: The result for a program: JSON values, text or bytes.
        ok: Whether the call did what was asked; if not, ``text`` says why.
        status: The status code of the HTTP response; 0 if there was none.
    """

    text: str
    value: Any = None
    ok: bool = True
    status: int = 0


@runtime_checkable
class Runner(Protocol):
    """Runs tools of one kind."""

    def runs(self, tool: Tool) -> bool:
        """Whether this runner can run the tool."""
        ...

    def call(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        """Run the tool.

        Raises:
            CallError: If it cannot be called with these arguments, or no answer came.
        """
        ...

    async def acall(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        """``call`` for event loops."""
        ...


def failed_result(name: str, error: Exception) -> ToolResult:
    """Log a tool's error, unless it is a ``CallError``, and return it as a result for the model.

    The log says where it was raised, and its message only if content is captured: it may quote
    arguments.
    """
    if isinstance(error, CallError):
        return ToolResult(replace_surrogates(f"Error: {error}"), ok=False)
    log_error(_log, f"the tool {name!r}", error)
    reason = " ".join(_reason(error).split())[:_MAX_REASON]
    return ToolResult(
        replace_surrogates(f"Error: {type(error).__name__}: {reason}".rstrip(": ")), ok=False
    )


def _reason(error: Exception) -> str:
    """Return an error's message without argument values, which a graph may have injected."""
    if not isinstance(error, ValidationError):
        return message_of(error)
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    messages = ((".".join(map(str, fault["loc"])), fault["msg"]) for fault in faults)
    return "; ".join(": ".join(filter(None, parts)) for parts in messages)


def pauses_a_graph(error: Exception) -> bool:
    """Whether an error is not a tool's failure, but LangGraph's way to wait for a human."""
    errors = sys.modules.get("langgraph.errors")
    return errors is not None and isinstance(error, errors.GraphBubbleUp)
