"""How writers wait for each other: the threads of a process, and the processes of a machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolret.errors import StoreError, StoreLockedError

__all__ = ["in_turn", "locked"]


@contextmanager
def in_turn(lock: threading.RLock, seconds: float, place: str) -> Iterator[None]:
    """Hold a lock that writers of one process take in turn.

    Args:
        lock: Held for the body.
        seconds: To wait for another thread; negative for as long as it takes, as in a file lock.
        place: For the message.

    Raises:
        StoreLockedError: If another thread held it for longer; in a process that was forked
            meanwhile it is held without end.
    """
    if not lock.acquire(timeout=-1 if seconds < 0 else min(seconds, threading.TIMEOUT_MAX)):
        raise StoreLockedError(
            f"{place}: another thread has been writing for more than {seconds:g} s; wait for it, "
            "or raise lock_timeout; in a forked process, open the index anew"
        )
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked(folder: Path, name: str, *, seconds: float) -> Iterator[None]:
    """Hold a folder's file lock, and make both of them if need be.

    Raises:
        StoreLockedError: If another process held it for longer.
        StoreError: If it cannot be written.
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
    except (OSError, ValueError) as error:  # the latter of a name that no folder can have
        raise StoreError(f"{folder}: cannot be written: {error}") from error
    try:
        yield
    finally:
        lock.release()
