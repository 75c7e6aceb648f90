"""``Toolbox``: runs tools by the names that a model calls them by."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from typing import Any

from toolret.calling.requests import is_operation
from toolret.calling.results import Runner, ToolResult, failed_result, pauses_a_graph
from toolret.calling.targets import TargetRunner, refuse_hidden
from toolret.errors import CallError
from toolret.files.plain_rows import items_of_type
from toolret.json_values import parse_json, short_repr
from toolret.options import of_kind
from toolret.permissions import Allow, fail_closed, is_allowed
from toolret.text.names import ids_by_name, wire_name
from toolret.text.results import result_text
from toolret.text.surrogates import replace_surrogates
from toolret.tracing import Span, annotate, mark_failed, span
from toolret.types import JsonObject, Tool

__all__ = ["Toolbox"]

_log = logging.getLogger(__name__)

_SPAN = "execute_tool"
"""OpenTelemetry's name for the call of a tool, and its span's name until the tool is known."""


class Toolbox:
    """Runs tools: only through ``call`` and ``acall``, directly or in what is made of them.

    Tools made from LangChain tools or Python functions run as they are; others need a runner:
    ``HttpRunner`` for API operations, ``McpServers`` for tools of MCP servers.

    It holds the tools that one of its runners can run, and runs whatever it holds. ``allowed``
    returns the part of it that a caller may use. A toolbox that can run none of the tools it is
    given logs a warning.

    Args:
        tools: The tools that may be run: from ``load_tools``, or from an index. An index's tools no
            longer know the functions that they were made from: give the loaded ones instead.
        runners: Run the tools; the first that can run a tool is used.

    Raises:
        TypeError: If something is not a ``Tool``, or not a ``Runner``.
    """

    def __init__(self, tools: Iterable[Tool], *runners: Runner) -> None:
        for runner in runners:
            of_kind("a runner", runner, Runner, "an object that runs tools, such as HttpRunner()")
        self._runners: tuple[Runner, ...] = (TargetRunner(), *runners)
        self._tools = {tool.id: tool for tool in items_of_type(tools, Tool, error=TypeError)}
        self._names = ids_by_name(self._tools)
        self._allows: tuple[Allow, ...] = ()
        if self._tools and not any(map(self._may_run, self._tools.values())):
            first = next(iter(self._tools.values()))
            _log.warning("none of the toolbox's tools can be run: %s", _cannot_be_run(first))

    def __iter__(self) -> Iterator[Tool]:
        return filter(self._may_run, self._tools.values())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        tool = self._find(name)
        return tool is not None and self._may_run(tool)

    def allowed(self, allow: Allow) -> Toolbox:
        """Return the toolbox for a caller who may use only a part of it, and learns of no other.

        Takes no time, however many tools there are: each is checked when it is called. What is
        forbidden here stays forbidden in whatever is made of it.

        Args:
            allow: The caller's permissions, as for ``ToolRetriever.select``. A predicate that fails
                forbids the tool.

        Raises:
            TypeError: If ``allow`` is a string.
            InputError: If it is a mapping, an iterator or not a collection.
        """
        view = copy(self)
        view._allows = (*self._allows, fail_closed(allow))
        return view

    def tool(self, name: str) -> Tool:
        """Return the tool that a model calls by this name, or that has this id.

        Raises:
            CallError: If there is none that the caller may use, or the name is one tool's id and
                another tool's name.
        """
        tool = self._find(name)
        if tool is None or not self._is_allowed(tool):
            raise CallError(f"there is no tool {short_repr(name)}")
        self._runner(tool)
        other = self._tools.get(name, tool)
        if other is not tool and self._may_run(other):
            raise CallError(
                f"{short_repr(name)} is one tool's id and the name of another, {tool.id!r}: call "
                f"the first by its name, {wire_name(name)!r}"
            )
        return tool

    def name_of(self, tool_id: str) -> str:
        """Return what ``call`` takes for a tool: its id, or its name if the id names another."""
        tool = self._find(tool_id)
        return tool_id if tool is None or tool.id == tool_id else wire_name(tool_id)

    def call(self, name: str, arguments: JsonObject | str | None) -> ToolResult:
        """Run a tool; if something goes wrong, the outcome says so.

        Raises only what is no failure: LangGraph's ``interrupt``, or what ends the program.

        Args:
            name: The tool's name as the model sees it, or its id.
            arguments: The arguments, or their JSON as a model wrote it, which may hold none that a
                LangChain tool hides from the model; None if there are none.
        """
        return self.call_with(
            lambda tool: self._runner(tool).call(tool, _checked_arguments(tool, arguments)),
            name,
            arguments,
        )

    async def acall(self, name: str, arguments: JsonObject | str | None) -> ToolResult:
        """``call`` for event loops."""

        async def run(tool: Tool) -> ToolResult:
            return await self._runner(tool).acall(tool, _checked_arguments(tool, arguments))

        return await self.acall_with(run, name, arguments)

    def call_with(
        self, run: Callable[[Tool], ToolResult], name: str, arguments: JsonObject | str | None
    ) -> ToolResult:
        """``call`` with ``run`` instead of the tool's runner; checked, traced and reported alike.

        Args:
            run: Runs the tool.
            name: As in ``call``.
            arguments: As in ``call``; only for the trace.
        """
        with span(_SPAN, _SPAN) as current:
            try:
                outcome = _checked_outcome(run(self._note_tool(current, name)))
            except Exception as error:  # noqa: BLE001 - tools are foreign code; the agent goes on
                return _note_error(current, name, error)
            return _note_outcome(current, arguments, outcome)

    async def acall_with(
        self,
        run: Callable[[Tool], Awaitable[ToolResult]],
        name: str,
        arguments: JsonObject | str | None,
    ) -> ToolResult:
        """``call_with`` for event loops."""
        with span(_SPAN, _SPAN) as current:
            try:
                outcome = _checked_outcome(await run(self._note_tool(current, name)))
            except Exception as error:  # noqa: BLE001 - as above
                return _note_error(current, name, error)
            return _note_outcome(current, arguments, outcome)

    def _note_tool(self, current: Span, name: str) -> Tool:
        """Return a tool and note it on the span; a name that a model made up is not noted."""
        known = self._find(name)
        if known and self._is_allowed(known) and not self._may_run(known):
            # The model is told as well, but only the program can be mended.
            _log.warning("a tool was called that nothing runs: %s", _cannot_be_run(known))
        tool = self.tool(name)
        if current.is_recording():
            current.update_name(f"{_SPAN} {tool.id}")
            annotate(current, {"gen_ai.tool.name": tool.id, "gen_ai.tool.type": "function"})
        return tool

    def _find(self, name: object) -> Tool | None:
        """Return the tool with a name or id, whether or not the caller may use it."""
        if not isinstance(name, str):
            return None
        return self._tools.get(self._names.get(name, name))

    def _is_allowed(self, tool: Tool) -> bool:
        return all(is_allowed(tool, allow) for allow in self._allows)

    def _may_run(self, tool: Tool) -> bool:
        return self._is_allowed(tool) and any(runner.runs(tool) for runner in self._runners)

    def _runner(self, tool: Tool) -> Runner:
        """Return the first runner that can run a tool.

        Raises:
            CallError: If there is none.
        """
        for runner in self._runners:
            if runner.runs(tool):
                return runner
        raise CallError(_cannot_be_run(tool))


def _cannot_be_run(tool: Tool) -> str:
    """Say that a toolbox cannot run a tool, and what to give it."""
    give = "the function that it was made from, or a Runner of your own"
    if "mcp_server" in tool.metadata:
        give = "its McpServers"
    elif is_operation(tool):
        give = "a runner for API operations, such as HttpRunner()"
    return f"{tool.id!r} cannot be run: give the Toolbox {give}"


def _checked_arguments(tool: Tool, arguments: JsonObject | str | None) -> JsonObject:
    """Return the arguments of a call, parsed; a model's hold nothing that is hidden from it.

    Raises:
        CallError: If they are no JSON object, or a model's hold something else.
    """
    parsed = _parsed_arguments(arguments)
    if isinstance(arguments, str):
        refuse_hidden(tool, parsed)
    return parsed


def _parsed_arguments(arguments: JsonObject | str | None) -> JsonObject:
    """Return the arguments of a call, parsed if they are JSON; an empty object for none.

    Raises:
        CallError: If they are no JSON object.
    """
    parsed: Any = arguments
    if isinstance(arguments, str):
        try:
            parsed = parse_json(arguments) if arguments.strip() else None
        except ValueError as exc:
            raise CallError(f"the arguments are no JSON: {exc}") from exc
    if parsed is None:  # some models write this for a call without arguments
        return {}
    if not isinstance(parsed, Mapping):
        raise CallError(f"the arguments are no JSON object, but {short_repr(parsed)}")
    return parsed


def _note_error(current: Span, name: str, error: Exception) -> ToolResult:
    """Note a tool's error on a span, and return it as an outcome for the model.

    Raises:
        Exception: The error itself, if it pauses LangGraph's run.
    """
    if pauses_a_graph(error):
        raise error
    mark_failed(current, type(error).__qualname__)
    return failed_result(name, error)


def _checked_outcome(outcome: ToolResult) -> ToolResult:
    """Return what a runner gave, with a text that can be encoded and sent.

    Raises:
        TypeError: If it is no ``ToolResult``: runners are foreign code, too.
    """
    of_kind("what the runner gave", outcome, ToolResult, "a ToolResult")
    return replace(outcome, text=replace_surrogates(result_text(outcome.text)))


def _note_outcome(
    current: Span, arguments: JsonObject | str | None, outcome: ToolResult
) -> ToolResult:
    """Note an outcome on a span, and return it."""
    if outcome.status:
        annotate(current, {"http.response.status_code": outcome.status})
    if not outcome.ok and current.is_recording():
        mark_failed(current, str(outcome.status or "tool_error"))
    annotate(
        current,
        {},
        content=lambda: {
            "gen_ai.tool.call.arguments": result_text(arguments),
            "gen_ai.tool.call.result": outcome.text,
        },
    )
    return outcome
