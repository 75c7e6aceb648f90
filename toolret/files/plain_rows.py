"""Convert items to plain rows: the inverse of reading them, without validation.

Separate from ``rows``, so that opening an index does not load the validation library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from toolret.errors import InputError
from toolret.types import Call, Demo, Permissions, Tool

__all__ = ["demo_to_row", "items_of_type", "tool_to_row", "unique"]


class _Identified(Protocol):
    """A tool, a demonstration or a request."""

    @property
    def id(self) -> str: ...

    @property
    def origin(self) -> str: ...


_Item = TypeVar("_Item", bound=_Identified)

_ToolOrDemo = TypeVar("_ToolOrDemo", Tool, Demo)

_WAYS_TO_LOAD = {
    Tool: "tools, which load_tools(...) makes of files, functions and rows",
    Demo: "demonstrations, which load_demos(...) makes of files",
}
"""Descriptions of the objects to give instead of those of another type, for error messages."""


def tool_to_row(tool: Tool) -> dict[str, Any]:
    """Convert a tool to a row; ``tool_from_row`` is the inverse."""
    row: dict[str, Any] = {
        "id": tool.id,
        "name": tool.name,
        "namespace": tool.namespace,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    if tool.tags:
        row["tags"] = list(tool.tags)
    if tool.permissions:
        row["permissions"] = _permissions_to_row(tool.permissions)
    if tool.metadata:
        row["metadata"] = tool.metadata
    return row


def demo_to_row(demo: Demo) -> dict[str, Any]:
    """Convert a demonstration to a row; ``demo_from_row`` is the inverse.

    As ``Demo`` requires, the tools of its calls must come first among its tools, in order.
    """
    row: dict[str, Any] = {"id": demo.id, "text": demo.text}
    if demo.calls:
        row["calls"] = [_call_to_row(call) for call in demo.calls]
    row["tools"] = list(demo.tools)
    if demo.answer:
        row["answer"] = demo.answer
    if demo.permissions:
        row["permissions"] = _permissions_to_row(demo.permissions)
    return row


def items_of_type(
    items: Iterable[_ToolOrDemo], kind: type[_ToolOrDemo], *, error: type[Exception]
) -> Iterable[_ToolOrDemo]:
    """Return the items after checking their type; an iterator's are checked as they are consumed.

    Args:
        items: Tools or demonstrations.
        kind: The expected type.
        error: The exception type to raise.

    Raises:
        Exception: ``error``, if an item has another type, or ``items`` is not a collection.
    """
    if isinstance(items, str | Path) or not isinstance(items, Iterable):
        raise error(f"found {_in_words(items)}: give {_WAYS_TO_LOAD[kind]}")
    checked = (_check_type(item, kind, error) for item in items)
    return checked if isinstance(items, Iterator) else list(checked)


def _check_type(item: _ToolOrDemo, kind: type[_ToolOrDemo], error: type[Exception]) -> _ToolOrDemo:
    if not isinstance(item, kind):
        raise error(f"found {_in_words(item)} among them: give {_WAYS_TO_LOAD[kind]}")
    return item


def _in_words(value: object) -> str:
    """Describe an object of the wrong type, for error messages."""
    if isinstance(value, str | Path):
        return f"the text {str(value)!r}"
    return f"an object of the type {type(value).__name__}"


def unique(items: Iterable[_Item], *, error: type[InputError]) -> list[_Item]:
    """Return the items without duplicates.

    Args:
        items: Tools, demonstrations or requests.
        error: The exception type to raise.

    Raises:
        InputError: ``error``, if two different items share an id.
    """
    kept: dict[str, _Item] = {}
    for item in items:
        first = kept.setdefault(item.id, item)
        if first != item:
            raise error(
                f"the id {item.id!r} already stands for something else, given at "
                f"{first.origin or 'an unknown place'}: {_advice_on_ids(item)}",
                place=item.origin,
            )
    return list(kept.values())


def _advice_on_ids(item: _Identified) -> str:
    """Say what to do about an id that stands for two different items, for error messages."""
    way = "give one of them another id"
    if isinstance(item, Tool):
        way += (
            ", or, unless its rows say their ids, read one catalog with a namespace= of its own "
            "(NAME=CATALOG on the command line)"
        )
    return way


def _permissions_to_row(permissions: Permissions) -> list[list[str]]:
    return [sorted(names) for names in permissions]


def _call_to_row(call: Call) -> dict[str, Any]:
    row: dict[str, Any] = {"tool": call.tool, "arguments": call.arguments}
    if call.result is not None:
        row["result"] = call.result
    return row
