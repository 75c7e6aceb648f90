"""Runs coroutines in the event loops of other threads, and waits for them a limited time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, Generic, TypeVar

from toolret.errors import CallError

__all__ = ["arun_in_loop", "current_loop", "run_in_loop"]

_T = TypeVar("_T")

_WAY_OUT = "call tools with acall, and run agents with ainvoke, in that loop"
"""What errors tell users to do instead."""


def run_in_loop(
    work: Callable[[], Coroutine[Any, Any, _T]], loop: asyncio.AbstractEventLoop, seconds: float
) -> _T:
    """Run a coroutine in the loop of another thread, and return its result.

    Args:
        work: Makes the coroutine.
        loop: The loop to run it in.
        seconds: How long to wait. A coroutine that was not begun by then is never begun, and one
            that was is cancelled.

    Raises:
        CallError: If the loop is not running, or there is no result in time.
    """
    remote = _RemoteCoroutine(work, loop)
    wait([remote.future], timeout=seconds)
    return remote.result()


async def arun_in_loop(
    work: Callable[[], Coroutine[Any, Any, _T]], loop: asyncio.AbstractEventLoop, seconds: float
) -> _T:
    """``run_in_loop`` from an event loop, which goes on meanwhile."""
    remote = _RemoteCoroutine(work, loop)
    future = asyncio.wrap_future(remote.future)
    future.add_done_callback(lambda done: done.cancelled() or done.exception())  # it is read below
    try:
        await asyncio.wait([future], timeout=seconds)
    except asyncio.CancelledError:
        remote.give_up()
        raise
    return remote.result()


def current_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class _RemoteCoroutine(Generic[_T]):
    """A coroutine that another thread's loop is asked to run.

    Attributes:
        future: The coroutine's future, for other threads.

    Raises:
        CallError: If the loop is not running.
    """

    def __init__(
        self, work: Callable[[], Coroutine[Any, Any, _T]], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._work = work
        # Claimed by the loop when it begins, or by the caller who gives up, whoever is first: a
        # caller must not be told that nothing ran and then have it run.
        self._claim: Future[None] = Future()
        coroutine = self._run()
        try:
            if not loop.is_running():  # it may be closed, or stand still for ever
                raise RuntimeError("it is not running")
            self.future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError as error:
            coroutine.close()
            raise CallError(
                f"the tool was not called: its event loop is not running: {_WAY_OUT}"
            ) from error

    async def _run(self) -> _T:
        if not self._claim.set_running_or_notify_cancel():
            raise asyncio.CancelledError
        return await self._work()

    def give_up(self) -> bool:
        """Stop what is not done; return whether it had not even begun."""
        not_begun = self._claim.cancel()
        self.future.cancel()
        return not_begun

    def result(self) -> _T:
        """Return the result, or give up if there is none yet."""
        not_begun = self.give_up()
        if not self.future.cancelled():
            return self.future.result()
        if not_begun:
            raise CallError(f"the tool was not called: its event loop is blocked: {_WAY_OUT}")
        raise CallError("no answer came: the event loop of the tool is blocked, or was stopped")
