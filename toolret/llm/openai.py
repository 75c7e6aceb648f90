"""Models behind the ``openai`` package's clients: Chat Completions and Responses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from toolret.llm.failures import ModelError, empty_reply, response_failure
from toolret.llm.model import Completion, Messages, Schema
from toolret.llm.structured import StructuredOutput, response_format
from toolret.llm.waiting import arun_in_worker, await_call, run_in_worker

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["Api", "OpenAIModel"]

Api: TypeAlias = Literal["chat", "responses"]
"""Chat Completions, which every OpenAI-compatible server supports, or Responses."""

_DEFAULT_CLIENT = "AsyncHttpxClientWrapper"
"""Class of an ``AsyncOpenAI``'s default ``http_client``: private, so compared by name."""


class OpenAIModel:
    """A model behind an ``openai`` client, using the client's connection pool.

    The client's own retries are disabled; ``SteadyModel`` retries within the deadline.

    Args:
        client: Sync or async. For a sync caller, an async client is copied with new connections,
            since a pool belongs to one event loop. A client with its own ``http_client`` is then
            rejected, because its proxies, certificates and hooks would be ignored.
        model: The model's name.
        api: The endpoint to use.
    """

    def __init__(self, client: OpenAI | AsyncOpenAI, model: str, api: Api = "chat") -> None:
        from openai import AsyncOpenAI

        self._client: Any = client
        self._is_async = isinstance(client, AsyncOpenAI)
        self._api = _APIS[api]
        self._structured = StructuredOutput()
        self.name = model
        self.identity = f"{api} {client.base_url} {model}"

    def complete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """See ``ChatModel``."""
        if self._is_async:
            self._check_copyable()
            return run_in_worker(
                lambda: asyncio.run(self._ask_alone(messages, schema, timeout)), timeout=timeout
            )
        return run_in_worker(lambda: self._ask(messages, schema, timeout), timeout=timeout)

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """See ``ChatModel``."""
        if self._is_async:
            return await await_call(
                lambda: self._ask_async(self._client, messages, schema, timeout), timeout=timeout
            )
        return await arun_in_worker(lambda: self._ask(messages, schema, timeout), timeout=timeout)

    def _ask(self, messages: Messages, schema: Schema, timeout: float) -> Completion:
        create = self._api.create(self._client.with_options(timeout=timeout, max_retries=0))

        def call(taken: Schema) -> Completion:
            return self._read(create(**self._api.request(self.name, messages, taken)))

        return self._structured.ask(schema, call)

    async def _ask_async(
        self, client: AsyncOpenAI, messages: Messages, schema: Schema, timeout: float
    ) -> Completion:
        create = self._api.create(client.with_options(timeout=timeout, max_retries=0))

        async def call(taken: Schema) -> Completion:
            return self._read(await create(**self._api.request(self.name, messages, taken)))

        return await self._structured.ask_async(schema, call)

    def _check_copyable(self) -> None:
        if type(self._client._client).__name__ != _DEFAULT_CLIENT:
            raise ModelError(
                "an AsyncOpenAI client with an http_client of its own can be asked in its event "
                "loop alone: use aselect (aask), or give an OpenAI client",
                blames_request=True,
            )

    def _read(self, answer: Any) -> Completion:
        if error := getattr(answer, "error", None):
            raise response_failure(error)
        return self._api.read(answer)

    async def _ask_alone(self, messages: Messages, schema: Schema, timeout: float) -> Completion:
        from openai import DefaultAsyncHttpxClient

        async with self._client.copy(http_client=DefaultAsyncHttpxClient()) as client:
            return await self._ask_async(client, messages, schema, timeout)


@dataclass(frozen=True, slots=True)
class _Api:
    """How to call an endpoint, and how to read its response."""

    create: Callable[[Any], Callable[..., Any]]
    request: Callable[[str, Messages, Schema], dict[str, Any]]
    read: Callable[[Any], Completion]


def _chat_request(model: str, messages: Messages, schema: Schema) -> dict[str, Any]:
    request: dict[str, Any] = {"model": model, "messages": list(messages)}
    if schema:
        request["response_format"] = response_format(schema)
    return request


def _read_chat(answer: Any) -> Completion:
    # The client validates nothing: the "answer" may be an HTML page.
    try:
        choice = answer.choices[0] if answer.choices else None
        message = choice.message if choice else None
        text, refusal = (message.content, message.refusal) if message else (None, None)
        if isinstance(text, list):  # some servers return parts
            text = "".join(part["text"] for part in text if part.get("type") == "text")
        ended = getattr(choice, "finish_reason", None)
        read, wrote = _tokens(answer.usage, "prompt_tokens", "completion_tokens")
        return _completion(text, refusal, ended, read, wrote)
    except (AttributeError, LookupError, TypeError) as error:
        raise ModelError(f"the server's answer is no chat completion: {answer!r:.60}") from error


def _responses_request(model: str, messages: Messages, schema: Schema) -> dict[str, Any]:
    # This is a user's conversation: the server must not store it.
    request: dict[str, Any] = {"model": model, "input": list(messages), "store": False}
    if schema:
        request["text"] = {
            "format": {
                "type": "json_schema",
                "name": "reply",
                "strict": True,
                "schema": dict(schema),
            }
        }
    return request


def _read_response(answer: Any) -> Completion:
    try:
        parts = [p for item in answer.output if item.type == "message" for p in item.content]
        refusals = [part.refusal for part in parts if part.type == "refusal"]
        ended = getattr(answer.incomplete_details, "reason", None)
        read, wrote = _tokens(answer.usage, "input_tokens", "output_tokens")
        return _completion(answer.output_text, " ".join(refusals), ended, read, wrote)
    except (AttributeError, LookupError, TypeError) as error:
        raise ModelError(f"the server's answer is no response: {answer!r:.60}") from error


def _completion(
    text: Any, refusal: str | None, ended: Any, read: int | None, wrote: int | None
) -> Completion:
    if refusal:
        raise ModelError(
            f"the model refused: {refusal:.100}",
            blames_request=True,
            input_tokens=read,
            output_tokens=wrote,
        )
    if not isinstance(text, str) or not text.strip():
        raise empty_reply(ended, input_tokens=read, output_tokens=wrote)
    return Completion(text, read, wrote)


def _tokens(usage: Any, *names: str) -> list[int | None]:
    counts = [getattr(usage, name, None) for name in names]
    return [count if isinstance(count, int) else None for count in counts]


_APIS = {
    "chat": _Api(lambda client: client.chat.completions.create, _chat_request, _read_chat),
    "responses": _Api(lambda client: client.responses.create, _responses_request, _read_response),
}
