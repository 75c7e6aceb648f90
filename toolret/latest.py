"""``LatestReader``: the reader of an index's latest snapshot, for many threads at once."""

from __future__ import annotations

import threading

from toolret.index import ToolIndex
from toolret.reader import Reader

__all__ = ["LatestReader"]


class LatestReader:
    """Gives a reader, and makes it anew after a sync.

    That takes seconds for a large index, so the first thread that needs it makes it, and the others
    go on with the one before meanwhile.

    Args:
        index: What is read.
    """

    def __init__(self, index: ToolIndex) -> None:
        self._index = index
        self._renewing = threading.Lock()
        self._reader = Reader(index)

    def __call__(self) -> Reader:
        """The latest reader."""
        if self._reader.snapshot is self._index.snapshot:
            return self._reader
        if self._renewing.acquire(blocking=False):
            try:
                if self._reader.snapshot is not self._index.snapshot:
                    self._reader = Reader(self._index)
            finally:
                self._renewing.release()
        return self._reader
