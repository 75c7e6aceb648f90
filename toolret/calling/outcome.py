"""What a call of a tool came to, and what can call tools."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from toolret.types import JsonObject, Tool

__all__ = ["Outcome", "Runner", "outcome_text"]


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
    """A value as a model reads it: text as it is, all else as JSON where it can be."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
