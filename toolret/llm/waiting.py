"""Waiting for a model no longer than is meant, and every failure as one error."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from toolret.errors import QueryGenerationError

__all__ = ["awaited", "in_worker", "mapped"]

_T = TypeVar("_T")

_LONGEST_REASON = 200
"""Characters of a foreign error's message that are passed on."""


def in_worker(ask: Callable[[], _T], *, timeout: float) -> _T:
    """Run in a thread that is left behind on a time-out, and does not keep the process alive."""
    outcome: list[_T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(ask())
        # A model may raise anything at all, and none of it may reach the user's agent.
        except BaseException as error:  # noqa: BLE001
            failure.append(error)

    worker = threading.Thread(target=work, name="toolret-llm", daemon=True)
    worker.start()
    worker.join(timeout)
    if outcome:
        return outcome[0]
    if failure:
        raise mapped(failure[0]) from failure[0]
    raise QueryGenerationError(f"no reply within {timeout:.1f} s")


async def awaited(reply: Awaitable[_T], *, timeout: float) -> _T:
    """What comes of an awaitable, or a ``QueryGenerationError``."""
    try:
        return await asyncio.wait_for(reply, timeout)
    except TimeoutError as error:
        raise QueryGenerationError(f"no reply within {timeout:.1f} s") from error
    # As above; being cancelled is no Exception and goes through.
    except Exception as error:
        raise mapped(error) from error


def mapped(error: BaseException) -> QueryGenerationError:
    """Any error as the one that the rest of the code expects."""
    if isinstance(error, QueryGenerationError):
        return error
    message = " ".join(str(error).split())[:_LONGEST_REASON]
    return QueryGenerationError(f"{type(error).__name__}: {message}".rstrip(": "))
