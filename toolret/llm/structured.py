"""Structured output, for servers that support it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from toolret.llm.failures import ModelError, call_failure
from toolret.llm.model import Completion, Schema

__all__ = ["StructuredOutput", "response_format"]


def response_format(schema: Schema) -> dict[str, object]:
    """Return ``response_format`` for Chat Completions."""
    form = {"name": "reply", "strict": True, "schema": dict(schema)}
    return {"type": "json_schema", "json_schema": form}


class StructuredOutput:
    """Remembers whether a server's model supports a schema.

    If a server rejects a request with a schema but accepts it without, later requests have none.
    """

    def __init__(self) -> None:
        self._taken = True

    def ask(self, schema: Schema, call: Callable[[Schema], Completion]) -> Completion:
        """Call with the schema, or with an empty one if that is not supported."""
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
    """Whether a server may have rejected the schema; a model's refusal concerns the question.

    Some report it as a server error: llama-cpp-python returns 500 and names the argument.
    """
    failed = call_failure(error)
    if failed is error or not isinstance(failed, ModelError):
        return False
    return failed.blames_request or "response_format" in str(failed)
