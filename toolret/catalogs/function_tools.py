"""Convert functions to LangChain tools, whatever their arguments are called.

LangChain and pydantic reserve some names: an argument with such a name would be missing from the
schema, or lost in the call.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Any, get_type_hints

from langchain_core.callbacks import CallbackManagerForToolRun
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool, create_schema_from_function
from pydantic import BaseModel, ConfigDict, create_model

__all__ = ["function_tool"]

_LANGCHAINS = ("callbacks", "config", "run_manager")
"""Arguments that LangChain supplies, if they also have its types."""

_KEPT = frozenset({*_LANGCHAINS, "args", "kwargs", "self"})
"""Names that ``StructuredTool`` loses in the schema or in the call."""

_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def function_tool(function: Callable[..., Any]) -> StructuredTool:
    """Make a tool of a function. ``*args`` and ``**kwargs``, which have no names, are left out.

    Raises:
        ValueError: If it is an unbound method, or has an argument with a reserved name.
    """
    parameters = inspect.signature(function).parameters
    hints = get_type_hints(function, include_extras=True)
    if "self" in parameters and "self" not in hints:
        raise ValueError("it is a method without its object: give that of one")
    _check_names(parameters, hints)
    given = {name: p for name, p in parameters.items() if _is_given(p, hints.get(name))}
    is_async = inspect.iscoroutinefunction(function)
    runs: dict[str, Any] = {"coroutine" if is_async else "func": function}
    odd = (Parameter.POSITIONAL_ONLY, *_VARIADIC)
    if _KEPT.isdisjoint(given) and not any(p.kind in odd for p in parameters.values()):
        return StructuredTool.from_function(**runs, parse_docstring=True)
    schema = _schema(function, parameters, given, hints)
    return _AnyNames(
        name=function.__name__,
        description=schema.__doc__ or "",
        args_schema=schema,
        config_name=next((name for name, hint in hints.items() if hint is RunnableConfig), ""),
        **runs,
    )


class _AnyNames(StructuredTool):
    """Passes all arguments as one object, so that none clashes with LangChain's own parameters.

    Attributes:
        config_name: The argument that receives LangChain's configuration; empty if there is none.
    """

    config_name: str = ""

    def _to_args_and_kwargs(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return super()._to_args_and_kwargs(tool_input, tool_call_id), {}

    def _run(
        self,
        *given: Any,
        config: RunnableConfig,
        run_manager: CallbackManagerForToolRun | None = None,  # noqa: ARG002 - LangChain's
        **_: Any,
    ) -> Any:
        return self._called(self.func, given, config)

    async def _arun(self, *given: Any, config: RunnableConfig, **_: Any) -> Any:
        return await self._called(self.coroutine, given, config)

    def _called(self, function: Any, given: Any, config: RunnableConfig) -> Any:
        args, named = given
        if self.config_name:
            named = {**named, self.config_name: config}
        first = [
            named.pop(name)
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is Parameter.POSITIONAL_ONLY and name in named
        ]
        return function(*args, *first, **named)


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
    function: Callable[..., Any],
    parameters: Mapping[str, Parameter],
    given: Mapping[str, Parameter],
    hints: Mapping[str, Any],
) -> type[BaseModel]:
    """Return the arguments' model; LangChain reads them under neutral, unreserved names."""
    others = {name: f"argument_{number}" for number, name in enumerate(given)}
    undescribed = [f"{stars}{n}" for n in parameters.keys() - given for stars in ("", "*", "**")]

    def stand_in() -> None:
        """Do nothing: only the signature is used."""

    start, args, rest = (inspect.getdoc(function) or "").partition("\nArgs:\n")
    for name, other in others.items():
        rest = re.sub(rf"^( +){name}(?= *(\(.*\) *)?:)", rf"\1{other}", rest, flags=re.MULTILINE)
    stand_in.__doc__ = f"{start}{args}{rest}"
    stand_in.__annotations__ = dict.fromkeys(undescribed, Any) | {
        other: hints.get(name, Any) for name, other in others.items()
    }
    stand_in.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            Parameter(
                other,
                Parameter.KEYWORD_ONLY,
                default=given[name].default,
                annotation=hints.get(name, Any),
            )
            for name, other in others.items()
        ]
    )
    read = create_schema_from_function(function.__name__, stand_in, parse_docstring=True)
    if not issubclass(read, BaseModel):
        raise TypeError("its arguments are models of pydantic 1: use those of pydantic 2")
    fields = {name: read.model_fields[other] for name, other in others.items()}
    made: type[BaseModel] = create_model(
        function.__name__,
        __config__=ConfigDict(arbitrary_types_allowed=True),
        __doc__=read.__doc__,
        **{name: (field.annotation, field) for name, field in fields.items()},  # type: ignore[call-overload]
    )
    return made
