"""Keep forked processes usable: a child has no other threads, but the locks they held stay held.

Servers load a program once and fork it, possibly while a thread of toolret's own loads a model or
reads an index. A fork waits for such threads, and for requests that check whether an index has
changed: they may hold locks of other libraries, such as those of modules being imported or of
SQLite, which nobody could release in the child. Objects replace their own locks in the child,
whoever held them.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

__all__ = [
    "Renewed",
    "RenewedLock",
    "apart_from_forks",
    "cached_property",
    "keep_for_ever",
    "renew_in_children",
    "start_thread",
]

_Value = TypeVar("_Value")

_LONGEST_WAIT = 5.0
"""Longest wait of a fork for threads, in seconds: loading a model or an index takes less, and a
thread that waits for a server must not keep the process from forking."""


class Renewed(Protocol):
    """An object with locks, or with anything else that a child must not share."""

    def after_fork(self) -> None:
        """Replace the locks in the child process; called before anything else runs there."""
        ...


class RenewedLock:
    """A lock that is replaced in a forked process, whoever held it in the parent.

    Use ``with lock.current:``. The thread that forks may hold the lock while it does: ``with`` and
    local variables keep the very lock that was acquired, and release that one in both processes.

    Attributes:
        current: The lock of this process.
    """

    __slots__ = ("__weakref__", "current")

    def __init__(self) -> None:
        self.after_fork()
        renew_in_children(self)

    def after_fork(self) -> None:
        """Replace the lock: in the child, the thread that holds it may not exist."""
        self.current = threading.Lock()


class cached_property(functools.cached_property[_Value]):  # noqa: N801 - as Python's own
    """``functools.cached_property`` without a lock, as in Python 3.12 and later.

    Python 3.11 has one lock for all objects of a class, which would stay held in a child for ever.
    """

    def __init__(self, func: Callable[[Any], _Value]) -> None:
        super().__init__(func)
        self.lock = nullcontext()


_renewed: WeakSet[Renewed] = WeakSet()
"""The objects whose ``after_fork`` is called in a child."""

_threads: WeakSet[threading.Thread] = WeakSet()
"""The threads that a fork waits for."""

_apart = threading.Lock()
"""A lock that is held in an ``apart_from_forks`` block, and by a thread while it forks."""

_forking = threading.local()
"""The state of a thread that forks: the attribute ``holds`` says whether it acquired ``_apart``."""


def renew_in_children(owner: Renewed) -> None:
    """Have an object's ``after_fork`` called in every process forked from this one."""
    _renewed.add(owner)


def start_thread(work: Callable[[], None], name: str, *, daemon: bool) -> None:
    """Start a thread that a fork waits for, at most ``_LONGEST_WAIT`` seconds.

    Raises:
        RuntimeError: If no thread can be started.
    """
    thread = threading.Thread(target=work, name=name, daemon=daemon)
    _threads.add(thread)
    thread.start()


@contextmanager
def apart_from_forks() -> Iterator[None]:
    """Run a short block that a fork waits for, at most ``_LONGEST_WAIT`` seconds.

    Only one thread at a time is inside such a block.
    """
    with _apart:
        yield


def keep_for_ever(kept: object) -> None:
    """Keep an object from ever being freed, even when the process ends.

    Needed for objects whose destructor waits for threads, which a forked process does not have.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


def _before_fork() -> None:
    """Wait for the threads and blocks that a fork must not interrupt."""
    deadline = time.monotonic() + _LONGEST_WAIT
    for thread in list(_threads):
        if thread.is_alive() and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
    _forking.holds = _apart.acquire(timeout=max(0.0, deadline - time.monotonic()))


def _after_fork_in_parent() -> None:
    """Release what ``_before_fork`` acquired."""
    if _forking.holds:
        _apart.release()


def _after_fork_in_child() -> None:
    """Replace the locks of all registered objects, and this module's own."""
    global _apart
    _apart = threading.Lock()  # the thread that held the other one may not exist here
    for owner in list(_renewed):
        owner.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
