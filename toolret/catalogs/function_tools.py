"""Convert functions to LangChain tools, whatever their arguments are called.

LangChain and pydantic reserve some names: an argument with such a name would be missing from the
schema, or lost in the call.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from inspect import Parameter
from typing import Annotated, Any, get_type_hints

from langchain_core.callbacks import AsyncCallbackManagerForToolRun, CallbackManagerForToolRun
from langchain_core.messages.tool import ToolOutputMixin
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import run_in_executor
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, ConfigDict, Field, create_model

from toolret.catalogs.docstrings import read_docstring
from toolret.errors import CallError
from toolret.text.results import result_text

__all__ = ["function_tool"]

_LANGCHAINS = ("callbacks", "config", "run_manager")
"""Arguments that LangChain supplies, if they also have its types."""

_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def function_tool(function: Callable[..., Any]) -> StructuredTool:
    """Make a tool of a function. ``*args`` and ``**kwargs``, which have no names, are left out.

    Raises:
        ValueError: If it is an unbound method, has an argument with a reserved name, or describes
            one that it does not have.
    """
    parameters = inspect.signature(function).parameters
    hints = get_type_hints(function, include_extras=True)
    if "self" in parameters and "self" not in hints:
        raise ValueError("it is a method without its object: give that of one")
    _check_names(parameters, hints)
    takes_more = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
    description, texts = read_docstring(
        inspect.getdoc(function) or "", parameters.keys(), more=takes_more
    )
    given = {name: p for name, p in parameters.items() if _is_given(p, hints.get(name))}
    is_async = inspect.iscoroutinefunction(function)
    runs: dict[str, Any] = {"coroutine" if is_async else "func": function}
    return _FunctionTool(
        name=function.__name__,
        description=description,
        args_schema=_schema(function.__name__, description, given, hints, texts),
        config_name=next((name for name, hint in hints.items() if hint is RunnableConfig), ""),
        **runs,
    )


class _FunctionTool(StructuredTool):
    """Runs a function as it is called from Python.

    All arguments are passed as one object, so that none clashes with LangChain's own parameters.
    Whether the result must be awaited is seen when it is there: a decorator may hide that a
    function is asynchronous. What a generator gives is returned as a list.

    Attributes:
        config_name: The argument that receives LangChain's configuration; empty if there is none.
    """

    config_name: str = ""

    async def ainvoke(
        self,
        input: Any,  # noqa: A002 - LangChain's
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run the function, in a thread if it is a plain one, and await what it returns."""
        # StructuredTool would do all of a plain function's call in that thread.
        return await BaseTool.ainvoke(self, input, config, **kwargs)

    def _to_args_and_kwargs(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, named = super()._to_args_and_kwargs(tool_input, tool_call_id)
        return (args, named, tool_call_id is not None), {}

    def _run(
        self,
        *given: Any,
        config: RunnableConfig,
        run_manager: CallbackManagerForToolRun | None = None,
        **_: Any,
    ) -> Any:
        if self.func:
            value = self._called(self.func, given, config, run_manager)
            if not (inspect.isawaitable(value) or isinstance(value, AsyncIterator)):
                return _answered(value, given)
            if inspect.iscoroutine(value):
                value.close()  # otherwise Python warns that it was never awaited
        raise CallError(f"{self.name!r} is asynchronous: use acall")

    async def _arun(
        self,
        *given: Any,
        config: RunnableConfig,
        run_manager: AsyncCallbackManagerForToolRun | None = None,
        **_: Any,
    ) -> Any:
        if self.coroutine:
            value = self._called(self.coroutine, given, config, run_manager)
        else:
            sync = run_manager.get_sync() if run_manager else None
            value = await run_in_executor(None, self._called, self.func, given, config, sync)
        while inspect.isawaitable(value):
            value = _listed(await value)
        if isinstance(value, AsyncIterator):
            value = [item async for item in value]
        return _answered(value, given)

    def _called(self, function: Any, given: Any, config: RunnableConfig, manager: Any) -> Any:
        args, named, _ = given
        parameters = inspect.signature(function).parameters
        if self.config_name:
            named = {**named, self.config_name: config}
        if manager and "callbacks" in parameters and "callbacks" not in named:
            named = {**named, "callbacks": manager.get_child()}
        first = [
            named.pop(name)
            for name, parameter in parameters.items()
            if parameter.kind is Parameter.POSITIONAL_ONLY and name in named
        ]
        return _listed(function(*args, *first, **named))


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, Iterator) else value


def _answered(value: Any, given: Any) -> Any:
    """Return a function's value, or its text where LangChain would tell a model its ``repr``."""
    *_, is_for_model = given
    several = value if isinstance(value, list) else [value]
    if not is_for_model or any(isinstance(each, ToolOutputMixin) for each in several):
        return value
    try:
        json.dumps(value)
    except Exception:  # noqa: BLE001 - as LangChain tries it
        return result_text(value)
    return value


def _check_names(parameters: Mapping[str, Parameter], hints: Mapping[str, Any]) -> None:
    for name, parameter in parameters.items():
        keeper = ""
        if parameter.default is parameter.empty and parameter.kind not in _VARIADIC:
            if _is_langchains(parameter, hints.get(name)) and hints[name] is not RunnableConfig:
                keeper = "LangChain"
            elif name.startswith("_"):
                keeper = "pydantic"
        if keeper or name == "model_config":
            keeper = keeper or "pydantic"
            raise ValueError(f"{keeper} keeps the argument {name!r} to itself: rename it")


def _is_given(parameter: Parameter, hint: Any) -> bool:
    """Whether the model supplies the argument."""
    return not (
        parameter.kind in _VARIADIC
        or parameter.name.startswith("_")
        or _is_langchains(parameter, hint)
    )


def _is_langchains(parameter: Parameter, hint: Any) -> bool:
    """Whether LangChain supplies the argument: it has one of its types, or may have."""
    if hint is RunnableConfig:
        return True
    if hint in (None, Any):
        return parameter.name in ("callbacks", "run_manager") and parameter.default is None
    return parameter.name in _LANGCHAINS and "langchain_core." in repr(hint)


def _schema(
    name: str,
    description: str,
    given: Mapping[str, Parameter],
    hints: Mapping[str, Any],
    texts: Mapping[str, str],
) -> type[BaseModel]:
    """Return the arguments' model; a docstring's texts go before those of the hints."""
    fields: dict[str, Any] = {}
    for argument, parameter in given.items():
        hint = hints.get(argument, Any)
        if any(base.__module__.startswith("pydantic.v1") for base in getattr(hint, "__mro__", ())):
            raise TypeError("its arguments are models of pydantic 1: use those of pydantic 2")
        said = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, str)]
        text = texts.get(argument) or next(iter(said), "")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[argument] = (Annotated[hint, Field(description=text)] if text else hint, default)
    made: type[BaseModel] = create_model(
        name,
        __config__=ConfigDict(arbitrary_types_allowed=True, extra="forbid"),
        __doc__=description,
        **fields,
    )
    return _as_named(made)


def _as_named(model: type[BaseModel]) -> type[BaseModel]:
    """Remove aliases and ``exclude`` from fields: LangChain would lose the arguments in calls."""
    changed = False
    for field in model.model_fields.values():
        changed = changed or bool(field.alias or field.validation_alias or field.exclude)
        field.alias = field.validation_alias = field.serialization_alias = field.exclude = None
    if changed:
        model.model_rebuild(force=True)
    return model
