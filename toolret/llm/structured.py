"""Structured output: replies that follow a JSON Schema, on servers that support it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from toolret.llm.failures import LLMCallError, call_failure
from toolret.llm.model import Completion, Schema

__all__ = ["StructuredOutput", "response_format"]


def response_format(schema: Schema) -> dict[str, object]:
    """Return the ``response_format`` of a request to Chat Completions."""
    form = {"name": "reply", "strict": True, "schema": dict(schema)}
    return {"type": "json_schema", "json_schema": form}


class StructuredOutput:
    """Calls a model with a schema as long as its server supports that.

    If the server rejects a request with a schema but accepts it without, later requests are sent
    without a schema.
    """

    def __init__(self) -> None:
        self._supported = True

    def ask(self, schema: Schema, call: Callable[[Schema], Completion]) -> Completion:
        """Return the reply to a call with the schema; with an empty one if it is not supported."""
        if not (schema and self._supported):
            return call({})
        try:
            return call(schema)
        except Exception as error:
            if not _is_refusal(error):
                raise
        return self._stop_using_schemas(call({}))

    async def ask_async(
        self, schema: Schema, call: Callable[[Schema], Awaitable[Completion]]
    ) -> Completion:
        """Return the reply to an asynchronous call; otherwise as ``ask``."""
        if not (schema and self._supported):
            return await call({})
        try:
            return await call(schema)
        except Exception as error:
            if not _is_refusal(error):
                raise
        return self._stop_using_schemas(await call({}))

    def _stop_using_schemas(self, reply: Completion) -> Completion:
        """Send no more schemas, and return the reply with the rejected call counted."""
        self._supported = False
        return replace(reply, calls=reply.calls + 1)


def _is_refusal(error: Exception) -> bool:
    """Whether an error may mean that the server rejected the schema.

    A model's refusal does not: it concerns the question. Some servers report a rejected schema as a
    server error: llama-cpp-python returns 500 and names the argument.
    """
    failed = call_failure(error)
    if failed is error or not isinstance(failed, LLMCallError):
        return False
    return failed.blames_request or "response_format" in str(failed)
