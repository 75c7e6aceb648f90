"""Items as plain rows: the inverse of reading them, for which nothing has to be validated.

Beside ``rows``, so that an index is opened without loading what validates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from toolret.errors import InputError
from toolret.types import Call, Demo, Permissions, Tool

__all__ = ["demo_to_row", "tool_to_row", "typed", "unique"]


class _Identified(Protocol):
    """A tool, a demonstration or a request."""

    @property
    def id(self) -> str: ...

    @property
    def origin(self) -> str: ...


_Item = TypeVar("_Item", bound=_Identified)

_Typed = TypeVar("_Typed", Tool, Demo)

_MAKERS = {
    Tool: "tools, which load_tools(...) makes of files, functions and rows",
    Demo: "demonstrations, which load_demos(...) makes of files",
}


def tool_to_row(tool: Tool) -> dict[str, Any]:
    """The row of a tool: ``tool_from_row`` gives an equal tool back."""
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
    """The row of a demonstration: ``demo_from_row`` gives an equal one back.

    As ``Demo`` has it, the tools of the calls must stand first among its tools, in order.
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


def typed(
    items: Iterable[_Typed], kind: type[_Typed], *, error: type[Exception]
) -> Iterable[_Typed]:
    """The items, if all are of this kind; those of an iterator are looked at as they come.

    Args:
        items: Tools or demonstrations.
        kind: Which of the two.
        error: What to raise.

    Raises:
        Exception: ``error``, if something else is among them, or they are no collection.
    """
    if isinstance(items, str | Path) or not isinstance(items, Iterable):
        raise error(f"found {_named(items)}: give {_MAKERS[kind]}")
    checked = (_of(kind, item, error) for item in items)
    return checked if isinstance(items, Iterator) else list(checked)


def _of(kind: type[_Typed], item: _Typed, error: type[Exception]) -> _Typed:
    if not isinstance(item, kind):
        raise error(f"found {_named(item)} among them: give {_MAKERS[kind]}")
    return item


def _named(value: object) -> str:
    if isinstance(value, str | Path):
        return f"the text {str(value)!r}"
    return f"an object of the type {type(value).__name__}"


def unique(items: Iterable[_Item], *, error: type[InputError]) -> list[_Item]:
    """The items, each id once.

    Args:
        items: Tools, demonstrations or requests.
        error: What to raise.

    Raises:
        InputError: ``error``, if one id stands for two different items.
    """
    kept: dict[str, _Item] = {}
    for item in items:
        first = kept.setdefault(item.id, item)
        if first != item:
            raise error(
                f"the id {item.id!r} already stands for something else, given at "
                f"{first.origin or 'an unknown place'}: {_way_out(item)}",
                place=item.origin,
            )
    return list(kept.values())


def _way_out(item: _Identified) -> str:
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
