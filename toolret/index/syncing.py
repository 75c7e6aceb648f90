"""Read and write a store's collections with one embedder."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from toolret.embedders import RoleEmbedder, Vectors
from toolret.errors import EmbedderMismatchError, InputError, StoreError
from toolret.files.plain_rows import unique
from toolret.index.shelves import DEMOS, TOOLS, Item, ItemForm, Items, Shelf, Snapshot
from toolret.stores.records import KINDS, Contents, Kind, Store, StoreWriter
from toolret.text.rendering import RENDERER_VERSION

__all__ = ["Collections", "Progress", "SyncReport", "report_changes"]

_log = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[str, int, int], None]
"""A function to call while a collection is embedded: with the collection's name (``tools`` or
``demos``), the number of its items that are embedded by now, and the number to embed. If the items
come from an iterator, the latter counts those that were read so far."""

_EMBED_BATCH = 512
"""Number of texts embedded between two writes: enough for cheap writes, and few to embed again if
the process is killed."""

_CHUNK = 8 * _EMBED_BATCH
"""Number of items of an iterator held in memory: enough to batch texts of similar length."""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """Numbers of items that a change to the index affected.

    Attributes:
        added: New ids.
        changed: Known ids with new content.
        removed: Ids no longer present.
        kept: Unchanged ids.
        embedded: Texts embedded, including those when the index was opened with ``reembed``.
        added_ids: The new ids, sorted; these three are ignored in comparisons.
        changed_ids: The known ids with new content, sorted.
        removed_ids: The ids no longer present, sorted.
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    kept: int = 0
    embedded: int = 0
    added_ids: tuple[str, ...] = field(default=(), compare=False, repr=False)
    changed_ids: tuple[str, ...] = field(default=(), compare=False, repr=False)
    removed_ids: tuple[str, ...] = field(default=(), compare=False, repr=False)


def report_changes(old: Mapping[str, object], new: Mapping[str, object]) -> SyncReport:
    """Return how a collection changed, given its items or their keys by id; none is embedded."""
    added = sorted(new.keys() - old.keys())
    removed = sorted(old.keys() - new.keys())
    changed = sorted(id_ for id_, item in old.items() if new.get(id_, item) != item)
    return SyncReport(
        added=len(added),
        changed=len(changed),
        removed=len(removed),
        kept=len(old) - len(changed) - len(removed),
        added_ids=tuple(added),
        changed_ids=tuple(changed),
        removed_ids=tuple(removed),
    )


class Collections:
    """Tools and demonstrations in a store, embedded by one embedder.

    Args:
        store: The store.
        embedder: The embedder of existing and new vectors.
        progress: Called while texts are embedded.
    """

    def __init__(self, store: Store, embedder: RoleEmbedder, progress: Progress | None) -> None:
        self._store = store
        self._embedder = embedder
        self._progress = progress
        self._reembedded: dict[Kind, int] = {}

    def check(self) -> None:
        """Raise ``EmbedderMismatchError`` if a collection was embedded by another embedder."""
        spaces = self._store.spaces()
        for form in (TOOLS, DEMOS):
            self._check_space(form, spaces[form.kind])

    def ids(self, form: ItemForm[Any]) -> Collection[str]:
        """Return the published ids; inside a write they cannot change in the meantime."""
        with self._store.write(form.kind, space=self._space(form), anew=True) as writer:
            return writer.live.keys()

    def read(self, before: Snapshot | None, number: int) -> Snapshot:
        """Read the latest complete sync; lost vectors are embedded again.

        Args:
            before: The last snapshot, whose unchanged items are reused.
            number: Sequence number of this read.

        Raises:
            EmbedderMismatchError: If it was embedded by another embedder.
            StoreError: If it cannot be read.
        """
        with _without_collector():
            contents = self._store.load()
            return Snapshot(
                tools=self._shelf(TOOLS, contents["tools"], before.tools if before else None),
                demos=self._shelf(DEMOS, contents["demos"], before.demos if before else None),
                generations=tuple((contents[k].generation, contents[k].digest) for k in KINDS),
                reading=number,
            )

    def reembed(self) -> None:
        """Re-embed what another embedder embedded; write nothing if there is none."""
        contents = self._store.load()
        if not any(self._is_foreign(form, contents[form.kind]) for form in (TOOLS, DEMOS)):
            return
        with self._store.together():
            contents = self._store.load()
            self._reembed(TOOLS, contents["tools"])
            self._reembed(DEMOS, contents["demos"])

    def _is_foreign(self, form: ItemForm[Any], stored: Contents) -> bool:
        """Whether a collection holds vectors of another embedder, or of another length."""
        if not stored.records or stored.space != self._space(form):
            return bool(stored.records)
        return stored.vectors.shape[1] not in (0, self._embedder.dimensions)

    def _reembed(self, form: ItemForm[Item], stored: Contents) -> None:
        """Embed a collection again if its vectors are foreign; ``write`` reports their number."""
        if not self._is_foreign(form, stored):
            return
        items = [form.load(record.row) for record in stored.records.values()]
        if stored.space != self._space(form):
            self._reembedded[form.kind] = self.write(form, items, reembed=True).embedded
            return
        # Same embedder id, so the vector keys stay the same: only the vectors are replaced.
        texts = {r.vector_key: text for r, text in (form.record(i, stored.space) for i in items)}
        vectors = form.embed(list(texts.values()), self._embedder)
        pairs = zip(texts.items(), vectors, strict=True)
        self._store.keep({key: (text, vector) for (key, text), vector in pairs})
        self._reembedded[form.kind] = len(texts)

    def write(
        self,
        form: ItemForm[Item],
        items: Iterable[Item],
        *,
        keep: Callable[[str], bool] | None = None,
        anew: bool = False,
        reembed: bool = False,
    ) -> SyncReport:
        """Make these the items of a collection.

        Args:
            form: The kind of items.
            items: The items; an iterator is consumed in chunks.
            keep: Tells for the id of any other stored item whether it stays; by default none does.
            anew: Whether a damaged collection may be rebuilt from these items and from the readable
                ones of those kept; always allowed without ``keep``.
            reembed: Whether vectors of another embedder may be replaced.

        Raises:
            InputError: If two different items share an id, or an item cannot be stored.
            EmbedderMismatchError: If the collection was embedded by another embedder.
            EmbedderError: If the embedder fails.
            StoreError: If the store cannot be written.
        """
        anew = anew or keep is None
        with self._store.write(form.kind, space=self._space(form), anew=anew) as writer:
            if not reembed:
                self.check()  # of the other collection too: what is written must be readable
            old = writer.live
            new: dict[str, str] = {}
            stored_count = embedded = 0
            for chunk in _chunks(items, form.error):
                missing = self._collect_missing(form, writer, chunk, new)
                embedded += self._store_items(form, writer, missing, stored_count)
                stored_count += len(missing)
            wanted = {id_: key for id_, key in old.items() if keep and keep(id_)} | new
            writer.publish(wanted.values())
        embedded += self._reembedded.pop(form.kind, 0)
        return replace(report_changes(old, wanted), embedded=embedded)

    def _collect_missing(
        self,
        form: ItemForm[Item],
        writer: StoreWriter,
        items: Iterable[Item],
        keys: dict[str, str],
    ) -> list[Item]:
        """Collect the keys of items, and return the items that are not stored yet, longest first.

        Texts of similar length share a batch, which needs little padding, and the first progress
        report is the slowest.

        Args:
            form: The kind of items.
            writer: The writer of their collection.
            items: Tools or demonstrations.
            keys: Record keys by id; those of the items are added.
        """
        missing: dict[str, tuple[int, Item]] = {}
        for item in items:
            record, text = form.record(item, writer.space)
            if keys.setdefault(item.id, record.key) != record.key:
                raise form.error(
                    f"the id {item.id!r} already stands for something else: give one of them "
                    "another id",
                    place=item.origin,
                )
            if record.key not in writer.stored:
                missing[record.key] = (len(text), item)
        queue = sorted(missing.values(), key=lambda pair: pair[0], reverse=True)
        return [item for _, item in queue]

    def _store_items(
        self, form: ItemForm[Item], writer: StoreWriter, items: Sequence[Item], stored_count: int
    ) -> int:
        """Store items; return the number of texts embedded.

        Args:
            form: The kind of items.
            writer: The writer of their collection.
            items: Tools or demonstrations.
            stored_count: The number of items that were stored before, for the progress.
        """
        embedded = 0
        for start in range(0, len(items), _EMBED_BATCH):
            batch = [form.record(item, writer.space) for item in items[start:][:_EMBED_BATCH]]
            texts = {r.vector_key: text for r, text in batch if r.vector_key not in writer.known}
            vectors = form.embed(list(texts.values()), self._embedder)
            if texts and writer.live_space == writer.space:
                self._check_length(form, writer.live_length, vectors)
            new = {key: (texts[key], vector) for key, vector in zip(texts, vectors, strict=True)}
            writer.add([record for record, _ in batch], new)
            embedded += len(texts)
            if self._progress:
                done = stored_count + start + len(batch)
                self._progress(form.kind, done, stored_count + len(items))
        return embedded

    def _shelf(
        self, form: ItemForm[Item], contents: Contents, before: Shelf[Item] | None
    ) -> Shelf[Item]:
        """Return a collection in memory, with the items that the last one has parsed by now."""
        self._check_space(form, contents.space if contents.records else "")
        known = before.items.parsed(before.keys) if before else {}
        records = contents.records.values()
        items = Items((known.get(record.key, record.row) for record in records), form.load)
        texts = tuple(
            form.text(items[position]) if text is None else text
            for position, text in enumerate(contents.texts)
        )
        return Shelf(
            tuple(record.id for record in records),
            items,
            texts,
            self._complete_vectors(form, contents, texts),
            contents.changes,
            keys=tuple(contents.records),
        )

    def _complete_vectors(
        self, form: ItemForm[Any], contents: Contents, texts: Sequence[str]
    ) -> Vectors:
        """Return a collection's vectors; lost ones are embedded and stored again."""
        lost = {
            record.vector_key: position
            for position, (record, text) in enumerate(
                zip(contents.records.values(), contents.texts, strict=True)
            )
            if text is None
        }
        if not lost:
            return contents.vectors
        _log.warning("%s: embedding %d lost vectors again", self._store.place, len(lost))
        embedded = form.embed([texts[position] for position in lost.values()], self._embedder)
        self._check_length(form, contents.vectors.shape[1], embedded)
        again = dict(zip(lost, embedded, strict=True))
        vectors = np.zeros((len(texts), embedded.shape[1]), dtype=np.float32)
        if contents.vectors.size:
            vectors[:] = contents.vectors
        for position, record in enumerate(contents.records.values()):
            if record.vector_key in again:
                vectors[position] = again[record.vector_key]
        try:
            self._store.keep({key: (texts[lost[key]], again[key]) for key in lost})
        except StoreError as error:
            _log.warning("%s: they cannot be kept: %s", self._store.place, error)
        return vectors

    def _check_length(self, form: ItemForm[Any], stored: int, vectors: Vectors) -> None:
        """Raise if new vectors differ in length from stored ones that have the same embedder id."""
        if stored not in (0, vectors.shape[1]):
            raise EmbedderMismatchError(
                f"{self._store.place}: the vectors of the {form.kind} have {stored} values, but "
                f"those of {self._embedder.id!r} have {vectors.shape[1]}: give the embedder an id "
                "of its own, or pass reembed=True (toolret index --reembed) to embed everything "
                "again"
            )

    def _check_space(self, form: ItemForm[Any], stored: str) -> None:
        """Raise if a collection holds vectors of this identity, and new ones would have another."""
        space = self._space(form)
        if stored in ("", space):
            return
        if stored.startswith(f"{self._embedder.id}|{self._embedder.instructions.of(form.role)}|"):
            raise EmbedderMismatchError(
                f"{self._store.place}: the {form.kind} were embedded by another version of "
                "toolret, from other texts or with another adapter: pass reembed=True "
                "(toolret index --reembed) to embed them again"
            )
        raise EmbedderMismatchError(
            f"{self._store.place}: the {form.kind} were embedded with {stored!r}, not with "
            f"{space!r}: open it with that embedder, or pass reembed=True "
            "(toolret index --reembed) to embed everything again"
        )

    def _space(self, form: ItemForm[Any]) -> str:
        """Return the identity of a collection's vectors, which the store keeps with them."""
        return f"{self._embedder.space(form.role)}|{RENDERER_VERSION}"


def _chunks(items: Iterable[Item], error: type[InputError]) -> Iterator[Iterable[Item]]:
    """Yield an iterator in chunks, to bound memory; other iterables whole, ids checked."""
    if not isinstance(items, Iterator):
        yield unique(items, error=error)
        return
    while chunk := list(islice(items, _CHUNK)):
        yield chunk


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause Python's garbage collector, which would scan 100,000 new tools over and over."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
