"""Running what a tool was made of: LangChain tools, and functions that became ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolret.calling.outcome import Outcome, outcome_text
from toolret.errors import CallError
from toolret.types import JsonObject, Tool

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["TargetRunner"]


class TargetRunner:
    """Runs the ``target`` of tools that were read from LangChain tools or functions."""

    def runs(self, tool: Tool) -> bool:
        """Whether the tool knows what it was made of."""
        return tool.target is not None

    def call(self, tool: Tool, arguments: JsonObject) -> Outcome:
        """Invoke it; raises what it raises.

        Raises:
            CallError: If it was made of an asynchronous function.
        """
        target: BaseTool = tool.target
        if getattr(target, "func", target) is None:
            raise CallError(f"{tool.id!r} is asynchronous: use acall")
        value = target.invoke(dict(arguments))
        return Outcome(outcome_text(value), value)

    async def acall(self, tool: Tool, arguments: JsonObject) -> Outcome:
        """``call`` for event loops."""
        target: BaseTool = tool.target
        value = await target.ainvoke(dict(arguments))
        return Outcome(outcome_text(value), value)
