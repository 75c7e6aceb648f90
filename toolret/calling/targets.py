"""Run tools by the objects that they were made from: LangChain tools and Python functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolret.calling.results import ToolResult
from toolret.errors import CallError
from toolret.json_values import short_repr
from toolret.schemas.accepted import accepted_form
from toolret.text.results import result_text
from toolret.types import JsonObject, Tool

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["TargetRunner", "refuse_hidden"]


class TargetRunner:
    """Runs the ``target`` of tools that were read from LangChain tools or functions."""

    def runs(self, tool: Tool) -> bool:
        """Whether the tool has the object that it was made from."""
        return tool.target is not None

    def call(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        """Invoke the target, whose own exceptions are not caught.

        Raises:
            CallError: If it was made from an asynchronous function.
        """
        target: BaseTool = tool.target
        if getattr(target, "func", None) is None and getattr(target, "coroutine", None):
            raise CallError(f"{tool.id!r} is asynchronous: use acall")
        value = target.invoke(dict(arguments))
        return ToolResult(result_text(value), value)

    async def acall(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        """``call`` for event loops."""
        target: BaseTool = tool.target
        value = await target.ainvoke(dict(arguments))
        return ToolResult(result_text(value), value)


def refuse_hidden(tool: Tool, arguments: JsonObject) -> None:
    """Refuse a model's arguments if a tool's target may take one that models are not shown.

    LangChain calls those injected: the program supplies them, such as the user's id. Schemas that
    allow other arguments than they list hide none.

    Raises:
        CallError: If an argument is hidden, or there is none of that name.
    """
    if tool.target is None:
        return
    shown = accepted_form(tool.parameters or {})
    if shown.get("additionalProperties") or shown.get("patternProperties"):
        return
    known = shown.get("properties", {})
    for name in arguments:
        if name not in known:
            names = ", ".join(map(repr, known)) or "none"
            raise CallError(f"{tool.id!r} has no argument {short_repr(name)}; it has {names}")
