"""Call a model with a hard timeout, which holds even if the model blocks."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TypeVar

from toolret.errors import LLMError
from toolret.llm.failures import LLMCallError, call_failure

__all__ = ["arun_in_worker", "await_call", "run_in_worker"]

_T = TypeVar("_T")


def run_in_worker(ask: Callable[[], _T], *, timeout: float) -> _T:
    """Run a function in its own thread, which is abandoned after ``timeout`` seconds.

    Raises:
        LLMError: If the function raises anything, or on timeout; at once if the timeout
            is 0.
    """
    _check_time(timeout)
    try:
        return _start_worker(ask).result(timeout)
    except TimeoutError as error:
        raise _timeout_error(timeout) from error


async def arun_in_worker(ask: Callable[[], _T], *, timeout: float) -> _T:
    """Run a function as ``run_in_worker`` does, without blocking the event loop.

    This does not use the loop's small thread pool, where a hanging model would block other work.
    """
    return await await_call(lambda: asyncio.wrap_future(_start_worker(ask)), timeout=timeout)


async def await_call(ask: Callable[[], Awaitable[_T]], *, timeout: float) -> _T:
    """Call an asynchronous function, and await its result for at most ``timeout`` seconds.

    On timeout, or if the caller is cancelled, the call is cancelled too, and left to clean up by
    itself, since closing a connection may take as long as the reply did.

    Raises:
        LLMError: If the function raises anything, or on timeout; at once if the timeout
            is 0.
    """
    _check_time(timeout)
    # A model may raise anything, and none of it may reach the user's agent.
    try:
        call = asyncio.ensure_future(ask())
        call.add_done_callback(_mark_retrieved)
        try:
            done, _ = await asyncio.wait([call], timeout=timeout)
        finally:
            call.cancel()  # nothing happens to one that is done
        if done and not call.cancelled():
            return call.result()
    except LLMError:
        raise
    except Exception as error:
        raise call_failure(error) from error
    # A cancelled call was cancelled by the model itself: a cancelled caller does not get here.
    raise call_failure(asyncio.CancelledError()) if done else _timeout_error(timeout)


def _mark_retrieved(call: asyncio.Future[_T]) -> None:
    """Retrieve what an abandoned call raised; asyncio would log an exception never retrieved."""
    if not call.cancelled():
        call.exception()


def _start_worker(ask: Callable[[], _T]) -> Future[_T]:
    """Start a function in a thread of its own, and return the future of its result."""
    outcome: Future[_T] = Future()

    def work() -> None:
        # Nobody waits for a cancelled outcome.
        with suppress(InvalidStateError):
            try:
                outcome.set_result(ask())
            except InvalidStateError:
                raise
            except BaseException as error:  # noqa: BLE001 - as in ``await_call``
                outcome.set_exception(call_failure(error))

    run = contextvars.copy_context().run  # so that trace spans find their parent
    threading.Thread(target=run, args=(work,), name="toolret-llm", daemon=True).start()
    return outcome


def _check_time(timeout: float) -> None:
    if timeout <= 0:
        raise LLMError("no time is left")


def _timeout_error(timeout: float) -> LLMCallError:
    return LLMCallError(f"no reply within {timeout:.1f} s", transient=True)
