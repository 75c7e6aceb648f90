"""Functions as models."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from toolret.llm.model import Completion, Messages, Schema
from toolret.llm.waiting import awaited, in_worker

__all__ = ["FunctionModel"]


class FunctionModel:
    """Any function from messages to text."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._is_async = inspect.iscoroutinefunction(function)
        self.name = str(getattr(function, "__name__", type(function).__name__))

    def complete(
        self,
        messages: Messages,
        schema: Schema,  # noqa: ARG002 - a function from messages to text takes none
        *,
        timeout: float,
    ) -> Completion:
        """As ``ChatModel`` says."""
        if self._is_async:
            return in_worker(
                lambda: _read(asyncio.run(self._function(list(messages)))), timeout=timeout
            )
        return in_worker(lambda: _read(self._function(list(messages))), timeout=timeout)

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """As ``ChatModel`` says."""
        if self._is_async:
            return _read(await awaited(self._function(list(messages)), timeout=timeout))
        return await asyncio.to_thread(self.complete, messages, schema, timeout=timeout)


def _read(reply: Any) -> Completion:
    return reply if isinstance(reply, Completion) else Completion(str(reply))
