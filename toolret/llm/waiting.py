"""Waiting for a model no longer than is meant, whatever it does meanwhile."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TypeVar

from toolret.llm.failures import ModelError, failure

__all__ = ["awaited", "in_worker", "in_worker_async"]

_T = TypeVar("_T")


def in_worker(ask: Callable[[], _T], *, timeout: float) -> _T:
    """Run in a thread of its own, which is left behind if it takes more seconds than that.

    Raises:
        QueryGenerationError: For whatever it raises, and if it takes too long.
    """
    try:
        return _started(ask).result(timeout)
    except TimeoutError as error:
        raise _late(timeout) from error


async def in_worker_async(ask: Callable[[], _T], *, timeout: float) -> _T:
    """``in_worker`` for event loops.

    The threads are not those of the loop's own pool, which are few: a model that hangs would keep
    all else that runs in them waiting.
    """
    return await awaited(asyncio.wrap_future(_started(ask)), timeout=timeout)


async def awaited(reply: Awaitable[_T], *, timeout: float) -> _T:
    """What comes of an awaitable within some seconds; being cancelled goes through.

    Raises:
        QueryGenerationError: For whatever it raises, and if it takes too long.
    """
    try:
        async with asyncio.timeout(timeout) as limit:
            return await reply
    except TimeoutError as error:  # the model's own, if it comes before the limit
        raise (_late(timeout) if limit.expired() else failure(error)) from error
    # A model may raise anything at all, and none of it may reach the user's agent.
    except Exception as error:
        raise failure(error) from error


def _started(ask: Callable[[], _T]) -> Future[_T]:
    outcome: Future[_T] = Future()

    def work() -> None:
        # Nobody waits any more for an outcome that was cancelled.
        with suppress(InvalidStateError):
            try:
                outcome.set_result(ask())
            except InvalidStateError:
                raise
            except BaseException as error:  # noqa: BLE001 - as in ``awaited``
                outcome.set_exception(failure(error))

    run = contextvars.copy_context().run  # so that spans of a trace find their parent
    threading.Thread(target=run, args=(work,), name="toolret-llm", daemon=True).start()
    return outcome


def _late(timeout: float) -> ModelError:
    return ModelError(f"no reply within {timeout:.1f} s", transient=True)
