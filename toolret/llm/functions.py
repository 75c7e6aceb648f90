"""``FunctionModel``: a plain function used as a model."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from toolret.llm.failures import LLMCallError
from toolret.llm.model import Completion, Messages, Schema
from toolret.llm.waiting import arun_in_worker, await_call, run_in_worker

__all__ = ["FunctionModel"]


class FunctionModel:
    """A model that calls a function.

    Args:
        function: A function from messages to text, or to a ``Completion`` with token counts. It may
            be asynchronous; a synchronous one runs in a thread.
        name: The model's name; by default the function's name. Replies are cached only if a name is
            passed, since nothing else identifies a function across processes.
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
        """See ``ChatModel``."""
        return run_in_worker(lambda: self._call(messages), timeout=timeout)

    async def acomplete(
        self,
        messages: Messages,
        schema: Schema,  # noqa: ARG002 - as above
        *,
        timeout: float,
    ) -> Completion:
        """See ``ChatModel``."""
        if self._is_async:
            return _as_completion(
                await await_call(lambda: self._function(list(messages)), timeout=timeout)
            )
        return await arun_in_worker(lambda: self._call(messages), timeout=timeout)

    def _call(self, messages: Messages) -> Completion:
        reply = self._function(list(messages))
        return _as_completion(asyncio.run(_await(reply)) if inspect.isawaitable(reply) else reply)


async def _await(reply: Awaitable[Any]) -> Any:
    return await reply


def _as_completion(reply: Any) -> Completion:
    completion = reply if isinstance(reply, Completion) else Completion(reply)
    if not isinstance(completion.text, str):
        raise LLMCallError(f"the function gave no text but {completion.text!r:.60}")
    return completion
