"""A model whose replies are scripted."""

from __future__ import annotations

from collections.abc import Callable

from toolret.errors import InputError, LLMError
from toolret.llm import Completion, Messages, Schema

__all__ = ["ScriptedChatModel"]


class ScriptedChatModel:
    """A ``ChatModel`` that gives scripted replies.

    Args:
        replies: The replies, given one after the other, the last one repeatedly: texts, exceptions
            to raise, or functions from the messages to a text.

    Attributes:
        asked: The messages of each call, in order.

    Raises:
        InputError: If no reply is given.
    """

    name = "scripted"

    def __init__(self, *replies: str | Exception | Callable[[Messages], str]) -> None:
        if not replies:
            raise InputError("the model has nothing to say: give at least one reply")
        self._replies = list(replies)
        self.asked: list[Messages] = []

    def complete(
        self,
        messages: Messages,
        schema: Schema,  # noqa: ARG002 - part of the protocol
        *,
        timeout: float,
    ) -> Completion:
        """Return the next reply."""
        if timeout <= 0:
            raise LLMError("no time is left")
        self.asked.append(messages)
        reply = self._replies[min(len(self.asked), len(self._replies)) - 1]
        if isinstance(reply, LLMError):
            raise reply
        if isinstance(reply, Exception):
            raise LLMError(f"{type(reply).__name__}: {reply}") from reply
        return Completion(reply if isinstance(reply, str) else reply(messages))

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """Return the next reply."""
        return self.complete(messages, schema, timeout=timeout)
