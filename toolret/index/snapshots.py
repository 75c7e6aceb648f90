"""``Snapshots``: the current snapshot of an index, shared by many threads."""

from __future__ import annotations

import time
from contextvars import ContextVar
from itertools import count

from toolret.errors import StoreError
from toolret.forking import RenewedLock, apart_from_forks
from toolret.index.shelves import Snapshot
from toolret.index.syncing import Collections
from toolret.stores.records import Store, any_synced

__all__ = ["Snapshots"]

_LOOK_EVERY = 0.5
"""Seconds between two checks for what other processes wrote."""


class Snapshots:
    """Reads snapshots of an index, and keeps the one that was read last.

    Args:
        store: The store that keeps the index.
        collections: Reads the store.

    Attributes:
        kept: The snapshot that was read last; None before the first.
    """

    def __init__(self, store: Store, collections: Collections) -> None:
        self.kept: Snapshot | None = None
        self._store = store
        self._collections = collections
        self._keeping = RenewedLock()
        self._readings = count(1)
        self._look_at = 0.0
        self._stale_reading = 0
        # Of the context, not of the thread: in an event loop, requests run in worker threads.
        self._own_reading: ContextVar[int] = ContextVar("own_reading", default=0)

    @property
    def current(self) -> Snapshot:
        """The snapshot that was read last; the first access reads one.

        Raises what ``read`` raises.
        """
        return self.kept or self.keep(self.read())

    def read(self) -> Snapshot:
        """Read the index as it is now, without keeping the result.

        Returns the kept snapshot if the index is gone.

        Raises:
            EmbedderMismatchError: If it was embedded with another embedder.
            StoreError: If it cannot be read.
        """
        before = self.kept
        latest = self._collections.read(before, next(self._readings))
        return latest if before is None or any_synced(latest.generations) else before

    def keep(self, snapshot: Snapshot) -> Snapshot:
        """Keep a snapshot unless a later reading is kept; return the one that is kept now.

        Generations cannot tell which is newer: a restored backup has lower ones.
        """
        with self._keeping.current:
            kept = self.kept
            if kept is None or kept.reading <= snapshot.reading:
                self.kept = kept = snapshot
            return kept

    def is_stale(self) -> bool:
        """Whether the index has changed since the kept snapshot; see ``ToolIndex.is_stale``."""
        kept, now = self.kept, time.monotonic()
        if kept is None:
            return False
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            # The answer holds until the next check: if it were given only once, a program that asks
            # for itself would keep retrievers from ever learning of a change.
            self._stale_reading = kept.reading if self._has_changed_since(kept) else 0
        return kept.reading == self._stale_reading

    def _has_changed_since(self, snapshot: Snapshot) -> bool:
        """Whether the store holds other generations now; False if that cannot be told."""
        try:
            with apart_from_forks():
                latest = self._store.generations(timeout=0)
        except StoreError:
            return False  # another process is committing, or the store cannot be read
        return any_synced(latest) and latest != snapshot.generations

    @property
    def own_reading(self) -> int:
        """The number of the reading after the latest change of this thread or asyncio task.

        Its requests must not be answered from an older reading. It is 0 without a change.
        """
        return self._own_reading.get()

    def see_current(self) -> None:
        """Note that this thread or asyncio task must not be served a snapshot older than this."""
        self._own_reading.set(self.current.reading)

    def see_own(self) -> None:
        """Read the index again after a change, unless no snapshot was ever asked for."""
        if self.kept is not None:
            self._own_reading.set(self.keep(self.read()).reading)
