"""Tools and demonstrations in memory, and the form in which each kind is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

import numpy as np

from toolret.embedders import Role, RoleEmbedder, Vectors
from toolret.embedders.unit_vectors import unit
from toolret.errors import CatalogError, DemoError, InputError
from toolret.files.plain_rows import demo_to_row, tool_to_row
from toolret.forking import RenewedLock, cached_property
from toolret.json_values import compact_json, is_deeper_than, short_repr
from toolret.permissions import invalid_permissions
from toolret.stores.records import Generation, Kind, Record, record_key
from toolret.stores.vectors import vector_key
from toolret.text.rendering import VIEW_WEIGHTS, tool_views
from toolret.types import Call, Demo, JsonObject, Permissions, Tool

__all__ = ["DEMOS", "TOOLS", "Item", "ItemForm", "Items", "Shelf", "Snapshot"]

Item = TypeVar("Item", Tool, Demo)

_MAX_DEPTH = 200
"""The most levels of nesting of an item's JSON, as for YAML: trimming and copying a schema recurses
twice per level, on top of the caller's own stack."""


class Items(Sequence[Item]):
    """Tools or demonstrations, each parsed once, on first access.

    A request looks at a few of 20,000; parsing them all would take longer than everything else that
    must happen before the first answer.

    Args:
        cells: Rows as JSON, or items that are already parsed.
        parse: Parses a row into an item.
    """

    def __init__(self, cells: Iterable[str | Item], parse: Callable[[str], Item]) -> None:
        self._cells: list[str | Item] = list(cells)
        self._parse: Callable[[str], Item] = parse
        self._parsing = RenewedLock()

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
        """Return the items parsed so far, by key; ``keys`` are those of all items in order."""
        pairs = zip(keys, self._cells, strict=True)
        return {key: cell for key, cell in pairs if not isinstance(cell, str)}

    def _item(self, place: int) -> Item:
        cell = self._cells[place]
        if isinstance(cell, str):
            with self._parsing.current:
                cell = self._cells[place]
                if isinstance(cell, str):
                    cell = self._cells[place] = self._parse(cell)
        return cell


@dataclass(frozen=True)
class Shelf(Generic[Item]):
    """One collection in memory, ordered by id.

    Attributes:
        ids: Ids of the tools or demonstrations.
        items: The tools or demonstrations.
        texts: The embedded text of each.
        vectors: Unit vectors, shape ``(items, dimensions)``.
        changes: Total number of items ever added or removed.
        keys: Record key (a content hash) of each item.
    """

    ids: tuple[str, ...]
    items: Items[Item]
    texts: tuple[str, ...]
    vectors: Vectors
    changes: int
    keys: tuple[str, ...]

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """The position of each id."""
        return {id_: position for position, id_ in enumerate(self.ids)}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An index at one moment: a retrieval reads it while syncs may run concurrently.

    Attributes:
        tools: The tools.
        demos: The demonstrations.
        generations: Generation of each collection, to detect newer content in the store.
        reading: Sequence number of the read that produced it; a later read never found older data.
    """

    tools: Shelf[Tool]
    demos: Shelf[Demo]
    generations: tuple[Generation, ...] = ()
    reading: int = 0


@dataclass(frozen=True, slots=True)
class ItemForm(Generic[Item]):
    """The form in which items of one kind, tools or demonstrations, are stored and embedded.

    Attributes:
        kind: The name of their collection.
        role: The embedder's role for their texts.
        error: The exception type for invalid items.
        text: Returns the text to embed for an item.
        weights: Weight of each line of that text in the vector; None if it is embedded whole.
        to_row: Converts an item to a JSON object.
        from_row: Converts such an object to the item.
    """

    kind: Kind
    role: Role
    error: type[InputError]
    text: Callable[[Item], str]
    weights: Sequence[float] | None
    to_row: Callable[[Item], JsonObject]
    from_row: Callable[[JsonObject], Item]

    def load(self, row: str) -> Item:
        """Parse the item from a record's row."""
        return self.from_row(json.loads(row))

    def record(self, item: Item, space: str) -> tuple[Record, str]:
        """Return an item's record, and the text to embed for it.

        Raises:
            InputError: If it cannot be written as JSON in UTF-8, is nested too deeply, or has
                permissions other than sets of names.
        """
        if invalid := invalid_permissions(item.permissions):
            raise self.error(
                f"{item.id!r}: its permissions hold {short_repr(invalid[0])}: give sets of names, "
                "any one of which is enough, such as ({'admin'},)",
                place=item.origin,
            )
        fields = self.to_row(item)
        try:
            row = compact_json(fields, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise self.error(
                f"{item.id!r}: a part of it is no JSON: {error}", place=item.origin
            ) from error
        if row.count("{") + row.count("[") > _MAX_DEPTH and is_deeper_than(fields, _MAX_DEPTH):
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
        """Return the unit vectors of items' texts: shape ``(texts, dimensions)``, float32.

        With ``weights``, a vector is the normalised weighted sum of its lines' vectors; empty lines
        are skipped, and a text of empty lines only gives zeros.

        Raises:
            EmbedderError: As for ``RoleEmbedder.embed``.
        """
        if self.weights is None or not texts:
            return embedder.embed(texts, self.role)
        lines_of = [text.split("\n") for text in texts]
        # If all lines are empty, embed an empty one to learn the number of dimensions.
        distinct = list(dict.fromkeys(line for lines in lines_of for line in lines if line)) or [""]
        vectors = embedder.embed(distinct, self.role)
        rows = {line: row for row, line in enumerate(distinct)}
        places = np.array([[rows.get(line, 0) for line in lines] for lines in lines_of])
        present = np.array([[line != "" for line in lines] for lines in lines_of])
        weights = present * np.array(self.weights, dtype=np.float32)
        sums = np.einsum("tv,tvd->td", weights, vectors[places])
        return unit(sums)


def _tool_from_row(row: JsonObject) -> Tool:
    """Return the tool of a row written by ``tool_to_row``.

    Stored rows are checked by digest and not validated again.
    """
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


def _demo_from_row(row: JsonObject) -> Demo:
    """Return the demonstration of a row written by ``demo_to_row``."""
    return Demo(
        id=row["id"],
        text=row["text"],
        calls=tuple(Call(**call) for call in row.get("calls", ())),
        tools=tuple(row["tools"]),
        answer=row.get("answer", ""),
        permissions=_permissions(row),
    )


def _permissions(row: JsonObject) -> Permissions:
    # Older versions stored names that are no texts: they become texts that no caller holds.
    return tuple(
        frozenset(name if isinstance(name, str) else repr(name) for name in names)
        for names in row.get("permissions", ())
    )


TOOLS: ItemForm[Tool] = ItemForm(
    kind="tools",
    role="tool",
    error=CatalogError,
    text=tool_views,
    weights=VIEW_WEIGHTS,
    to_row=tool_to_row,
    from_row=_tool_from_row,
)
"""The form of tools."""

DEMOS: ItemForm[Demo] = ItemForm(
    kind="demos",
    role="demo",
    error=DemoError,
    text=lambda demo: demo.text,
    weights=None,
    to_row=demo_to_row,
    from_row=_demo_from_row,
)
"""The form of demonstrations."""
