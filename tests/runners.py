"""A runner of tools that runs nothing, and remembers what it was asked to run."""

from __future__ import annotations

from toolret.calling import ToolResult
from toolret.types import JsonObject, Tool

__all__ = ["RecordingRunner"]


class RecordingRunner:
    """A runner of all tools, whose results are their arguments."""

    def __init__(self) -> None:
        self.called: list[tuple[str, JsonObject]] = []

    @property
    def ran(self) -> list[str]:
        """The ids of the tools that ran, in order."""
        return [tool_id for tool_id, _ in self.called]

    def runs(self, tool: Tool) -> bool:
        return True

    def call(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        self.called.append((tool.id, arguments))
        return ToolResult(f"{tool.id} ran", dict(arguments))

    async def acall(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        return self.call(tool, arguments)
