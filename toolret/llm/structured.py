"""Replies held to a schema, by servers that take one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from toolret.llm.failures import ModelError, failure
from toolret.llm.model import Completion, Schema

__all__ = ["StructuredOutput", "response_format"]


def response_format(schema: Schema) -> dict[str, object]:
    """``response_format`` of Chat Completions."""
    form = {"name": "reply", "strict": True, "schema": dict(schema)}
    return {"type": "json_schema", "json_schema": form}


class StructuredOutput:
    """Remembers whether one model of one server takes a schema.

    A server that refuses a request with a schema, and takes it without, is asked without from then
    on.
    """

    def __init__(self) -> None:
        self._taken = True

    def ask(self, schema: Schema, call: Callable[[Schema], Completion]) -> Completion:
        """What a call with the schema gives, or one with an empty one."""
        if not (schema and self._taken):
            return call({})
        try:
            return call(schema)
        except Exception as error:
            if not _is_refusal(error):
                raise
        return self._without(call({}))

    async def ask_async(
        self, schema: Schema, call: Callable[[Schema], Awaitable[Completion]]
    ) -> Completion:
        """``ask`` for event loops."""
        if not (schema and self._taken):
            return await call({})
        try:
            return await call(schema)
        except Exception as error:
            if not _is_refusal(error):
                raise
        return self._without(await call({}))

    def _without(self, reply: Completion) -> Completion:
        self._taken = False
        return replace(reply, calls=reply.calls + 1)


def _is_refusal(error: Exception) -> bool:
    """Whether it may be the schema that a server refuses; what a model refuses is the question.

    Some say so as a fault of their own: llama-cpp-python's answers 500 and names the argument.
    """
    failed = failure(error)
    if failed is error or not isinstance(failed, ModelError):
        return False
    return failed.blames_request or "response_format" in str(failed)
