"""Replace a file atomically."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["replacing"]

_STALE_SECONDS = 3_600.0
"""Age in seconds of a temporary file whose writer is presumed dead; writing one takes seconds."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file, which replaces a file unless the block raises.

    Raises:
        OSError: If the file cannot be replaced; it stays as it was.
    """
    fresh = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        yield fresh
        fresh.replace(path)
    except OSError:
        with suppress(OSError):  # A read-only file system refuses even if the file is missing.
            fresh.unlink(missing_ok=True)
        raise
    _remove_stale(path)


def _remove_stale(path: Path) -> None:
    """Delete stale temporary files that killed writers left beside a file."""
    for left in path.parent.glob(f"{path.stem}.*.tmp"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                left.unlink()
