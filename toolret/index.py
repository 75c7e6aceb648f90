"""``ToolIndex``: tools and demonstrations with their vectors, kept in a store."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np

from toolret.embedders import Embedder, Instructions, Role, RoleEmbedder, Vectors, resolve_embedder
from toolret.errors import CatalogError, DemoError, EmbedderMismatchError, InputError, StoreError
from toolret.lexical import LexicalIndex
from toolret.records import Kind, Record, Store, StoreWriter
from toolret.rows import demo_from_row, demo_to_row, tool_from_row, tool_to_row, unique
from toolret.stores import store_at
from toolret.texts import RENDERER_VERSION, tool_text
from toolret.types import Demo, JsonObject, Tool
from toolret.vectors import vector_key

__all__ = ["Progress", "Shelf", "Snapshot", "SyncReport", "ToolIndex"]

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being embedded (``tools`` or ``demos``), how many are done, of how many."""

_Item = TypeVar("_Item", Tool, Demo)

_log = logging.getLogger(__name__)

_EMBED_BATCH = 512
"""Texts embedded between two writes: enough to write at little cost, few to do again."""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a change of the index did, in numbers of items.

    Attributes:
        added: New ids.
        changed: Known ids with another content.
        removed: Ids that are gone.
        kept: Ids that are as they were.
        embedded: Texts that had to be embedded.
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    kept: int = 0
    embedded: int = 0


@dataclass(frozen=True)
class Shelf(Generic[_Item]):
    """One collection in memory, in order of ids.

    Attributes:
        items: The tools or demonstrations.
        texts: What was embedded of each.
        vectors: Unit vectors, shape ``(items, dimensions)``.
        changes: How many items were ever added or removed.
    """

    items: tuple[_Item, ...]
    texts: tuple[str, ...]
    vectors: Vectors
    changes: int

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Where each id stands."""
        return {item.id: position for position, item in enumerate(self.items)}

    @cached_property
    def lexical(self) -> LexicalIndex:
        """The words of the texts."""
        return LexicalIndex(self.texts)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An index at one moment: what a retrieval reads while syncs may run beside it."""

    tools: Shelf[Tool]
    demos: Shelf[Demo]


@dataclass(frozen=True, slots=True)
class _Form(Generic[_Item]):
    """How items of one kind are stored."""

    kind: Kind
    role: Role
    error: type[InputError]
    text: Callable[[_Item], str]
    to_row: Callable[[_Item], JsonObject]
    from_row: Callable[[JsonObject], _Item]

    def load(self, row: str) -> _Item:
        return self.from_row(json.loads(row))

    def record(self, item: _Item, space: str) -> Record:
        row = json.dumps(self.to_row(item), ensure_ascii=False, separators=(",", ":"))
        key = vector_key(space, self.text(item))
        digest = sha256(f"{key}\0{row}".encode()).hexdigest()
        return Record(key=digest, id=item.id, row=row, vector_key=key)


_TOOLS: _Form[Tool] = _Form(
    kind="tools",
    role="tool",
    error=CatalogError,
    text=tool_text,
    to_row=tool_to_row,
    from_row=tool_from_row,
)
_DEMOS: _Form[Demo] = _Form(
    kind="demos",
    role="demo",
    error=DemoError,
    text=lambda demo: demo.text,
    to_row=demo_to_row,
    from_row=demo_from_row,
)


class ToolIndex:
    """Tools and demonstrations, embedded once and kept in a store.

    Iterating gives the tools in order of their ids; ``len`` is their number.

    Args:
        place: A folder, made at the first sync; the URL of a Chroma server,
            ``http://HOST:PORT/NAME``; or what ``toolret.stores`` makes.
        embedder: A sentence-transformers name or folder, ``openai:NAME``, or any object with
            LangChain's ``embed_documents`` and ``embed_query``. By default all-MiniLM-L6-v2.
        instructions: What to put before a text of each role.
        reembed: Embed everything again if the index was built with another embedder.
        create: Whether a new index may be made.
        lock_timeout: Seconds to wait for another process that is writing; for a folder or a URL.
        progress: Called while texts are embedded.

    Raises:
        EmbedderMismatchError: If the index was built with another embedder.
        StoreError: If there is no index and none may be made, or it cannot be read.
        EmbedderError: If the embedding model cannot be found.
    """

    def __init__(
        self,
        place: str | Path | Store,
        *,
        embedder: str | Path | Embedder | RoleEmbedder | None = None,
        instructions: Instructions | None = None,
        reembed: bool = False,
        create: bool = True,
        lock_timeout: float = 60.0,
        progress: Progress | None = None,
    ) -> None:
        self._store = (
            store_at(place, lock_timeout=lock_timeout) if isinstance(place, str | Path) else place
        )
        self._progress = progress
        self._check_place(create=create)
        self.embedder = resolve_embedder(embedder, instructions=instructions)
        self._store.heal()
        if reembed:
            self._reembed(_TOOLS)
            self._reembed(_DEMOS)
        self._snapshot = Snapshot(tools=self._shelf(_TOOLS), demos=self._shelf(_DEMOS))

    @property
    def store(self) -> Store:
        """Where the index is kept."""
        return self._store

    @property
    def snapshot(self) -> Snapshot:
        """The index as this object last saw it."""
        return self._snapshot

    @property
    def demos(self) -> tuple[Demo, ...]:
        """All demonstrations, in order of their ids."""
        return self._snapshot.demos.items

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._snapshot.tools.items)

    def __len__(self) -> int:
        return len(self._snapshot.tools.items)

    def __contains__(self, tool_id: object) -> bool:
        return tool_id in self._snapshot.tools.positions

    def get(self, tool_id: str) -> Tool | None:
        """The tool with this id, or None."""
        position = self._snapshot.tools.positions.get(tool_id)
        return None if position is None else self._snapshot.tools.items[position]

    def get_demo(self, demo_id: str) -> Demo | None:
        """The demonstration with this id, or None."""
        position = self._snapshot.demos.positions.get(demo_id)
        return None if position is None else self._snapshot.demos.items[position]

    def sync(
        self, tools: Iterable[Tool], demos: Iterable[Demo] | None = None
    ) -> dict[Kind, SyncReport]:
        """``sync_tools``, then ``sync_demos`` unless ``demos`` is None.

        All of it is checked before any of it is written. Raises what the two raise.
        """
        checked = unique(tools, error=CatalogError)
        reports: dict[Kind, SyncReport] = {}
        if demos is not None:
            demos = _known(demos, {tool.id for tool in checked})
        reports["tools"] = self.sync_tools(checked)
        if demos is not None:
            reports["demos"] = self.sync_demos(demos)
        return reports

    def sync_tools(self, tools: Iterable[Tool]) -> SyncReport:
        """Make these the tools of the index; embeds only what is new or changed.

        Readers see all of it or nothing. A sync that fails or is interrupted leaves the index as
        it was, and the next one goes on where it stopped.

        Raises:
            CatalogError: If one id stands for two different tools.
            EmbedderError: If the embedder fails.
            StoreError: If the index cannot be written.
        """
        return self._change(_TOOLS, tools, drop=lambda _: True)

    def add_tools(self, tools: Iterable[Tool]) -> SyncReport:
        """Add tools, or replace those with the same ids; raises as ``sync_tools`` does."""
        return self._change(_TOOLS, tools, drop=lambda _: False)

    def remove_tools(self, tool_ids: Iterable[str]) -> SyncReport:
        """Remove tools; ids that are not there are passed over."""
        return self._change(_TOOLS, (), drop=frozenset(tool_ids).__contains__)

    def sync_demos(self, demos: Iterable[Demo]) -> SyncReport:
        """Make these the demonstrations of the index, as ``sync_tools`` does for tools.

        Raises:
            DemoError: If one names a tool that the index does not hold, or one id stands for two
                different demonstrations.
            EmbedderError: If the embedder fails.
            StoreError: If the index cannot be written.
        """
        return self._change(
            _DEMOS, _known(demos, self._snapshot.tools.positions), drop=lambda _: True
        )

    def add_demos(self, demos: Iterable[Demo]) -> SyncReport:
        """Add demonstrations, or replace those with the same ids; raises as ``sync_demos``."""
        return self._change(
            _DEMOS, _known(demos, self._snapshot.tools.positions), drop=lambda _: False
        )

    def remove_demos(self, demo_ids: Iterable[str]) -> SyncReport:
        """Remove demonstrations; ids that are not there are passed over."""
        return self._change(_DEMOS, (), drop=frozenset(demo_ids).__contains__)

    def refresh(self) -> None:
        """See what other processes have written since."""
        self._snapshot = Snapshot(tools=self._shelf(_TOOLS), demos=self._shelf(_DEMOS))

    def _change(
        self, form: _Form[_Item], items: Iterable[_Item], *, drop: Callable[[str], bool]
    ) -> SyncReport:
        report = self._write(form, items, drop=drop)
        self.refresh()
        return report

    def _write(
        self, form: _Form[_Item], items: Iterable[_Item], *, drop: Callable[[str], bool]
    ) -> SyncReport:
        """Store ``items``, and drop what else is there and ``drop`` says of its id."""
        given = unique(items, error=form.error)
        space = self._space(form)
        new = {record.id: record for record in (form.record(item, space) for item in given)}
        with self._store.write(form.kind, space=space) as writer:
            old = {record.id: record for record in writer.live.values()}
            wanted = {id_: record for id_, record in old.items() if not drop(id_)} | new
            embedded = self._store_records(form, writer, list(wanted.values()))
            writer.publish({record.key for record in wanted.values()})
        return SyncReport(
            added=len(wanted.keys() - old.keys()),
            changed=sum(old[i].key != wanted[i].key for i in wanted.keys() & old.keys()),
            removed=len(old.keys() - wanted.keys()),
            kept=sum(old[i].key == wanted[i].key for i in wanted.keys() & old.keys()),
            embedded=embedded,
        )

    def _store_records(
        self, form: _Form[_Item], writer: StoreWriter, records: Sequence[Record]
    ) -> int:
        """Store those that are not yet there; the number of texts that had to be embedded."""
        missing = [record for record in records if record.key not in writer.stored]
        cached = self._store.vectors(form.kind).get([record.vector_key for record in missing])
        at_hand = [record for record in missing if record.vector_key in cached]
        writer.add(at_hand, [cached[record.vector_key] for record in at_hand])

        texts = {
            record.vector_key: form.text(form.load(record.row))
            for record in missing
            if record.vector_key not in cached
        }
        by_vector: dict[str, list[Record]] = {key: [] for key in texts}
        for record in missing:
            if record.vector_key in by_vector:
                by_vector[record.vector_key].append(record)
        # Longest first, so that texts of one length are padded to each other, and the
        # first report of progress is the slowest.
        keys = sorted(texts, key=lambda key: len(texts[key]), reverse=True)
        for start in range(0, len(keys), _EMBED_BATCH):
            batch = keys[start : start + _EMBED_BATCH]
            vectors = self.embedder.embed([texts[key] for key in batch], form.role)
            pairs = [
                (record, vector)
                for key, vector in zip(batch, vectors, strict=True)
                for record in by_vector[key]
            ]
            writer.add([record for record, _ in pairs], [vector for _, vector in pairs])
            if self._progress:
                self._progress(form.kind, start + len(batch), len(keys))
        return len(keys)

    def _reembed(self, form: _Form[_Item]) -> None:
        contents = self._store.read(form.kind)
        if contents.space not in ("", self._space(form)):
            items = [form.load(record.row) for record in contents.records.values()]
            self._write(form, items, drop=lambda _: False)

    def _shelf(self, form: _Form[_Item]) -> Shelf[_Item]:
        contents = self._store.read(form.kind)
        if contents.records and contents.space != self._space(form):
            raise EmbedderMismatchError(
                f"{self._store.place}: the {form.kind} were embedded with {contents.space!r}, not "
                f"with {self._space(form)!r}: open it with that embedder, or pass reembed=True "
                "(--reembed) to embed everything again"
            )
        records = sorted(contents.records.values(), key=lambda record: record.id)
        items = tuple(form.load(record.row) for record in records)
        texts = tuple(form.text(item) for item in items)
        return Shelf(items, texts, self._vectors(form, records, texts), contents.changes)

    def _vectors(
        self, form: _Form[_Item], records: Sequence[Record], texts: Sequence[str]
    ) -> Vectors:
        """The records' vectors, in order; any that are lost are embedded again."""
        cache = self._store.vectors(form.kind)
        found = dict(cache.get([record.vector_key for record in records]))
        lost = {
            record.vector_key: text
            for record, text in zip(records, texts, strict=True)
            if record.vector_key not in found
        }
        if lost:
            _log.warning("%s: embedding %d lost vectors again", self._store.place, len(lost))
            vectors = self.embedder.embed(list(lost.values()), form.role)
            again = dict(zip(lost, vectors, strict=True))
            cache.put(again)
            found |= again
        if not records:
            return np.empty((0, 0), dtype=np.float32)
        return np.stack([found[record.vector_key] for record in records])

    def _space(self, form: _Form[Any]) -> str:
        return f"{self.embedder.space(form.role)}|{RENDERER_VERSION}"

    def _check_place(self, *, create: bool) -> None:
        if self._store.exists():
            return
        if not create:
            raise StoreError(
                f"{self._store.place}: there is no index here; make one with toolret index"
            )
        self._store.check_new()


def _known(demos: Iterable[Demo], tool_ids: Collection[str]) -> list[Demo]:
    """The demonstrations, if all the tools that they name are there."""
    checked = list(demos)
    for demo in checked:
        unknown = [tool for tool in demo.tools if tool not in tool_ids]
        if unknown:
            raise DemoError(
                f"demonstration {demo.id!r} names the tool {unknown[0]!r}, which the index does "
                "not hold: add its catalog, or correct the id",
                place=demo.origin,
            )
    return unique(checked, error=DemoError)
