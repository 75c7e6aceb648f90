"""Locks between writers: threads of one process, and processes of one machine."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolret.errors import InputError, StoreError, StoreLockedError

__all__ = ["LOCK_SECONDS", "checked_seconds", "file_lock", "thread_lock"]

LOCK_SECONDS = 60.0
"""Seconds that a writer waits for another one by default: few syncs take longer once their texts
are embedded."""


def checked_seconds(seconds: float) -> float:
    """Return a lock's timeout in seconds if it is valid; negative values wait for ever.

    Raises:
        TypeError: If it is not a number.
        InputError: If it is NaN.
    """
    if not isinstance(seconds, int | float):
        raise TypeError(f"lock_timeout is a number of seconds, not {seconds!r}")
    if math.isnan(seconds):
        raise InputError("lock_timeout is a number of seconds, not NaN")
    return seconds


@contextmanager
def thread_lock(lock: threading.RLock, seconds: float, place: str) -> Iterator[None]:
    """Hold a lock shared by the writer threads of this process.

    Args:
        lock: The lock to hold.
        seconds: Timeout in seconds; negative waits for ever, as with a file lock.
        place: Name of the store, for the error message.

    Raises:
        StoreLockedError: If another thread holds it beyond the timeout.
    """
    if not lock.acquire(timeout=-1 if seconds < 0 else min(seconds, threading.TIMEOUT_MAX)):
        raise StoreLockedError(
            f"{place}: another thread has been writing for more than {seconds:g} s; wait for it, "
            "or raise lock_timeout"
        )
    try:
        yield
    finally:
        lock.release()


@contextmanager
def file_lock(folder: Path, name: str, *, seconds: float) -> Iterator[None]:
    """Hold a file lock in a folder, creating the folder and the file if needed.

    Raises:
        StoreLockedError: If another process holds it for longer than ``seconds``.
        StoreError: If the folder or file cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / name, timeout=seconds)
        lock.acquire()
    except Timeout as error:
        raise StoreLockedError(
            f"{folder}: another process has been writing for more than {seconds:g} s; wait for "
            "it, or raise lock_timeout"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: not a possible folder name
        raise StoreError(f"{folder}: cannot be written: {error}") from error
    try:
        yield
    finally:
        lock.release()
