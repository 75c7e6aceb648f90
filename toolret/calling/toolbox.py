"""``Toolbox``: tools that can be run, by the names that a model calls them by."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from toolret.calling.outcome import Outcome, Runner
from toolret.calling.targets import TargetRunner
from toolret.errors import CallError
from toolret.jsonlines import parse_json, shown
from toolret.names import ids_by_name
from toolret.types import JsonObject, Tool

__all__ = ["Toolbox"]

_log = logging.getLogger(__name__)

_MAX_REASON = 500
"""Characters of a foreign error's message that a model is told."""


class Toolbox:
    """Runs tools. Nothing is called but by ``call``, ``acall`` and what is made of them.

    Tools that were read from LangChain tools or Python functions run as they are; others need a
    runner: ``HttpRunner`` for API operations, ``McpServers`` for tools of MCP servers.

    Args:
        tools: What may be run: what ``load_tools`` gave, or the tools of an index. Those of an
            index no longer know the functions that they were made of: give what was loaded.
        runners: What runs them; the first that runs a tool is taken.
    """

    def __init__(self, tools: Iterable[Tool], *runners: Runner) -> None:
        self._runners: tuple[Runner, ...] = (TargetRunner(), *runners)
        self._tools = {tool.id: tool for tool in tools}
        self._names = ids_by_name(self._tools)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._names or name in self._tools

    def tool(self, name: str) -> Tool:
        """The tool that a model calls by this name, or that has this id.

        Raises:
            CallError: If there is none.
        """
        tool = self._tools.get(self._names.get(name, name))
        if tool is None:
            raise CallError(f"there is no tool {shown(name)}")
        return tool

    def call(self, name: str, arguments: JsonObject | str) -> Outcome:
        """Run a tool. It raises nothing: what goes wrong is an outcome that says so.

        Args:
            name: As the model sees it, or a tool's id.
            arguments: The arguments, or their JSON as models write it.
        """
        try:
            tool = self.tool(name)
            return self._runner(tool).call(tool, _arguments(arguments))
        except Exception as error:  # noqa: BLE001 - a tool is anybody's code; the agent goes on
            return _failed(name, error)

    async def acall(self, name: str, arguments: JsonObject | str) -> Outcome:
        """``call`` for event loops."""
        try:
            tool = self.tool(name)
            return await self._runner(tool).acall(tool, _arguments(arguments))
        except Exception as error:  # noqa: BLE001 - as above
            return _failed(name, error)

    def _runner(self, tool: Tool) -> Runner:
        for runner in self._runners:
            if runner.runs(tool):
                return runner
        raise CallError(
            f"{tool.id!r} cannot be run: give the Toolbox a runner for it, such as HttpRunner()"
        )


def _arguments(arguments: JsonObject | str) -> JsonObject:
    if not isinstance(arguments, str):
        return arguments
    try:
        parsed: Any = parse_json(arguments) if arguments.strip() else {}
    except json.JSONDecodeError as exc:
        raise CallError(f"the arguments are no JSON: {exc}") from exc
    if not isinstance(parsed, Mapping):
        raise CallError(f"the arguments are no JSON object, but {shown(parsed)}")
    return parsed


def _failed(name: str, error: Exception) -> Outcome:
    if isinstance(error, CallError):
        return Outcome(f"Error: {error}", ok=False)
    _log.warning("the tool %r raised an error", name, exc_info=error)
    reason = " ".join(str(error).split())[:_MAX_REASON]
    return Outcome(f"Error: {type(error).__name__}: {reason}".rstrip(": "), ok=False)
