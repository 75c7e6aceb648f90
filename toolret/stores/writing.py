"""Changes to a remote store: what is written before a sync is published."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from toolret.errors import StoreError
from toolret.forking import cached_property
from toolret.stores import ledger
from toolret.stores.cache import RecordCache
from toolret.stores.claims import Heartbeats
from toolret.stores.engines import RECORDS_PER_CALL, Document, Engine, batches
from toolret.stores.ledger import IndexHead, Part
from toolret.stores.records import Contents, Kind, Record, TextVectors
from toolret.stores.state import RemoteState

__all__ = ["RemoteChange", "RemoteWriter"]


@dataclass(frozen=True, slots=True)
class _Publication:
    """The records of a collection that are to be published.

    Attributes:
        writer: The change to the collection.
        keep: Keys of the records.
    """

    writer: RemoteWriter
    keep: frozenset[str]


class RemoteChange:
    """All that the holder of a claim changes in an index.

    Args:
        engine: The engine that holds the index.
        cache: The local cache of its records.
        state: The state before the change.
        heartbeats: Keeps the claim.

    Attributes:
        state: The state before the change.
        known: Keys of the vectors in the local cache.
    """

    def __init__(
        self, engine: Engine, cache: RecordCache, state: RemoteState, heartbeats: Heartbeats
    ) -> None:
        self.state = state
        self.known = cache.known()
        self._engine = engine
        self._cache = cache
        self._heartbeats = heartbeats
        self._publications: dict[Kind, _Publication] = {}

    def store(self, records: Sequence[Record], vectors: TextVectors) -> Iterator[tuple[str, str]]:
        """Store records; yield each one's key and document name.

        The vectors are cached locally first, so that they survive a failed sync.
        """
        self._cache.put(vectors)
        self.known |= vectors.keys()
        author = self._heartbeats.claim.author
        for batch in batches(records, RECORDS_PER_CALL):
            wanted = {record.vector_key for record in batch}
            cached = self._cache.get(wanted)
            if wanted - cached.keys():
                raise StoreError(
                    f"{self._engine.place}: this machine's cache was emptied or damaged during the "
                    "sync, and nothing was changed; sync again"
                )
            names = self._heartbeats.draft(ledger.records_stem(author), len(batch))
            self._engine.put(
                [
                    ledger.record_document(name, record, *cached[record.vector_key])
                    for name, record in zip(names, batch, strict=True)
                ]
            )
            self._cache.put_records(batch, {})
            yield from ((record.key, name) for name, record in zip(names, batch, strict=True))

    def lost(self, names: Sequence[str]) -> set[str]:
        """Return the names of documents that the engine no longer has."""
        return set(names).difference(self._engine.present(names))

    def store_again(
        self, records: Sequence[Record], contents: Contents
    ) -> Iterator[tuple[str, str]]:
        """Store records of a collection under new names, as ``store`` does."""
        keys = {record.vector_key for record in records}
        vectors = {
            record.vector_key: (text, vector)
            for record, text, vector in zip(
                contents.records.values(), contents.texts, contents.vectors, strict=True
            )
            if record.vector_key in keys and text is not None
        }
        return self.store(records, vectors)

    def publish_later(self, writer: RemoteWriter, keep: frozenset[str]) -> None:
        """Note which records of a writer's collection to publish when the change completes."""
        self._publications[writer.kind] = _Publication(writer, keep)

    def store_pages(self) -> RemoteState | None:
        """Store the new pages, and return the state to publish; None if nothing changes.

        The contents of the state are left empty.
        """
        before = self.state.head
        parts, pages = dict(before.parts), dict(self.state.pages)
        for publication in self._changes():
            writer, keep, kind = publication.writer, publication.keep, publication.writer.kind
            texts = {ledger.page_text(p): p for p in ledger.pages(writer.names_of(keep))}
            named = {ledger.page_text(page): name for name, page in self.state.pages.items()}
            named = {text: name for text, name in named.items() if name not in writer.lost}
            named |= self._put_pages([text for text in texts if text not in named])
            pages |= {named[text]: page for text, page in texts.items()}
            part = before.parts[kind]
            parts[kind] = Part(
                generation=part.generation + 1,
                changes=part.changes + len(keep.symmetric_difference(writer.live.values())),
                space=writer.space,
                pages=tuple(named[text] for text in texts),
            )
        if parts == before.parts:
            return None
        head = IndexHead(before.number + 1, self._heartbeats.claim.author, parts)
        return RemoteState(head, {name: pages[name] for name in head.pages if name in pages})

    def _changes(self) -> Iterator[_Publication]:
        """Yield the publications that change, or repair, what is published."""
        for kind, publication in self._publications.items():
            writer = publication.writer
            same = publication.keep == frozenset(writer.live.values()) and not writer.lost
            if (
                not (same and self.state.is_complete(kind))
                or writer.space != self.state.head.parts[kind].space
            ):
                yield publication

    def _put_pages(self, texts: Sequence[str]) -> dict[str, str]:
        """Store pages; return their names, by text."""
        if not texts:
            return {}
        names = self._heartbeats.draft(ledger.pages_stem(self._heartbeats.claim.author), len(texts))
        self._engine.put(
            [Document(name, {"body": text}) for name, text in zip(names, texts, strict=True)]
        )
        return dict(zip(texts, names, strict=True))


class RemoteWriter:
    """A change to one collection.

    Args:
        change: The change to the index that it is part of.
        kind: The collection.
        space: Identity of the vectors to be added.
        repairs: Whether the whole collection is supplied, so that lost documents can be replaced.

    Attributes:
        kind: The collection.
        space: Identity of the vectors to be added.
        live: Keys of the published records, by id.
        live_space: Identity of the published vectors; empty if there are none.
        live_length: Dimensions of the published vectors; 0 if there are none.
        stored: Keys of records that need not be added.
        known: Keys of vectors that need not be computed.
    """

    def __init__(
        self, change: RemoteChange, kind: Kind, *, space: str, repairs: bool = False
    ) -> None:
        records = change.state.contents[kind].records
        self.kind = kind
        self.space = space
        self.live = {record.id: record.key for record in records.values()}
        self.live_space = change.state.contents[kind].space
        self.live_length = change.state.contents[kind].vectors.shape[1]
        self._change = change
        self._repairs = repairs

    @cached_property
    def lost(self) -> Collection[str]:
        """Names of pages and records that the engine has lost, although this machine has them.

        Empty unless the whole collection is supplied.
        """
        if not self._repairs:
            return ()
        state = self._change.state
        pages = [name for name in state.head.parts[self.kind].pages if name in state.pages]
        return self._change.lost([*pages, *state.names(self.kind).values()])

    @cached_property
    def _names(self) -> dict[str, str]:
        """Names of the stored records, by key; lost ones are stored again."""
        contents = self._change.state.contents[self.kind]
        names = {
            key: name
            for key, name in self._change.state.names(self.kind).items()
            if key in contents.records and name not in self.lost
        }
        missing = [record for key, record in contents.records.items() if key not in names]
        if missing:
            names.update(self._change.store_again(missing, contents))
        return names

    @property
    def stored(self) -> Collection[str]:
        """Keys of records that need not be added."""
        return self._names.keys()

    @property
    def known(self) -> Collection[str]:
        """Keys of vectors that need not be computed."""
        return self._change.known

    def add(self, records: Sequence[Record], vectors: TextVectors) -> None:
        """Store records and the vectors that were not known, without publishing them."""
        self._names.update(self._change.store(records, vectors))

    def publish(self, keep: Collection[str]) -> None:
        """Publish exactly the records with these keys when the change ends."""
        self._change.publish_later(self, frozenset(keep))

    def names_of(self, keys: Collection[str]) -> dict[str, str]:
        """Return the document names of records, by key."""
        return {key: self._names[key] for key in keys}
