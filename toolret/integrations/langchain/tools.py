"""Tools as LangChain's ``BaseTool``s, which run them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, get_type_hints

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, ToolException
from pydantic import Field

from toolret.calling import Toolbox, ToolResult
from toolret.files.plain_rows import items_of_type
from toolret.options import of_kind
from toolret.schemas.accepted import accepted_form
from toolret.text.names import wire_name
from toolret.text.results import result_text
from toolret.text.surrogates import replace_surrogates
from toolret.types import Tool

__all__ = ["langchain_tools"]

_MAX_LEVELS = 200
"""How many levels of nested values LangGraph's checkpointers can store."""

_MIN_INTEGER = -(2**63)
"""The smallest integer that LangGraph's checkpointers can store."""

_MAX_INTEGER = 2**64 - 1
"""The largest integer that LangGraph's checkpointers can store."""


def langchain_tools(tools: Iterable[Tool], toolbox: Toolbox) -> list[BaseTool]:
    """Make LangChain tools, named as in a selection, for ``bind_tools`` and agents.

    Each runs its tool in the toolbox, sync and async; its artifact is the ``ToolResult``, whose
    value is the text if no checkpoint could hold the value itself. Tools made from LangChain tools
    or functions run as these do in an agent: what LangChain injects, interrupts, commands and
    artifacts pass through. A failed call becomes a tool message of status ``error``, from which the
    model may go on.

    Args:
        tools: The tools, such as ``[toolbox.tool(name) for name in selection.names]``, or the whole
            toolbox.
        toolbox: Runs them.

    Raises:
        TypeError: If ``toolbox`` is not a ``Toolbox``, or something is not a ``Tool``.
    """
    of_kind("toolbox", toolbox, Toolbox, "a Toolbox, such as Toolbox(tools)")
    tools = items_of_type(tools, Tool, error=TypeError)
    return [_langchain_tool(tool, toolbox) for tool in tools]


def _langchain_tool(tool: Tool, toolbox: Toolbox) -> BaseTool:
    # An index's tools no longer know what they were made from; the toolbox's do.
    tool_id = toolbox.name_of(tool.id)
    source = toolbox.tool(tool_id) if tool_id in toolbox else tool
    target: BaseTool | None = source.target
    if target is not None:
        schema, function = _schema_and_function(target)
        return _TargetTool(
            name=wire_name(tool.id),
            description=tool.description,
            args_schema=schema,
            return_direct=target.return_direct,
            tags=target.tags,
            metadata={**(target.metadata or {}), "tool_id": tool.id},
            extras=target.extras,
            target=target.model_copy(update={"name": wire_name(tool.id)}),
            func=function,
            tool_id=tool_id,
            toolbox=toolbox,
        )
    return _ToolboxTool(
        name=wire_name(tool.id),
        description=tool.description,
        args_schema=dict(accepted_form(tool.parameters)),
        tool_id=tool_id,
        toolbox=toolbox,
        response_format="content_and_artifact",
        handle_tool_error=True,
        tags=list(tool.tags) or None,
        metadata={"tool_id": tool.id},
    )


def _schema_and_function(target: BaseTool) -> tuple[Any, Any]:
    """Return a LangChain tool's schema and function, where LangGraph reads what to inject.

    Both hide an argument `runtime` that the model supplies: LangGraph goes by the name alone. The
    function is None too if the schema takes nothing else, or if its types cannot be read, for which
    LangGraph would end the agent's run.
    """
    schema = target.args_schema or target.get_input_schema()
    supplied: Any = target.tool_call_schema
    if isinstance(supplied, dict):
        if "runtime" in supplied.get("properties", {}):
            return schema, None
    else:
        runtime = getattr(supplied, "model_fields", {}).get("runtime")
        if runtime and runtime.annotation is not Any:  # without a type it may well be LangGraph's
            return supplied.model_json_schema(), None
    if getattr(schema, "model_config", {}).get("extra") == "forbid":
        return schema, None
    function = getattr(target, "func", None) or getattr(target, "coroutine", None)
    try:
        get_type_hints(function)
    except Exception:  # noqa: BLE001 - types may be any expression
        return schema, None
    return schema, function


class _TargetTool(BaseTool):
    """A LangChain tool under its name in the index; passes on all that it is invoked with.

    Attributes:
        func: The target's function, if LangGraph is to read there what to inject: the schema need
            not say it. What the model supplies for that is then ignored.
    """

    target: Any = Field(exclude=True, repr=False)
    func: Any = Field(default=None, exclude=True, repr=False)
    tool_id: str
    toolbox: Any = Field(exclude=True, repr=False)

    def invoke(
        self,
        input: Any,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run the tool, or say why it cannot be run."""

        def run(_: Tool) -> ToolResult:
            return _as_tool_result(self.target.invoke(input, config, **kwargs))

        return self._result(input, self.toolbox.call_with(run, self.tool_id, _arguments(input)))

    async def ainvoke(
        self,
        input: Any,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """``invoke`` for event loops."""

        async def run(_: Tool) -> ToolResult:
            return _as_tool_result(await self.target.ainvoke(input, config, **kwargs))

        return self._result(
            input, await self.toolbox.acall_with(run, self.tool_id, _arguments(input))
        )

    def _result(self, invoked_with: Any, outcome: ToolResult) -> Any:
        """Return what the tool returned; if it failed without a value, LangChain's error form."""
        if outcome.ok or outcome.value is not None:
            return outcome.value
        if not _is_call(invoked_with):
            return outcome.text
        return ToolMessage(
            outcome.text, name=self.name, tool_call_id=invoked_with["id"], status="error"
        )

    def _run(self, /, **arguments: Any) -> Any:
        return self.invoke(arguments)  # it does not come back here

    async def _arun(self, /, **arguments: Any) -> Any:
        return await self.ainvoke(arguments)


class _ToolboxTool(BaseTool):
    """Not a ``StructuredTool``, which reserves argument names such as ``config``."""

    tool_id: str
    toolbox: Any = Field(exclude=True, repr=False)

    def _run(self, /, **arguments: Any) -> tuple[str, ToolResult]:
        return _answer(self.toolbox.call(self.tool_id, arguments))

    async def _arun(self, /, **arguments: Any) -> tuple[str, ToolResult]:
        return _answer(await self.toolbox.acall(self.tool_id, arguments))


def _answer(outcome: ToolResult) -> tuple[str, ToolResult]:
    if not outcome.ok:
        raise ToolException(outcome.text)
    # A checkpointer that cannot store a message ends the run, and an API may return anything.
    kept = outcome if _is_storable(outcome.value) else replace(outcome, value=outcome.text)
    return outcome.text, kept


def _is_storable(value: Any, levels: int = _MAX_LEVELS) -> bool:
    """Whether LangGraph's checkpointers can store a value, nested in at most so many levels."""
    if isinstance(value, str | float):
        return True
    if isinstance(value, int):
        return _MIN_INTEGER <= value <= _MAX_INTEGER
    if isinstance(value, Mapping):
        keys = "".join(key for key in value if isinstance(key, str))
        if replace_surrogates(keys) != keys:
            return False
        value = value.values()
    elif not isinstance(value, list | tuple):
        return True
    return levels > 0 and all(_is_storable(part, levels - 1) for part in value)


def _as_tool_result(result: Any) -> ToolResult:
    """Return a LangChain tool's result as an outcome, with the text for the model."""
    is_message = isinstance(result, ToolMessage)
    text = result_text(result.content if is_message else result)
    return ToolResult(text, result, ok=not (is_message and result.status == "error"))


def _is_call(invoked_with: Any) -> bool:
    """Whether a tool is invoked with a model's call, not with arguments alone."""
    return isinstance(invoked_with, Mapping) and invoked_with.get("type") == "tool_call"


def _arguments(invoked_with: Any) -> Any:
    """Return the arguments with which a tool is invoked."""
    return invoked_with["args"] if _is_call(invoked_with) else invoked_with
