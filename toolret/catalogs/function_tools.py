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

_LANGCHAIN_ARGUMENTS = ("callbacks", "config", "run_manager")
"""Names of the arguments that LangChain supplies, if they also have its types."""

_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
"""Kinds of the parameters ``*args`` and ``**kwargs``."""


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
    takes_others = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
    description, texts = read_docstring(
        inspect.getdoc(function) or "", parameters.keys(), allow_others=takes_others
    )
    model_parameters = {
        name: p for name, p in parameters.items() if _comes_from_model(p, hints.get(name))
    }
    is_async = inspect.iscoroutinefunction(function)
    runs: dict[str, Any] = {"coroutine" if is_async else "func": function}
    return _FunctionTool(
        name=function.__name__,
        description=description,
        args_schema=_schema(function.__name__, description, model_parameters, hints, texts),
        config_name=next((name for name, hint in hints.items() if hint is RunnableConfig), ""),
        **runs,
    )


class _FunctionTool(StructuredTool):
    """Runs a function as it is called from Python.

    All arguments are passed as one object, so that none clashes with LangChain's own parameters.
    Whether the result must be awaited is decided by the result: a decorator may hide that a
    function is asynchronous. The items of a generator are returned as a list.

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
        *packed: Any,
        config: RunnableConfig,
        run_manager: CallbackManagerForToolRun | None = None,
        **_: Any,
    ) -> Any:
        if self.func:
            value = self._call_function(self.func, packed, config, run_manager)
            if not (inspect.isawaitable(value) or isinstance(value, AsyncIterator)):
                return _readable_result(value, packed)
            if inspect.iscoroutine(value):
                value.close()  # otherwise Python warns that it was never awaited
        raise CallError(f"{self.name!r} is asynchronous: use acall")

    async def _arun(
        self,
        *packed: Any,
        config: RunnableConfig,
        run_manager: AsyncCallbackManagerForToolRun | None = None,
        **_: Any,
    ) -> Any:
        if self.coroutine:
            value = self._call_function(self.coroutine, packed, config, run_manager)
        else:
            sync = run_manager.get_sync() if run_manager else None
            value = await run_in_executor(
                None, self._call_function, self.func, packed, config, sync
            )
        while inspect.isawaitable(value):
            value = _iterator_as_list(await value)
        if isinstance(value, AsyncIterator):
            value = [item async for item in value]
        return _readable_result(value, packed)

    def _call_function(
        self, function: Any, packed: Any, config: RunnableConfig, manager: Any
    ) -> Any:
        """Call the function with the arguments that ``_to_args_and_kwargs`` packed."""
        args, named, _ = packed
        named = dict(named)
        parameters = inspect.signature(function).parameters
        if self.config_name:
            named[self.config_name] = config
        if manager and "callbacks" in parameters and "callbacks" not in named:
            named["callbacks"] = manager.get_child()
        positional = [
            named.pop(name)
            for name, parameter in parameters.items()
            if parameter.kind is Parameter.POSITIONAL_ONLY and name in named
        ]
        return _iterator_as_list(function(*args, *positional, **named))


def _iterator_as_list(value: Any) -> Any:
    """Return the items of an iterator as a list, and any other value as it is."""
    return list(value) if isinstance(value, Iterator) else value


def _readable_result(value: Any, packed: Any) -> Any:
    """Return a function's value, or its text where LangChain would show a model its ``repr``."""
    *_, is_for_model = packed
    items = value if isinstance(value, list) else [value]
    if not is_for_model or any(isinstance(item, ToolOutputMixin) for item in items):
        return value
    try:
        json.dumps(value)
    except Exception:  # noqa: BLE001 - as LangChain tries it
        return result_text(value)
    return value


def _check_names(parameters: Mapping[str, Parameter], hints: Mapping[str, Any]) -> None:
    """Raise a ``ValueError`` if an argument that the model has to supply has a reserved name."""
    for name, parameter in parameters.items():
        hint = hints.get(name)
        is_needed = parameter.default is parameter.empty and parameter.kind not in _VARIADIC
        owner = ""
        if is_needed and _comes_from_langchain(parameter, hint) and hint is not RunnableConfig:
            owner = "LangChain"
        elif name == "model_config" or (is_needed and name.startswith("_")):
            owner = "pydantic"
        if owner:
            raise ValueError(f"{owner} keeps the argument {name!r} to itself: rename it")


def _comes_from_model(parameter: Parameter, hint: Any) -> bool:
    """Whether the model supplies the argument."""
    return not (
        parameter.kind in _VARIADIC
        or parameter.name.startswith("_")
        or _comes_from_langchain(parameter, hint)
    )


def _comes_from_langchain(parameter: Parameter, hint: Any) -> bool:
    """Whether LangChain supplies the argument, going by its type or, without one, its name."""
    if hint is RunnableConfig:
        return True
    if hint in (None, Any):
        return parameter.name in ("callbacks", "run_manager") and parameter.default is None
    return parameter.name in _LANGCHAIN_ARGUMENTS and "langchain_core." in repr(hint)


def _schema(
    name: str,
    description: str,
    model_parameters: Mapping[str, Parameter],
    hints: Mapping[str, Any],
    texts: Mapping[str, str],
) -> type[BaseModel]:
    """Return a pydantic model of the arguments; texts of the docstring win over those of hints."""
    fields: dict[str, Any] = {}
    for argument, parameter in model_parameters.items():
        hint = hints.get(argument, Any)
        if any(base.__module__.startswith("pydantic.v1") for base in getattr(hint, "__mro__", ())):
            raise TypeError("its arguments are models of pydantic 1: use those of pydantic 2")
        notes = [note for note in getattr(hint, "__metadata__", ()) if isinstance(note, str)]
        text = texts.get(argument) or next(iter(notes), "")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[argument] = (Annotated[hint, Field(description=text)] if text else hint, default)
    model: type[BaseModel] = create_model(
        name,
        __config__=ConfigDict(arbitrary_types_allowed=True, extra="forbid"),
        __doc__=description,
        **fields,
    )
    return _without_aliases(model)


def _without_aliases(model: type[BaseModel]) -> type[BaseModel]:
    """Remove aliases and ``exclude`` from a model's fields, and return the model.

    LangChain would lose arguments with these in calls.
    """
    changed = False
    for field in model.model_fields.values():
        changed = changed or bool(field.alias or field.validation_alias or field.exclude)
        field.alias = field.validation_alias = field.serialization_alias = field.exclude = None
    if changed:
        model.model_rebuild(force=True)
    return model
