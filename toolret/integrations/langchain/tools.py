"""Tools as LangChain's ``BaseTool``s, which run what they stand for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langchain_core.tools import BaseTool, ToolException
from pydantic import Field

from toolret.calling import Outcome, Toolbox
from toolret.names import wire_name
from toolret.types import Tool

__all__ = ["langchain_tools"]


def langchain_tools(tools: Iterable[Tool], toolbox: Toolbox) -> list[BaseTool]:
    """LangChain tools of the names that a selection gives, for ``bind_tools`` and agents.

    Each runs its tool in the toolbox, sync and async; its artifact is the ``Outcome``. A call that
    fails is a tool message of status ``error``, from which the model may go on.

    Args:
        tools: Which, such as ``[hit.tool for hit in selection.tools]``, or all of the toolbox.
        toolbox: What runs them.
    """
    return [_langchain_tool(tool, toolbox) for tool in tools]


def _langchain_tool(tool: Tool, toolbox: Toolbox) -> BaseTool:
    return _ToolboxTool(
        name=wire_name(tool.id),
        description=tool.description,
        args_schema={"type": "object", "properties": {}, **(tool.parameters or {})},
        tool_id=tool.id,
        toolbox=toolbox,
        response_format="content_and_artifact",
        handle_tool_error=True,
        tags=list(tool.tags) or None,
        metadata={"tool_id": tool.id},
    )


class _ToolboxTool(BaseTool):
    """Not a ``StructuredTool``, which keeps the argument names ``config`` and such for itself."""

    tool_id: str
    toolbox: Any = Field(exclude=True, repr=False)

    def _run(self, /, **arguments: Any) -> tuple[str, Outcome]:
        return _answer(self.toolbox.call(self.tool_id, arguments))

    async def _arun(self, /, **arguments: Any) -> tuple[str, Outcome]:
        return _answer(await self.toolbox.acall(self.tool_id, arguments))


def _answer(outcome: Outcome) -> tuple[str, Outcome]:
    if not outcome.ok:
        raise ToolException(outcome.text)
    return outcome.text, outcome
