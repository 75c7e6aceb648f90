"""Keep forked processes usable: in a child there are no other threads, but what they held is held.

Servers load a program once and fork it, so a child may come to be while a thread of toolret's own
loads a model or reads an index. A fork waits for such threads, and for requests that are looking
whether an index has changed, since nobody can release in the child what they hold in other
libraries, such as the locks of modules being imported, or of SQLite. Objects replace their own
locks in the child, whoever held them.
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
    "apart_from_forks",
    "cached_property",
    "keep_for_ever",
    "renew_in_children",
    "start_thread",
]

_Value = TypeVar("_Value")

_LONGEST_WAIT = 5.0
"""Seconds that a fork waits for threads at most: loading a model or an index takes less, and one
that waits for a server must not keep the process."""


class Renewed(Protocol):
    """An object with locks, or with anything else that a child must not share."""

    def after_fork(self) -> None:
        """Replace them; called in the child, before anything else runs there."""
        ...


class cached_property(functools.cached_property[_Value]):  # noqa: N801 - as Python's own
    """``functools.cached_property`` as it is from Python 3.12 on: without a lock.

    Python 3.11 has one lock for all objects of a class, which a child would find held for ever.
    """

    def __init__(self, func: Callable[[Any], _Value]) -> None:
        super().__init__(func)
        self.lock = nullcontext()


_renewed: WeakSet[Renewed] = WeakSet()
_threads: WeakSet[threading.Thread] = WeakSet()
_apart = threading.Lock()
_forking = threading.local()
"""Whether a thread that forks holds the lock."""


def renew_in_children(one: Renewed) -> None:
    """Call the object's ``after_fork`` in every process forked from this one."""
    _renewed.add(one)


def start_thread(work: Callable[[], None], name: str, *, daemon: bool) -> None:
    """Start a thread that a fork waits for, some seconds at most.

    Raises:
        RuntimeError: If no thread can be started.
    """
    thread = threading.Thread(target=work, name=name, daemon=daemon)
    _threads.add(thread)
    thread.start()


@contextmanager
def apart_from_forks() -> Iterator[None]:
    """Do something short that a fork waits for, some seconds at most; one thread at a time."""
    with _apart:
        yield


def keep_for_ever(one: object) -> None:
    """Never free an object, not even when the process ends.

    For one whose destructor would wait for threads that a forked process does not have.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


def _wait() -> None:
    until = time.monotonic() + _LONGEST_WAIT
    for thread in list(_threads):
        if thread.is_alive() and thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))
    _forking.holds = _apart.acquire(timeout=max(0.0, until - time.monotonic()))


def _go_on() -> None:
    if _forking.holds:
        _apart.release()


def _renew() -> None:
    global _apart
    _apart = threading.Lock()  # who held the other one is not there
    for one in list(_renewed):
        one.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_wait, after_in_parent=_go_on, after_in_child=_renew)
