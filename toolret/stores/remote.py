"""A store beyond this machine: the place of record is an engine, reading is from memory.

A sync stores records under names of its own, then the pages that changed, then creates the next
head. Readers see the newest head, so they see a sync whole or not at all. Two writers wait for
each other by a claim; should both go on (one was taken for dead), only one can create the head,
and the other has changed nothing: that much rests on ``Engine.create`` alone, not on clocks.
What a sync made superfluous is deleted after it, and again by the next one if that failed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolret.errors import StoreError, StoreLockedError
from toolret.records import Contents, Kind, Record
from toolret.stores import ledger
from toolret.stores.cache import RecordCache, cache_folder
from toolret.stores.claims import Beating, claim_next
from toolret.stores.engines import Document, Engine
from toolret.stores.ledger import Claim, Head

__all__ = ["RemoteStore", "State"]

_log = logging.getLogger(__name__)

_BATCH = 500
"""Records in one call of an engine: with their vectors some megabytes."""

_READ_TRIES = 5
"""A sync during a read may delete what is being read, and the reader starts again."""

_AHEAD = 16
"""So many heads are kept, and looked for beyond the newest that is known."""

_LEASE = 10.0
"""Seconds without a sign of life, by this machine's clock, that make a writer dead to others."""


@dataclass(frozen=True, slots=True)
class State:
    """What this process knows of a collection.

    Attributes:
        head: The sync that it is of.
        pages: What each of the head's pages holds: names of records, by key.
        contents: What the index is given.
    """

    head: Head = field(default_factory=Head)
    pages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    contents: Contents = field(default_factory=Contents)

    @property
    def names(self) -> dict[str, str]:
        """The names of the records' documents, by key."""
        return {key: name for page in self.pages.values() for key, name in page.items()}


class RemoteStore:
    """An index in an engine that several machines reach.

    Args:
        engine: Where the records are.
        cache: A folder of this machine for what was fetched; by default one in the user's cache.
            Processes may share it. It may be deleted at any time.
        lock_timeout: Seconds that a writer waits for another one.
        lease: Seconds without a sign of life after which another writer is taken for dead.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        cache: str | Path | None = None,
        lock_timeout: float = 60.0,
        lease: float = _LEASE,
    ) -> None:
        folder = Path(cache) if cache else cache_folder(engine.place)
        self.engine = engine
        self.lock_timeout = lock_timeout
        self.lease = lease
        self._caches: dict[Kind, RecordCache] = {
            "tools": RecordCache(folder / "tools.sqlite3"),
            "demos": RecordCache(folder / "demos.sqlite3"),
        }
        self._states: dict[Kind, State] = {"tools": State(), "demos": State()}
        self._reading = threading.Lock()

    @property
    def place(self) -> str:
        """The engine's address."""
        return self.engine.place

    def exists(self) -> bool:
        """Whether an index was ever written here."""
        return any(self._newest(kind).number for kind in self._states)

    def check_new(self) -> None:
        """Other data in the same engine does not matter."""

    def heal(self) -> None:
        """Nothing: what a killed writer left is in no reader's way."""

    def vectors(self, kind: Kind) -> RecordCache:
        """The vectors of a collection that are on this machine."""
        return self._caches[kind]

    def read(self, kind: Kind) -> Contents:
        """A collection as of its latest complete sync; one small request if that is known."""
        return self.state(kind).contents

    def load_fit(self) -> bytes | None:
        """What some machine learnt last."""
        found = self.engine.get(["fit"])
        return found["fit"]["body"].encode() if found else None

    def keep_fit(self, fit: bytes) -> None:
        """Keep it for all machines, so that they rank alike."""
        self.engine.put([Document("fit", {"body": fit.decode()})])

    @contextmanager
    def write(self, kind: Kind, *, space: str) -> Iterator[RemoteWriter]:
        """Change a collection; nothing is visible to readers before ``RemoteWriter.publish``.

        Raises:
            StoreLockedError: If another writer kept the collection for too long, or was faster.
            StoreError: If the engine fails.
        """
        state, claim = self._claimed(kind)
        with Beating(self.engine, kind, claim, every=self.lease / 4) as beating:
            self._clean(kind, state)
            self._adopt(kind, claim)
            yield RemoteWriter(self, kind, state, beating, space=space)

    def state(self, kind: Kind, *, repairing: bool = False) -> State:
        """What the newest head says, with its records.

        Args:
            kind: The collection.
            repairing: Do without records that are not there, for a writer that will store them.
        """
        with self._reading:
            for _ in range(_READ_TRIES):
                known = self._states[kind]
                head = self._newest(kind)
                if head == known.head:
                    return known
                read = self._read(kind, head, known, repairing=repairing)
                if read is None:
                    continue
                if not (repairing and len(read.contents.records) < len(read.names)):
                    self._states[kind] = read
                return read
        raise StoreError(
            f"{self.place}: records of the {kind} are not there, deleted by someone else or by "
            "syncs in too quick a succession; if it stays so, sync the index from this machine"
        )

    def _newest(self, kind: Kind) -> Head:
        start = self._states[kind].head.number
        hint = f"{kind}/latest"
        while True:
            names = [Head.name(kind, start + i) for i in range(_AHEAD + 1)]
            found = self.engine.get([hint, *names])
            heads = [Head.of(found[n], place=self.place) for n in names if n in found]
            newest = max(heads, key=lambda head: head.number, default=Head())
            latest = int(found[hint]["number"]) if hint in found else 0
            following = max(newest.number, latest)
            if following == newest.number < start + _AHEAD or following <= start:
                return newest
            start = following

    def _read(self, kind: Kind, head: Head, known: State, *, repairing: bool) -> State | None:
        """The state of a head, or None if something is not there."""
        pages = {name: known.pages[name] for name in head.pages if name in known.pages}
        fresh = [name for name in head.pages if name not in pages]
        found = self.engine.get(fresh) if fresh else {}
        if len(found) < len(fresh) and not repairing:
            return None
        pages |= {name: ledger.read_page(fields["body"]) for name, fields in found.items()}
        names = {key: name for page in pages.values() for key, name in page.items()}

        cache, records = self._caches[kind], {}
        for key in names.keys() & known.contents.records.keys():
            records[key] = known.contents.records[key]
        records |= cache.records(names.keys() - records.keys())
        missing = [key for key in names if key not in records]
        for start in range(0, len(missing), _BATCH):
            some = missing[start : start + _BATCH]
            documents = self.engine.get([names[key] for key in some])
            got = [ledger.read_record(fields) for fields in documents.values()]
            if len(got) < len(some) and not repairing:
                return None
            cache.put_records([record for record, _ in got], [vector for _, vector in got])
            records |= {record.key: record for record, _ in got}
        if known.contents.records.keys() - names.keys() or not known.head.number:
            cache.keep_only(names)
        contents = Contents(head.number, head.changes, head.space, records)
        return State(head, pages, contents)

    def _claimed(self, kind: Kind) -> tuple[State, Claim]:
        """The newest state, and the claim on what follows it."""
        while True:
            claim = claim_next(
                self.engine,
                kind,
                lambda: self.state(kind, repairing=True).head.number + 1,
                lock_timeout=self.lock_timeout,
                lease=self.lease,
            )
            state = self.state(kind, repairing=True)
            if state.head.number < claim.number:
                return state, claim

    def _adopt(self, kind: Kind, claim: Claim) -> None:
        """Keep the vectors that writers before had stored, so that none is embedded again."""
        names = claim.names(records_only=True)
        for start in range(0, len(names), _BATCH):
            found = self.engine.get(names[start : start + _BATCH])
            got = [ledger.read_record(fields) for fields in found.values()]
            self._caches[kind].put({record.vector_key: vector for record, vector in got})

    def _clean(self, kind: Kind, state: State) -> None:
        """Delete what the newest sync made superfluous, unless that was done.

        Whoever stored it has a claim on a number that is taken, so no head will refer to it.
        """
        head = state.head
        claim_name, before_name = Claim.name(kind, head.number), Head.name(kind, head.number - 1)
        found = self.engine.get([claim_name, before_name]) if head.number else {}
        if claim_name not in found:
            return
        claim = Claim.of(found[claim_name])
        pages: set[str] = set()
        if before_name in found:
            pages = {*Head.of(found[before_name], place=self.place).pages}.difference(head.pages)
        listed = self.engine.get(sorted(pages)).values() if pages else ()
        old = {name for fields in listed for name in ledger.read_page(fields["body"]).values()}
        needed = {*state.names.values(), *head.pages}
        self._delete({*claim.names(), *old} - needed)
        self._delete(pages)  # After what only they name, and the claim last.
        self._delete({claim_name, Head.name(kind, head.number - _AHEAD)})

    def _delete(self, names: Collection[str]) -> None:
        if names:
            self.engine.delete(sorted(names))

    def publish(self, kind: Kind, state: State, claim: Claim) -> None:
        """Make the state the newest one; for the writer that holds the claim.

        Raises:
            StoreLockedError: If another writer published since this one began.
        """
        head = state.head
        if not self.engine.create(head.document(kind)):
            with suppress(StoreError):
                self._delete(claim.names())
            raise StoreLockedError(
                f"{self.place}: another process has synced the {kind} meanwhile, and nothing was "
                "changed; sync again, which embeds nothing again"
            )
        self._states[kind] = state
        # From here on the sync is done; what fails now, the next one makes good.
        try:
            hint = f"{kind}/latest"
            found = self.engine.get([hint]).get(hint)
            if found is None or int(found["number"]) < head.number:
                self.engine.put([Document(hint, {"number": str(head.number)})])
            self._clean(kind, state)
            self._caches[kind].keep_only(state.names)
        except StoreError as error:
            _log.warning("%s: synced, but not tidied up: %s", self.place, error)


class RemoteWriter:
    """One change of one collection.

    Attributes:
        live: What readers see, by key.
        stored: Keys that need not be added.
    """

    def __init__(
        self, store: RemoteStore, kind: Kind, state: State, beating: Beating, *, space: str
    ) -> None:
        self._store = store
        self._kind = kind
        self._state = state
        self._beating = beating
        self._space = space
        self._stem = ledger.records_stem(kind, beating.claim.author)
        self._records = dict(state.contents.records)
        self._names = {key: n for key, n in state.names.items() if key in self._records}
        self.live = state.contents.records
        self.stored = frozenset(self._names)

    def add(self, records: Collection[Record], vectors: Collection[NDArray[np.float32]]) -> None:
        """Store records, unseen until ``publish``; this machine keeps the vectors first."""
        pairs = list(zip(records, vectors, strict=True))
        self._store.vectors(self._kind).put({r.vector_key: vector for r, vector in pairs})
        for start in range(0, len(pairs), _BATCH):
            some = pairs[start : start + _BATCH]
            names = self._beating.draft(self._stem, len(some))
            self._store.engine.put(
                [ledger.record_document(n, *pair) for n, pair in zip(names, some, strict=True)]
            )
            for name, (record, _) in zip(names, some, strict=True):
                self._names[record.key] = name
                self._records[record.key] = record

    def publish(self, keep: Collection[str]) -> None:
        """Make exactly the records with these keys what readers see, in one step.

        Raises:
            StoreLockedError: If another writer published since this one began.
        """
        wanted = {key: self._names[key] for key in keep}
        pages = {ledger.page_text(page): page for page in ledger.pages(wanted)}
        named = {ledger.page_text(page): name for name, page in self._state.pages.items()}
        fresh = [text for text in pages if text not in named]
        if fresh:
            stem = ledger.pages_stem(self._kind, self._beating.claim.author)
            names = self._beating.draft(stem, len(fresh))
            self._store.engine.put(
                [Document(name, {"body": text}) for name, text in zip(names, fresh, strict=True)]
            )
            named |= dict(zip(fresh, names, strict=True))
        head = Head(
            number=self._state.head.number + 1,
            author=self._beating.claim.author,
            space=self._space,
            changes=self._state.head.changes + len(self.live.keys() ^ wanted.keys()),
            pages=tuple(named[text] for text in pages),
        )
        contents = Contents(
            head.number, head.changes, head.space, {key: self._records[key] for key in wanted}
        )
        state = State(head, {named[text]: page for text, page in pages.items()}, contents)
        self._beating.stop()
        self._store.publish(self._kind, state, self._beating.claim)
