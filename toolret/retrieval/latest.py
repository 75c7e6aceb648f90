"""``LatestReader``: the reader of an index's latest snapshot, for many threads at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from toolret.errors import ToolretError
from toolret.forking import RenewedLock, start_thread
from toolret.index import Snapshot, ToolIndex
from toolret.retrieval.reader import Reader

__all__ = ["LatestReader"]

_PAUSE = 50
"""After a reading that failed, the wait before the next one, in multiples of the time it took."""

_LONGEST_PAUSE = 5.0
"""The longest such wait, in seconds: soon enough to see that somebody has put it right."""

_log = logging.getLogger(__name__)


class LatestReader:
    """Returns the latest reader, and makes a new one after a sync.

    Making one takes seconds for a large index, so it is made once, while other requests go on with
    the one before; only those of the thread that made the change wait. After a sync by this
    process, the next request makes it; what another process synced is read by a background thread.

    Args:
        index: The index to read.
    """

    def __init__(self, index: ToolIndex) -> None:
        self._index = index
        self._renewing = RenewedLock()
        self._logged_problem = ""
        self._next_try = 0.0
        self._reader = Reader(index, index.snapshot)

    def __call__(self) -> Reader:
        """Return the latest reader."""
        if self._reader.snapshot is not self._index.snapshot:
            older = self._reader.snapshot.reading < self._index.snapshots.own_reading
            with self._renewing_alone(wait=older) as alone:
                if alone:
                    self._renew(self._index.snapshot)
        else:
            self.follow()
        return self._reader

    def follow(self) -> None:
        """Begin to read what another process has synced, if it has, for the calls to come."""
        is_renewing = self._renewing.current.locked()
        if is_renewing or not self._index.is_stale() or time.monotonic() < self._next_try:
            return
        with suppress(RuntimeError):  # no thread can be started: the next check tries again
            start_thread(self._follow, "toolret-follow", daemon=True)

    @contextmanager
    def _renewing_alone(self, *, wait: bool) -> Iterator[bool]:
        """Keep other threads from making a reader, and yield whether that could be done.

        Args:
            wait: Whether to wait for a thread that is making one; without, the answer is then no.
        """
        lock = self._renewing.current
        alone = lock.acquire(blocking=wait)
        try:
            yield alone
        finally:
            if alone:
                lock.release()

    def _renew(self, snapshot: Snapshot) -> None:
        """Make the reader of a snapshot, unless it is there already."""
        if self._reader.snapshot is not snapshot:
            reader = Reader(self._index, snapshot)
            self._index.snapshots.keep(snapshot)
            self._reader = reader

    def _follow(self) -> None:
        """Read what another process has synced; log why if it cannot be used."""
        with self._renewing_alone(wait=False) as alone:
            if not alone or time.monotonic() < self._next_try:  # the thread before may have failed
                return
            started = time.monotonic()
            try:
                self._renew(self._index.snapshots.read())
                self._logged_problem, self._next_try = "", 0.0
            except ToolretError as error:
                # What cannot be used may take seconds to read, and stays so until somebody acts.
                now = time.monotonic()
                self._next_try = now + min(_PAUSE * (now - started), _LONGEST_PAUSE)
                problem = str(error)
                if problem != self._logged_problem:  # it recurs with every try
                    _log.warning("what another process wrote cannot be used: %s", problem)
                self._logged_problem = problem
