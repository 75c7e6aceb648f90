"""Call a model with a hard timeout, even if it blocks."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TypeVar

from toolret.errors import QueryGenerationError
from toolret.llm.failures import ModelError, call_failure

__all__ = ["arun_in_worker", "await_call", "run_in_worker"]

_T = TypeVar("_T")


def run_in_worker(ask: Callable[[], _T], *, timeout: float) -> _T:
    """Run a function in its own thread, which is abandoned after ``timeout`` seconds.

    Raises:
        QueryGenerationError: For anything it raises, and on timeout; at once if that is 0.
    """
    _check_time(timeout)
    try:
        return _started(ask).result(timeout)
    except TimeoutError as error:
        raise _late(timeout) from error


async def arun_in_worker(ask: Callable[[], _T], *, timeout: float) -> _T:
    """``run_in_worker`` for event loops.

    It does not use the loop's small thread pool, where a hanging model would block other work.
    """
    return await await_call(lambda: asyncio.wrap_future(_started(ask)), timeout=timeout)


async def await_call(ask: Callable[[], Awaitable[_T]], *, timeout: float) -> _T:
    """Call, and await the result for at most ``timeout`` seconds.

    On timeout, or if the caller is cancelled, the call is cancelled too, and left to clean up by
    itself: to close a connection may take as long as the reply did.

    Raises:
        QueryGenerationError: For anything it raises, and on timeout; at once if that is 0.
    """
    _check_time(timeout)
    # A model may raise anything, and none of it may reach the user's agent.
    try:
        call = asyncio.ensure_future(ask())
        call.add_done_callback(_noticed)
        try:
            done, _ = await asyncio.wait([call], timeout=timeout)
        finally:
            call.cancel()  # nothing happens to one that is done
        if done and not call.cancelled():
            return call.result()
    except QueryGenerationError:
        raise
    except Exception as error:
        raise call_failure(error) from error
    # If the call was cancelled, then by the model itself: a cancelled caller does not get here.
    raise call_failure(asyncio.CancelledError()) if done else _late(timeout)


def _noticed(call: asyncio.Future[_T]) -> None:
    """Look at what an abandoned call raised, which asyncio would report as overlooked."""
    if not call.cancelled():
        call.exception()


def _started(ask: Callable[[], _T]) -> Future[_T]:
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
        raise QueryGenerationError("no time is left")


def _late(timeout: float) -> ModelError:
    return ModelError(f"no reply within {timeout:.1f} s", transient=True)
