"""Read LangChain tools and Python functions."""

from __future__ import annotations

import inspect
import math
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic.errors import PydanticUserError

from toolret.catalogs.functions import schema_tool
from toolret.catalogs.source import Document
from toolret.errors import CatalogError
from toolret.types import Tool

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["PythonTools", "is_langchain_tool"]

_HARMLESS_WARNINGS = (
    "Field name .* shadows an attribute",
    "Default value .* is not JSON serializable",
)
"""Warnings of pydantic when LangChain builds models of functions, although the schema is right."""


class PythonTools:
    """Reads LangChain's ``BaseTool``s, and functions by their type hints and docstrings.

    Each tool keeps its ``BaseTool`` as ``target``, so that it can be run; a function is first
    converted to one.
    """

    reads = "LangChain tools, Python functions"

    def recognizes(self, content: Any) -> bool:
        """Whether the content is a LangChain tool, or a function or method."""
        return inspect.isroutine(content) or is_langchain_tool(content)

    def kind(self, content: Any) -> str:
        """Return whether it is a function or a LangChain tool, in words."""
        return "Python function" if inspect.isroutine(content) else "LangChain tool"

    def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
        """Yield the tool.

        Raises:
            CatalogError: If a function has no docstring, or arguments that no schema can describe.
        """
        from langchain_core.utils.function_calling import convert_to_openai_function

        content = document.content
        try:
            with warnings.catch_warnings():
                for message in _HARMLESS_WARNINGS:
                    warnings.filterwarnings("ignore", message, UserWarning)
                target = _from_function(content) if inspect.isroutine(content) else content
                function = _without_infinities(convert_to_openai_function(target))
        except (NameError, PydanticUserError, TypeError, ValueError) as exc:
            name = getattr(content, "__qualname__", None) or getattr(content, "name", "")
            raise CatalogError(
                f"no schema can be made for {name!r}: {' '.join(str(exc).split())[:200]}",
                file=document.file,
                place=document.at,
            ) from exc
        tool = schema_tool(
            function,
            document,
            schema="parameters",
            namespace=namespace,
            tags=tuple(target.tags or ()),
        )
        yield replace(tool, target=target)


def is_langchain_tool(value: Any) -> bool:
    """Whether a value is a ``BaseTool``, without importing LangChain."""
    tools = sys.modules.get("langchain_core.tools")
    return tools is not None and isinstance(value, tools.BaseTool)


def _from_function(function: Any) -> BaseTool:
    from toolret.catalogs.function_tools import function_tool

    if not (inspect.getdoc(function) or "").strip():
        raise ValueError("it has no docstring: say in one what it does")
    return function_tool(function)


def _without_infinities(value: Any) -> Any:
    """Return a schema without infinite defaults and bounds, which JSON cannot write."""
    if isinstance(value, dict):
        return {
            key: _without_infinities(part) for key, part in value.items() if not _is_infinite(part)
        }
    return list(map(_without_infinities, value)) if isinstance(value, list) else value


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
