"""The ``openai`` package's clients as models."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from toolret.errors import QueryGenerationError
from toolret.llm.model import Completion, Messages, Schema
from toolret.llm.waiting import awaited, in_worker

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["OpenAIModel"]


class OpenAIModel:
    """Chat Completions through the ``openai`` package."""

    def __init__(self, client: OpenAI | AsyncOpenAI, model: str, *, is_async: bool) -> None:
        self._client: Any = client
        self._is_async = is_async
        self.name = model
        self._structured = True

    def complete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """As ``ChatModel`` says."""
        if self._is_async:
            return in_worker(
                lambda: asyncio.run(self._ask_alone(messages, schema, timeout)), timeout=timeout
            )
        return in_worker(lambda: self._ask_sync(messages, schema, timeout), timeout=timeout)

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """As ``ChatModel`` says."""
        if self._is_async:
            return await awaited(
                self._ask(self._client, messages, schema, timeout), timeout=timeout
            )
        return await asyncio.to_thread(self.complete, messages, schema, timeout=timeout)

    def _ask_sync(self, messages: Messages, schema: Schema, timeout: float) -> Completion:
        from openai import BadRequestError

        create = self._client.with_options(timeout=timeout).chat.completions.create
        if self._structured:
            try:
                return _read(create(**self._request(messages, schema)))
            except BadRequestError:
                self._structured = False  # asked for plain text from now on
        return _read(create(**self._request(messages, None)))

    async def _ask_alone(self, messages: Messages, schema: Schema, timeout: float) -> Completion:
        """In an event loop of its own: a pool of connections belongs to one loop."""
        from openai import DefaultAsyncHttpxClient

        async with self._client.copy(http_client=DefaultAsyncHttpxClient()) as client:
            return await self._ask(client, messages, schema, timeout)

    async def _ask(
        self,
        client: Any,
        messages: Messages,
        schema: Schema,
        timeout: float,
    ) -> Completion:
        from openai import BadRequestError

        create = client.with_options(timeout=timeout).chat.completions.create
        if self._structured:
            try:
                return _read(await create(**self._request(messages, schema)))
            except BadRequestError:
                self._structured = False
        return _read(await create(**self._request(messages, None)))

    def _request(self, messages: Messages, schema: Schema | None) -> dict[str, Any]:
        request: dict[str, Any] = {"model": self.name, "messages": list(messages)}
        if schema:
            request["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "strict": True, "schema": dict(schema)},
            }
        return request


def _read(completion: Any) -> Completion:
    choices = completion.choices
    if not choices or not choices[0].message.content:
        raise QueryGenerationError("the model gave an empty reply")
    usage = completion.usage
    return Completion(
        str(choices[0].message.content),
        input_tokens=usage.prompt_tokens if usage else None,
        output_tokens=usage.completion_tokens if usage else None,
    )
