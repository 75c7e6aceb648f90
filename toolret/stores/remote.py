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
from toolret.stores.claims import Beating, claim_next
from toolret.stores.engines import Document, Engine, Fields
from toolret.stores.ledger import Claim, Entry, Head, Part
from toolret.stores.locks import checked_seconds, in_turn
from toolret.stores.records import KINDS, Contents, Generation, Kind, TextVectors
from toolret.stores.state import State
from toolret.stores.writing import Change, RemoteWriter

__all__ = ["RemoteStore"]

_log = logging.getLogger(__name__)

_BATCH = 500
"""Records per engine call: with their vectors a few megabytes."""

_READ_TRIES = 5
"""Attempts at reading: a concurrent sync may delete what is being read."""

_LATEST = "latest"
"""Document with the number of a recent head, where to look for the newest; may be outdated."""

_AHEAD = 16
"""Number of old heads kept, and of heads looked for beyond the newest known."""

_LEASE = 10.0
"""Seconds without a heartbeat, by this machine's clock, after which a writer is presumed dead."""


class RemoteStore:
    """An index in an engine shared by several machines.

    Args:
        engine: The engine that holds the records.
        cache: Local folder for fetched records; by default in the user's cache. Processes may
            share it, and it may be deleted at any time.
        lock_timeout: Seconds that a writer waits for another to finish.
        lease: Seconds without a heartbeat after which another writer is presumed dead.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        cache: str | Path | None = None,
        lock_timeout: float = 60.0,
        lease: float = _LEASE,
    ) -> None:
        self.folder = (Path(cache) if cache else cache_folder(engine.place)).absolute()
        self.engine = engine
        self.lock_timeout = checked_seconds(lock_timeout)
        self.lease = lease
        self.cache = RecordCache(self.folder / "records.sqlite3")
        self._state = State()
        self._heard: tuple[Generation, ...] | None = None
        self._spared = False
        self.after_fork()
        renew_in_children(self)

    def after_fork(self) -> None:
        """Begin without locks or a change: those of the parent are the parent's."""
        self._reading = threading.Lock()
        self._writing = threading.RLock()
        self._change: Change | None = None
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
                threading.Thread(target=self._listen, daemon=True).start()
            except RuntimeError:  # no thread can be started: the next call tries again
                self._listening.release()
        return self._heard or self._state.generations

    def spaces(self) -> dict[Kind, str]:
        """Return the identity of each collection's vectors; empty if it has none."""
        parts = self._newest().parts
        return {kind: parts[kind].space if parts[kind].pages else "" for kind in KINDS}

    def load(self) -> Mapping[Kind, Contents]:
        """Return both collections as of the latest sync; the same object until the next one."""
        return self.state().contents

    def keep(self, vectors: TextVectors) -> None:
        """Cache vectors locally; other machines keep those stored with the records."""
        made = {len(vector) for _, vector in vectors.values()}
        stored = {each.vectors.shape[1] for each in self._state.contents.values() if each.records}
        if len(made | stored) > 1:
            raise StoreError(
                f"{self.place}: the vectors of its records are of another length: sync into "
                "another name, and point the readers to it"
            )
        self.cache.put(vectors)

    def load_fit(self) -> bytes | None:
        """Return what any machine last stored with ``keep_fit``."""
        found = self.engine.get(["fit"])
        return found["fit"]["body"].encode() if found else None

    def keep_fit(self, fit: bytes) -> None:
        """Store the fit for all machines, so that they rank alike."""
        self.engine.put([Document("fit", {"body": fit.decode()})])

    @contextmanager
    def together(self) -> Iterator[Change]:
        """Make everything published inside the block visible in one step when it ends.

        Raises:
            StoreLockedError: If another writer held the claim for too long, or published first.
            StoreError: If the engine fails.
        """
        with in_turn(self._writing, self.lock_timeout, self.place):
            if self._change is not None:
                yield self._change
                return
            state, claim = self._claimed()
            with Beating(self.engine, claim, every=self.lease / 4) as beating:
                self._clean(state)
                self._adopt(claim)
                self._change = change = Change(self.engine, self.cache, state, beating)
                try:
                    yield change
                finally:
                    self._change = None
                made = change.published()
                if made is None:
                    beating.stop()
                    beating.give_up()
                else:
                    self._publish(made, beating)

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
            if not (anew or change.state.whole(kind)):
                raise self._incomplete()
            yield RemoteWriter(change, kind, space=space, repairs=anew)

    def state(self, *, repairing: bool = False) -> State:
        """Return the state of the newest head, with its records.

        Args:
            repairing: Accept missing records, for a writer that will store them again.
        """
        with self._reading:
            for _ in range(_READ_TRIES):
                known, head = self._state, self._newest()
                if head == known.head:
                    return known
                read = self._read(head, known)
                whole = all(read.whole(kind) for kind in KINDS)
                if whole:
                    self._state = read
                    self._heard = read.generations
                if whole or repairing:
                    return read
        raise self._incomplete()

    def _incomplete(self) -> StoreError:
        return StoreError(
            f"{self.place}: records are missing or damaged, deleted by someone else or by syncs in "
            "too quick a succession; if it stays so, sync all tools and demonstrations again, best "
            "on this machine"
        )

    def _listen(self) -> None:
        try:
            with suppress(StoreError):
                self._heard = self._newest().generations
        finally:
            self._listening.release()

    def _newest(self) -> Head:
        start = self._state.head.number
        while True:
            names = [Head.name(start + i) for i in range(_AHEAD + 1)]
            found = self.engine.get([_LATEST, *names])
            heads = [Head.of(found[n], place=self.place) for n in names if n in found]
            newest = max(heads, key=lambda head: head.number, default=Head())
            latest = self._latest(found)
            following = max(newest.number, latest)
            if following > start and not newest.number == following < start + _AHEAD:
                start = following
            elif 0 < latest < start and not newest.number:
                start = latest  # the index was deleted and built again
            elif latest and not newest.number:
                raise self._incomplete()
            else:
                return newest

    def _latest(self, found: Mapping[str, Fields]) -> int:
        with ledger.understood(self.place, _LATEST):
            return int(found[_LATEST]["number"]) if _LATEST in found else 0

    def _read(self, head: Head, known: State) -> State:
        """Read the state of a head; missing pages and records are left out."""
        pages = {name: known.pages[name] for name in head.pages if name in known.pages}
        if fresh := sorted(head.pages - pages.keys()):
            found = self.engine.get(fresh)
            read = {name: ledger.read_page(fields) for name, fields in found.items()}
            pages |= {name: page for name, page in read.items() if page is not None}
        state = State(head, pages)
        contents = {
            kind: known.contents[kind]
            if head.parts[kind] == known.head.parts[kind]
            else self._contents(head.parts[kind], state.names(kind))
            for kind in KINDS
        }
        with self._sparing_the_cache():
            self.cache.keep_only({k for kind in KINDS for k in state.names(kind)}, head.number)
        return State(head, pages, contents)

    def _contents(self, part: Part, names: Mapping[str, str]) -> Contents:
        entries: dict[str, Entry] = {}
        with self._sparing_the_cache():
            entries = self.cache.entries(names)
        missing = [key for key in names if key not in entries]
        for start in range(0, len(missing), _BATCH):
            some = missing[start : start + _BATCH]
            found = self.engine.get([names[key] for key in some])
            read = {k: ledger.read_record(found.get(names[k], {}), space=part.space) for k in some}
            got = {k: entry for k, entry in read.items() if entry and entry.record.key == k}
            entries |= got
            with self._sparing_the_cache():
                vectors = {e.record.vector_key: (e.text, e.vector) for e in got.values()}
                self.cache.put_records([entry.record for entry in got.values()], vectors)
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

    @contextmanager
    def _sparing_the_cache(self) -> Iterator[None]:
        """Continue reading if the cache is unusable; log that once."""
        try:
            yield
        except StoreError as error:
            if not self._spared:
                _log.warning("%s; everything is fetched instead", error)
            self._spared = True

    def _claimed(self) -> tuple[State, Claim]:
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
        for start in range(0, len(names), _BATCH):
            found = self.engine.get(names[start : start + _BATCH])
            got = [entry for fields in found.values() if (entry := ledger.read_record(fields))]
            self.cache.put({entry.record.vector_key: (entry.text, entry.vector) for entry in got})

    def _clean(self, state: State) -> None:
        """Delete what the newest sync made obsolete, unless that was done already.

        Drafts of its claim are safe to delete: its number is taken, so no new head can use them.
        """
        head = state.head
        claim_name, before_name = Claim.name(head.number), Head.name(head.number - 1)
        found = self.engine.get([claim_name, before_name]) if head.number else {}
        if claim_name not in found:
            return
        claim = Claim.of(found[claim_name], place=self.place)
        pages: set[str] = set()
        if before_name in found:
            pages = Head.of(found[before_name], place=self.place).pages - head.pages
        listed = self.engine.get(sorted(pages)).values() if pages else ()
        old = {name for fields in listed for name in (ledger.read_page(fields) or {}).values()}
        needed = head.pages.union(*(state.names(kind).values() for kind in KINDS))
        self._delete({*claim.names(), *old} - needed)
        self._delete(pages)  # after the records that only they name; the claim goes last
        self._delete({claim_name, Head.name(head.number - _AHEAD)})

    def _delete(self, names: Collection[str]) -> None:
        if names:
            self.engine.delete(sorted(names))

    def _publish(self, made: State, beating: Beating) -> None:
        """Publish a state as the newest one."""
        head = made.head
        published = self.engine.create(head.document())  # while the heartbeat is still running
        beating.stop()
        if not published:
            with suppress(StoreError):  # Other drafts may be the winner's.
                self._delete(beating.claim.names(own_only=True))
            raise StoreLockedError(
                f"{self.place}: another process has synced the index meanwhile, and nothing was "
                "changed; sync again, which embeds nothing again"
            )
        # From here on the sync is done; the next one repairs what fails now.
        try:
            if self._latest(self.engine.get([_LATEST])) < head.number:
                self.engine.put([Document(_LATEST, {"number": str(head.number)})])
            self._clean(made)
        except StoreError as error:
            _log.warning("%s: synced, but not tidied up: %s", self.place, error)
