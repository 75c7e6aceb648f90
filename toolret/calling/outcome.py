"""What a call of a tool came to, and what can call tools."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from pydantic import ValidationError

from toolret.errors import CallError
from toolret.surrogates import whole
from toolret.types import JsonObject, Tool

__all__ = ["Outcome", "Runner", "failure", "outcome_text", "pauses_a_graph"]

_log = logging.getLogger(__name__)

_MAX_REASON = 500
"""Characters of a foreign error's message that a model is told."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to.

    Attributes:
        text: What the model is told.
        value: What came back, as a program wants it: JSON values, text or bytes.
        ok: Whether the call did what was asked; if not, ``text`` says why.
        status: The status of an HTTP response; 0 where there is none.
    """

    text: str
    value: Any = None
    ok: bool = True
    status: int = 0


class Runner(Protocol):
    """Runs tools of one kind."""

    def runs(self, tool: Tool) -> bool:
        """Whether this tool is of that kind."""
        ...

    def call(self, tool: Tool, arguments: JsonObject) -> Outcome:
        """Run it.

        Raises:
            CallError: If it cannot be called so, or no answer came.
        """
        ...

    async def acall(self, tool: Tool, arguments: JsonObject) -> Outcome:
        """``call`` for event loops."""
        ...


def outcome_text(value: Any) -> str:
    """A value as a model reads it: text as it is, all else as JSON where it can be.

    The tool has run, so that whatever it gave is told: an error would have a model try again.
    """
    if isinstance(value, str):
        return whole(value)
    written: Any
    for written in (partial(json.dumps, ensure_ascii=False, default=str), str):
        with suppress(Exception):  # keys that are no text, circles, anybody's ``__str__``
            return whole(str(written(value)))
    return f"<{type(value).__name__}>"


def failure(name: str, error: Exception) -> Outcome:
    """What a model is told of a tool that raised an error, which is logged unless it is ours."""
    if isinstance(error, CallError):
        return Outcome(whole(f"Error: {error}"), ok=False)
    _log.warning("the tool %r raised an error", name, exc_info=error)
    reason = " ".join(_reason(error).split())[:_MAX_REASON]
    return Outcome(whole(f"Error: {type(error).__name__}: {reason}".rstrip(": ")), ok=False)


def _reason(error: Exception) -> str:
    """What is wrong, but no value of an argument: a graph may have injected it, the model not."""
    if not isinstance(error, ValidationError):
        return str(error)
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = ((".".join(map(str, fault["loc"])), fault["msg"]) for fault in faults)
    return "; ".join(": ".join(filter(None, parts)) for parts in told)


def pauses_a_graph(error: Exception) -> bool:
    """Whether it is no fault of a tool, but how LangGraph waits for a human."""
    errors = sys.modules.get("langgraph.errors")
    return errors is not None and isinstance(error, errors.GraphBubbleUp)
