"""Functions as models."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from toolret.llm.model import Completion, Messages, Schema
from toolret.llm.waiting import awaited, in_worker, in_worker_async

__all__ = ["FunctionModel"]


class FunctionModel:
    """Any function from messages to text, or to a ``Completion`` that also knows its tokens.

    Args:
        function: Sync or async. A sync one runs in a thread.
        name: What to call it; by default, what Python does. Only what has a name that someone gave
            it can be told from others, now and in the next process.
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self._function = function
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - an object may have an async one
        )
        self.identity = name
        self.name = name or str(getattr(function, "__name__", type(function).__name__))

    def complete(
        self,
        messages: Messages,
        schema: Schema,  # noqa: ARG002 - a function from messages to text takes none
        *,
        timeout: float,
    ) -> Completion:
        """As ``ChatModel`` says."""
        if self._is_async:
            return _read(
                in_worker(lambda: asyncio.run(self._function(list(messages))), timeout=timeout)
            )
        return _read(in_worker(lambda: self._function(list(messages)), timeout=timeout))

    async def acomplete(
        self,
        messages: Messages,
        schema: Schema,  # noqa: ARG002 - as above
        *,
        timeout: float,
    ) -> Completion:
        """As ``ChatModel`` says."""
        if self._is_async:
            return _read(await awaited(self._function(list(messages)), timeout=timeout))
        return _read(await in_worker_async(lambda: self._function(list(messages)), timeout=timeout))


def _read(reply: Any) -> Completion:
    return reply if isinstance(reply, Completion) else Completion(str(reply))
