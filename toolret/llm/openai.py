"""``OpenAIModel``: a model behind a client of the ``openai`` package.

It uses either of two endpoints: Chat Completions or Responses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from toolret.llm.failures import LLMCallError, empty_reply, response_failure
from toolret.llm.model import Completion, Messages, Schema
from toolret.llm.structured import StructuredOutput, response_format
from toolret.llm.waiting import arun_in_worker, await_call, run_in_worker

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["Api", "OpenAIModel"]

Api: TypeAlias = Literal["chat", "responses"]
"""The endpoint: Chat Completions, which every OpenAI-compatible server supports, or Responses."""

_DEFAULT_CLIENT = "AsyncHttpxClientWrapper"
"""The name of the class of an ``AsyncOpenAI``'s default ``http_client``, which is private."""


class OpenAIModel:
    """A model behind an ``openai`` client, using the client's connection pool.

    The client's own retries are disabled; ``RetryingModel`` retries within the deadline.

    Args:
        client: The client, ``OpenAI`` or ``AsyncOpenAI``. For synchronous callers, an asynchronous
            client is copied with new connections, since a pool belongs to one event loop. A client
            with an ``http_client`` of its own is then rejected, because its proxies, certificates
            and hooks would be ignored.
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
                lambda: asyncio.run(self._ask_by_copy(messages, schema, timeout)), timeout=timeout
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

        def call(supported: Schema) -> Completion:
            return self._read(create(**self._api.request(self.name, messages, supported)))

        return self._structured.ask(schema, call)

    async def _ask_async(
        self, client: AsyncOpenAI, messages: Messages, schema: Schema, timeout: float
    ) -> Completion:
        create = self._api.create(client.with_options(timeout=timeout, max_retries=0))

        async def call(supported: Schema) -> Completion:
            return self._read(await create(**self._api.request(self.name, messages, supported)))

        return await self._structured.ask_async(schema, call)

    def _check_copyable(self) -> None:
        if type(self._client._client).__name__ != _DEFAULT_CLIENT:
            raise LLMCallError(
                "an AsyncOpenAI client with an http_client of its own can be asked in its event "
                "loop alone: use aselect (aask), or give an OpenAI client",
                blames_request=True,
            )

    def _read(self, answer: Any) -> Completion:
        if error := getattr(answer, "error", None):
            raise response_failure(error)
        return self._api.read(answer)

    async def _ask_by_copy(self, messages: Messages, schema: Schema, timeout: float) -> Completion:
        """Ask by a copy of the client with connections of its own, for a new event loop."""
        from openai import DefaultAsyncHttpxClient

        async with self._client.copy(http_client=DefaultAsyncHttpxClient()) as client:
            return await self._ask_async(client, messages, schema, timeout)


@dataclass(frozen=True, slots=True)
class _Api:
    """An endpoint of the API: how it is called, and how its response is read.

    Attributes:
        create: Returns a client's method that calls the endpoint.
        request: Returns the arguments of that method, for a model's name, messages and a schema.
        read: Reads the response; raises an ``LLMCallError`` if it is not one, or holds no text.
    """

    create: Callable[[Any], Callable[..., Any]]
    request: Callable[[str, Messages, Schema], dict[str, Any]]
    read: Callable[[Any], Completion]


def _chat_request(model: str, messages: Messages, schema: Schema) -> dict[str, Any]:
    request: dict[str, Any] = {"model": model, "messages": list(messages)}
    if schema:
        request["response_format"] = response_format(schema)
    return request


def _read_chat(answer: Any) -> Completion:
    """Return the reply in a response of Chat Completions."""
    # The client validates nothing: the "answer" may be an HTML page.
    try:
        choice = answer.choices[0] if answer.choices else None
        message = choice.message if choice else None
        text, refusal = (message.content, message.refusal) if message else (None, None)
        if isinstance(text, list):  # some servers return parts
            text = "".join(part["text"] for part in text if part.get("type") == "text")
        reason = getattr(choice, "finish_reason", None)
        tokens = _token_counts(answer.usage, "prompt_tokens", "completion_tokens")
        return _completion(text, refusal, reason, *tokens)
    except (AttributeError, LookupError, TypeError) as error:
        raise LLMCallError(f"the server's answer is no chat completion: {answer!r:.60}") from error


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
    """Return the reply in a response of the Responses API."""
    try:
        parts = [p for item in answer.output if item.type == "message" for p in item.content]
        refusals = [part.refusal for part in parts if part.type == "refusal"]
        reason = getattr(answer.incomplete_details, "reason", None)
        tokens = _token_counts(answer.usage, "input_tokens", "output_tokens")
        return _completion(answer.output_text, " ".join(refusals), reason, *tokens)
    except (AttributeError, LookupError, TypeError) as error:
        raise LLMCallError(f"the server's answer is no response: {answer!r:.60}") from error


def _completion(
    text: Any, refusal: str | None, reason: Any, input_tokens: int | None, output_tokens: int | None
) -> Completion:
    """Return a model's reply.

    Args:
        text: The reply's text, if there is one.
        refusal: The model's refusal, if it refused.
        reason: Why the model stopped, in its server's words.
        input_tokens: The number of tokens read; None if unknown.
        output_tokens: The number of tokens written; None if unknown.

    Raises:
        LLMCallError: If the model refused, or there is no text.
    """
    if refusal:
        raise LLMCallError(
            f"the model refused: {refusal:.100}",
            blames_request=True,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )
    if not isinstance(text, str) or not text.strip():
        raise empty_reply(reason, input_tokens=input_tokens, output_tokens=output_tokens)
    return Completion(text, input_tokens, output_tokens)


def _token_counts(usage: Any, read: str, written: str) -> tuple[int | None, int | None]:
    """Return the numbers of tokens read and written, given the names of their attributes."""
    input_tokens, output_tokens = getattr(usage, read, None), getattr(usage, written, None)
    return (
        input_tokens if isinstance(input_tokens, int) else None,
        output_tokens if isinstance(output_tokens, int) else None,
    )


_APIS = {
    "chat": _Api(lambda client: client.chat.completions.create, _chat_request, _read_chat),
    "responses": _Api(lambda client: client.responses.create, _responses_request, _read_response),
}
"""The endpoints, by their names in ``Api``."""
