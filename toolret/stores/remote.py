"""A remote store: an engine is the source of truth, and reads are served from memory.

A sync stores records under new names, then the changed pages, then creates the next head. Readers
follow the newest head, so a sync becomes visible all at once. Writers take turns by claims; should
two proceed (one was presumed dead), only one can create the head, and the other changes nothing.
That guarantee rests on ``Engine.create`` alone, not on clocks. Obsolete documents are deleted after
a sync, or by the next one if that failed.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from toolret.errors import StoreError, StoreLockedError
from toolret.forking import renew_in_children
from toolret.stores import ledger
from toolret.stores.cache import RecordCache, cache_folder
from toolret.stores.claims import Heartbeats, claim_next
from toolret.stores.engines import RECORDS_PER_CALL, Document, Engine, Fields, batches
from toolret.stores.ledger import Claim, EmbeddedRecord, IndexHead, Part
from toolret.stores.locks import LOCK_SECONDS, checked_seconds, thread_lock
from toolret.stores.records import KINDS, Contents, Generation, Kind, TextVectors
from toolret.stores.state import RemoteState
from toolret.stores.writing import RemoteChange, RemoteWriter

__all__ = ["RemoteStore"]

_log = logging.getLogger(__name__)

_READ_TRIES = 5
"""Attempts at reading a state: a concurrent sync may delete what is being read."""

_LATEST = "latest"
"""Name of the document with the number of a recent head, from which the newest is searched for."""

_AHEAD = 16
"""Number of old heads that are kept, and of heads searched for beyond the newest known: a process
that has missed fewer syncs finds the newest with one request."""

_LEASE = 10.0
"""Seconds without a heartbeat, by this machine's clock, after which a writer is presumed dead."""


class RemoteStore:
    """An index in an engine shared by several machines.

    Args:
        engine: The engine that holds the records.
        cache_dir: Local folder for fetched records; by default in the user's cache. Processes may
            share it, and it may be deleted at any time.
        lock_timeout: Seconds that a writer waits for another to finish.
        lease: Seconds without a heartbeat after which another writer is presumed dead.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        cache_dir: str | Path | None = None,
        lock_timeout: float = LOCK_SECONDS,
        lease: float = _LEASE,
    ) -> None:
        self.folder = (Path(cache_dir) if cache_dir else cache_folder(engine.place)).absolute()
        self.engine = engine
        self.lock_timeout = checked_seconds(lock_timeout)
        self.lease = lease
        self.cache = RecordCache(self.folder / "records.sqlite3")
        self._state = RemoteState()
        self._last_known: tuple[Generation, ...] | None = None
        self._cache_reported = False
        self.after_fork()
        renew_in_children(self)

    def after_fork(self) -> None:
        """Begin without held locks and without a change: those of the parent are the parent's."""
        self._reading = threading.Lock()
        self._writing = threading.RLock()
        self._change: RemoteChange | None = None
        self._listening = threading.Lock()

    @property
    def place(self) -> str:
        """The engine's address."""
        return self.engine.place

    def exists(self) -> bool:
        """Whether an index was ever written here."""
        return self._newest().number > 0

    def check_new(self) -> None:
        """Do nothing: other data in the same engine does not matter."""

    def generations(self, *, timeout: float = math.inf) -> tuple[Generation, ...]:
        """Return the generation of each collection.

        Args:
            timeout: If positive, ask the engine. With 0, return the last known generations and ask
                the engine in a background thread, so that no request waits for the network.
        """
        if timeout > 0:
            return self._newest().generations
        if self._listening.acquire(blocking=False):
            try:
                threading.Thread(target=self._ask_engine, daemon=True).start()
            except RuntimeError:  # no thread can be started: the next call tries again
                self._listening.release()
        return self._last_known or self._state.head.generations

    def spaces(self) -> dict[Kind, str]:
        """Return the identity of each collection's vectors; empty if it has none."""
        parts = self._newest().parts
        return {kind: parts[kind].space if parts[kind].pages else "" for kind in KINDS}

    def load(self) -> Mapping[Kind, Contents]:
        """Return both collections as of the latest sync; the same object until the next one."""
        return self.state().contents

    def keep(self, vectors: TextVectors) -> None:
        """Cache vectors locally; other machines keep those stored with the records."""
        new = {len(vector) for _, vector in vectors.values()}
        stored = {part.vectors.shape[1] for part in self._state.contents.values() if part.records}
        if len(new | stored) > 1:
            raise StoreError(
                f"{self.place}: the vectors of its records are of another length: sync into "
                "another name, and point the readers to it"
            )
        self.cache.put(vectors)

    def load_fit(self) -> bytes | None:
        """Return what any machine last stored with ``keep_fit``, or None."""
        stored = self.engine.get(["fit"])
        return stored["fit"]["body"].encode() if stored else None

    def keep_fit(self, fit: bytes) -> None:
        """Store what was learnt from the demonstrations, so that all machines rank alike."""
        self.engine.put([Document("fit", {"body": fit.decode()})])

    @contextmanager
    def together(self) -> Iterator[RemoteChange]:
        """Make everything published inside the block visible in one step when it ends.

        Raises:
            StoreLockedError: If another writer held the claim for too long, or published first.
            StoreError: If the engine fails.
        """
        with thread_lock(self._writing, self.lock_timeout, self.place):
            if self._change is not None:
                yield self._change
                return
            state, claim = self._claim()
            with Heartbeats(self.engine, claim, every=self.lease / 4) as heartbeats:
                self._clean(state)
                self._adopt(claim)
                self._change = change = RemoteChange(self.engine, self.cache, state, heartbeats)
                try:
                    yield change
                finally:
                    self._change = None
                new = change.store_pages()
                if new is None:
                    heartbeats.stop()
                    heartbeats.give_up()
                else:
                    self._publish(new, heartbeats)

    @contextmanager
    def write(self, kind: Kind, *, space: str, anew: bool = False) -> Iterator[RemoteWriter]:
        """Change a collection; raises the same errors as ``together``.

        Args:
            kind: The collection.
            space: Identity of the vectors to be added.
            anew: The caller supplies the whole collection, so missing records may be ignored; those
                that this machine has cached are stored again.
        """
        with self.together() as change:
            if not (anew or change.state.is_complete(kind)):
                raise self._incomplete()
            yield RemoteWriter(change, kind, space=space, repairs=anew)

    def state(self, *, repairing: bool = False) -> RemoteState:
        """Return the state of the newest head, with its records.

        Args:
            repairing: Accept missing records, for a writer that will store them again.
        """
        with self._reading:
            for _ in range(_READ_TRIES):
                known, head = self._state, self._newest()
                if head == known.head:
                    return known
                latest = self._read(head, known)
                complete = all(latest.is_complete(kind) for kind in KINDS)
                if complete:
                    self._state = latest
                    self._last_known = head.generations
                if complete or repairing:
                    return latest
        raise self._incomplete()

    def _incomplete(self) -> StoreError:
        return StoreError(
            f"{self.place}: records are missing or damaged, deleted by someone else or by syncs in "
            "too quick a succession; if it stays so, sync all tools and demonstrations again, best "
            "on this machine"
        )

    def _ask_engine(self) -> None:
        """Update the last known generations, then release ``_listening``."""
        try:
            with suppress(StoreError):
                self._last_known = self._newest().generations
        finally:
            self._listening.release()

    def _newest(self) -> IndexHead:
        """Return the newest head; the initial one if there is no index."""
        start = self._state.head.number
        while True:
            names = [IndexHead.name(start + i) for i in range(_AHEAD + 1)]
            stored = self.engine.get([_LATEST, *names])
            heads = [IndexHead.of(stored[n], place=self.place) for n in names if n in stored]
            newest = max(heads, key=lambda head: head.number, default=IndexHead())
            latest = self._latest(stored)
            following = max(newest.number, latest)
            if following > start and not newest.number == following < start + _AHEAD:
                start = following
            elif 0 < latest < start and not newest.number:
                start = latest  # the index was deleted and built again
            elif latest and not newest.number:
                raise self._incomplete()
            else:
                return newest

    def _latest(self, stored: Mapping[str, Fields]) -> int:
        """Return the number in the document ``latest``; 0 if that is missing."""
        with ledger.parsing(self.place, _LATEST):
            return int(stored[_LATEST]["number"]) if _LATEST in stored else 0

    def _read(self, head: IndexHead, known: RemoteState) -> RemoteState:
        """Read the state of a head; missing pages and records are left out."""
        pages = {name: known.pages[name] for name in head.pages if name in known.pages}
        if unknown := sorted(head.pages - pages.keys()):
            fetched = {n: ledger.read_page(f) for n, f in self.engine.get(unknown).items()}
            pages |= {name: page for name, page in fetched.items() if page is not None}
        state = RemoteState(head, pages)
        contents = {
            kind: known.contents[kind]
            if head.parts[kind] == known.head.parts[kind]
            else self._contents(head.parts[kind], state.names(kind))
            for kind in KINDS
        }
        with self._cache_optional():
            self.cache.keep_only({k for kind in KINDS for k in state.names(kind)}, head.number)
        return RemoteState(head, pages, contents)

    def _contents(self, part: Part, names: Mapping[str, str]) -> Contents:
        """Return the contents of a collection without missing and damaged records.

        Args:
            part: The collection, as described by its head.
            names: Names of its records' documents, by record key.
        """
        entries: dict[str, EmbeddedRecord] = {}
        with self._cache_optional():
            entries = self.cache.entries(names)
        missing = [key for key in names if key not in entries]
        for keys in batches(missing, RECORDS_PER_CALL):
            entries |= self._fetch({key: names[key] for key in keys}, part.space)
        ordered = sorted(entries.values(), key=lambda entry: entry.record.id)
        if len({len(entry.vector) for entry in ordered}) > 1:
            raise StoreError(f"{self.place}: vectors are of several lengths: build it again")
        return Contents(
            generation=part.generation,
            digest=part.digest,
            changes=part.changes,
            space=part.space if ordered else "",
            records={entry.record.key: entry.record for entry in ordered},
            texts=[entry.text for entry in ordered],
            vectors=np.stack([entry.vector for entry in ordered])
            if ordered
            else np.empty((0, 0), dtype=np.float32),
        )

    def _fetch(self, names: Mapping[str, str], space: str) -> dict[str, EmbeddedRecord]:
        """Fetch records and cache them; return the undamaged ones by key.

        Args:
            names: Names of the records' documents, by record key.
            space: Identity of their vectors.
        """
        documents = self.engine.get(list(names.values()))
        entries: dict[str, EmbeddedRecord] = {}
        for key, name in names.items():
            entry = ledger.read_record(documents.get(name, {}), space=space)
            if entry and entry.record.key == key:
                entries[key] = entry
        with self._cache_optional():
            vectors = {e.record.vector_key: (e.text, e.vector) for e in entries.values()}
            self.cache.put_records([entry.record for entry in entries.values()], vectors)
        return entries

    @contextmanager
    def _cache_optional(self) -> Iterator[None]:
        """Continue reading if the cache is unusable; log that once."""
        try:
            yield
        except StoreError as error:
            if not self._cache_reported:
                _log.warning("%s; everything is fetched instead", error)
            self._cache_reported = True

    def _claim(self) -> tuple[RemoteState, Claim]:
        """Claim the next head; return the newest state and the claim."""
        while True:
            claim = claim_next(
                self.engine,
                lambda: self._newest().number + 1,
                lock_timeout=self.lock_timeout,
                lease=self.lease,
            )
            state = self.state(repairing=True)
            if state.head.number < claim.number:
                return state, claim

    def _adopt(self, claim: Claim) -> None:
        """Cache the vectors stored by failed writers, so that they are not embedded again."""
        names = claim.names(records_only=True)
        for batch in batches(names, RECORDS_PER_CALL):
            documents = self.engine.get(batch).values()
            entries = [entry for fields in documents if (entry := ledger.read_record(fields))]
            self.cache.put({e.record.vector_key: (e.text, e.vector) for e in entries})

    def _clean(self, state: RemoteState) -> None:
        """Delete what the newest sync made obsolete, unless that was done already.

        Drafts of its claim are safe to delete: its number is taken, so no new head can use them.
        """
        head = state.head
        claim_name, previous_name = Claim.name(head.number), IndexHead.name(head.number - 1)
        stored = self.engine.get([claim_name, previous_name]) if head.number else {}
        if claim_name not in stored:
            return
        claim = Claim.of(stored[claim_name], place=self.place)
        pages: set[str] = set()
        if previous_name in stored:
            pages = IndexHead.of(stored[previous_name], place=self.place).pages - head.pages
        listed = self.engine.get(sorted(pages)).values() if pages else ()
        records = {name for fields in listed for name in (ledger.read_page(fields) or {}).values()}
        needed = head.pages.union(*(state.names(kind).values() for kind in KINDS))
        self._delete({*claim.names(), *records} - needed)
        self._delete(pages)  # after the records that only they name; the claim goes last
        self._delete({claim_name, IndexHead.name(head.number - _AHEAD)})

    def _delete(self, names: Collection[str]) -> None:
        if names:
            self.engine.delete(sorted(names))

    def _publish(self, state: RemoteState, heartbeats: Heartbeats) -> None:
        """Publish a state as the newest one.

        Raises:
            StoreLockedError: If another writer has published first.
        """
        head = state.head
        published = self.engine.create(head.document())  # while the heartbeat is still running
        heartbeats.stop()
        if not published:
            with suppress(StoreError):  # Other drafts may be the winner's.
                self._delete(heartbeats.claim.names(own_only=True))
            raise StoreLockedError(
                f"{self.place}: another process has synced the index meanwhile, and nothing was "
                "changed; sync again, which embeds nothing again"
            )
        # From here on the sync is done; the next one repairs what fails now.
        try:
            if self._latest(self.engine.get([_LATEST])) < head.number:
                self.engine.put([Document(_LATEST, {"number": str(head.number)})])
            self._clean(state)
        except StoreError as error:
            _log.warning("%s: synced, but not tidied up: %s", self.place, error)
