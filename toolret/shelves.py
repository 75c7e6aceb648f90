"""Tools and demonstrations in memory, and how either kind is stored and read."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar, overload

import numpy as np

from toolret.embedders import Role, RoleEmbedder, Vectors
from toolret.errors import CatalogError, DemoError, InputError
from toolret.jsonlines import is_deep
from toolret.plain_rows import demo_to_row, tool_to_row
from toolret.records import Generation, Kind, Record, record_key
from toolret.texts import VIEW_WEIGHTS, tool_views
from toolret.types import Call, Demo, JsonObject, Permissions, Tool
from toolret.unit_vectors import unit
from toolret.vectors import vector_key

__all__ = ["DEMOS", "TOOLS", "Form", "Item", "Items", "Shelf", "Snapshot"]

Item = TypeVar("Item", Tool, Demo)

_MAX_DEPTH = 200
"""Levels of JSON, as for YAML: what trims and copies a schema calls itself twice for each, beneath
whatever the caller's agent has called."""


class Items(Sequence[Item]):
    """Tools or demonstrations of which each is parsed when it is first looked at, and once.

    A request looks at a few of 20,000, and parsing all would take longer than all else that has
    to be done before it is answered.

    Args:
        cells: Rows as JSON, or items that were parsed before.
        parse: Makes an item of a row.
    """

    def __init__(self, cells: Iterable[str | Item], parse: Callable[[str], Item]) -> None:
        self._cells: list[str | Item] = list(cells)
        self._parse: Callable[[str], Item] = parse
        self._parsing = threading.Lock()

    def __len__(self) -> int:
        return len(self._cells)

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Item]: ...

    def __getitem__(self, place: int | slice) -> Item | Sequence[Item]:
        if isinstance(place, slice):
            return [self._item(i) for i in range(*place.indices(len(self)))]
        return self._item(place)

    def __iter__(self) -> Iterator[Item]:
        for place, cell in enumerate(self._cells):
            yield self._item(place) if isinstance(cell, str) else cell

    def parsed(self, keys: Sequence[str]) -> dict[str, Item]:
        """The items that were looked at, by these keys of all."""
        pairs = zip(keys, self._cells, strict=True)
        return {key: cell for key, cell in pairs if not isinstance(cell, str)}

    def _item(self, place: int) -> Item:
        cell = self._cells[place]
        if isinstance(cell, str):
            with self._parsing:
                cell = self._cells[place]
                if isinstance(cell, str):
                    cell = self._cells[place] = self._parse(cell)
        return cell


@dataclass(frozen=True)
class Shelf(Generic[Item]):
    """One collection in memory, in order of ids.

    Attributes:
        ids: Of the tools or demonstrations.
        items: They themselves.
        texts: What was embedded of each.
        vectors: Unit vectors, shape ``(items, dimensions)``.
        changes: How many items were ever added or removed.
        keys: Digests of all that each item is.
    """

    ids: tuple[str, ...]
    items: Items[Item]
    texts: tuple[str, ...]
    vectors: Vectors
    changes: int
    keys: tuple[str, ...]

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Where each id stands."""
        return {id_: position for position, id_ in enumerate(self.ids)}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An index at one moment: what a retrieval reads while syncs may run beside it.

    Attributes:
        tools: The tools.
        demos: The demonstrations.
        generations: Of each one, which tell whether something else is there by now.
        reading: The number of the reading that found it: one that began later found nothing older.
    """

    tools: Shelf[Tool]
    demos: Shelf[Demo]
    generations: tuple[Generation, ...] = ()
    reading: int = 0


@dataclass(frozen=True, slots=True)
class Form(Generic[Item]):
    """How items of one kind are stored.

    Attributes:
        kind: Their collection.
        role: What their texts are to the embedder.
        error: What is raised for a wrong one.
        text: What is embedded of an item.
        weights: What each line of that counts in its vector; None if it is embedded as it is.
        to_row: An item as a JSON object.
        from_row: The inverse of ``to_row``.
    """

    kind: Kind
    role: Role
    error: type[InputError]
    text: Callable[[Item], str]
    weights: Sequence[float] | None
    to_row: Callable[[Item], JsonObject]
    from_row: Callable[[JsonObject], Item]

    def load(self, row: str) -> Item:
        """The item of a record's row."""
        return self.from_row(json.loads(row))

    def record(self, item: Item, space: str) -> tuple[Record, str]:
        """The record of an item, and the text that is embedded of it.

        Raises:
            InputError: If it holds what no file and no request to an LLM can, is nested too deep,
                or has permissions that are texts, which Python takes for collections of letters.
        """
        if wrong := [names for names in item.permissions if isinstance(names, str)]:
            raise self.error(
                f"{item.id!r}: its permissions hold the text {wrong[0]!r}: give sets of names, any "
                f"one of which is enough, such as ({{{wrong[0]!r}}},)",
                place=item.origin,
            )
        held = self.to_row(item)
        try:
            row = json.dumps(held, ensure_ascii=False, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError) as error:
            raise self.error(
                f"{item.id!r}: a part of it is no JSON: {error}", place=item.origin
            ) from error
        if row.count("{") + row.count("[") > _MAX_DEPTH and is_deep(held, _MAX_DEPTH):
            raise self.error(
                f"{item.id!r}: it is nested deeper than {_MAX_DEPTH} levels", place=item.origin
            )
        text = self.text(item)
        key = vector_key(space, text)
        try:
            return Record(record_key(key, row), item.id, row, key), text
        except UnicodeEncodeError as error:
            raise self.error(
                f"{item.id!r}: a string holds half of a surrogate pair", place=item.origin
            ) from error

    def embed(self, texts: Sequence[str], embedder: RoleEmbedder) -> Vectors:
        """Unit vectors of such texts: shape ``(texts, dimensions)``, float32.

        That of a text of several lines has the direction of the weighed sum of theirs; empty lines
        say nothing, and a text without any other is zeros.

        Raises:
            EmbedderError: As ``RoleEmbedder.embed`` does.
        """
        if self.weights is None or not texts:
            return embedder.embed(texts, self.role)
        lines = [text.split("\n") for text in texts]
        # If none says anything, an empty one tells how many dimensions there are.
        distinct = list(dict.fromkeys(line for some in lines for line in some if line)) or [""]
        vectors = embedder.embed(distinct, self.role)
        rows = {line: row for row, line in enumerate(distinct)}
        places = np.array([[rows.get(line, 0) for line in some] for some in lines])
        said = np.array([[line != "" for line in some] for some in lines])
        counts = said * np.array(self.weights, dtype=np.float32)
        sums = np.einsum("tv,tvd->td", counts, vectors[places])
        return unit(sums)


def _tool(row: JsonObject) -> Tool:
    """The inverse of ``tool_to_row``; stored rows have a digest and need no other check."""
    return Tool(
        id=row["id"],
        name=row["name"],
        namespace=row["namespace"],
        description=row["description"],
        parameters=row["parameters"],
        tags=tuple(row.get("tags", ())),
        permissions=_permissions(row),
        metadata=row.get("metadata", {}),
    )


def _demo(row: JsonObject) -> Demo:
    """The inverse of ``demo_to_row``."""
    return Demo(
        id=row["id"],
        text=row["text"],
        calls=tuple(Call(**call) for call in row.get("calls", ())),
        tools=tuple(row["tools"]),
        answer=row.get("answer", ""),
        permissions=_permissions(row),
    )


def _permissions(row: JsonObject) -> Permissions:
    return tuple(frozenset(names) for names in row.get("permissions", ()))


TOOLS: Form[Tool] = Form(
    kind="tools",
    role="tool",
    error=CatalogError,
    text=tool_views,
    weights=VIEW_WEIGHTS,
    to_row=tool_to_row,
    from_row=_tool,
)
DEMOS: Form[Demo] = Form(
    kind="demos",
    role="demo",
    error=DemoError,
    text=lambda demo: demo.text,
    weights=None,
    to_row=demo_to_row,
    from_row=_demo,
)
