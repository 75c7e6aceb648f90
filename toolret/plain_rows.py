"""Items as plain rows: the inverse of reading them, for which nothing has to be validated.

Beside ``rows``, so that an index is opened without loading what validates.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

from toolret.errors import InputError
from toolret.types import Call, Demo, Permissions, Tool

__all__ = ["demo_to_row", "tool_to_row", "unique"]


class _Identified(Protocol):
    """A tool, a demonstration or a request."""

    @property
    def id(self) -> str: ...

    @property
    def origin(self) -> str: ...


_Item = TypeVar("_Item", bound=_Identified)


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
