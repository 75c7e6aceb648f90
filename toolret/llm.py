"""One adapter to all models: the rest of the code sees ``ChatModel``."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from toolret.errors import QueryGenerationError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from openai import AsyncOpenAI, OpenAI

__all__ = ["ChatModel", "as_chat_model", "json_object"]

_T = TypeVar("_T")

_LONGEST_REASON = 200
"""Characters of a foreign error's message that are passed on."""

_MOST_BRACES = 100
"""Places where a JSON object is looked for, so that a reply of braces costs no time."""

_NO_STREAM = "nostream"
"""LangGraph keeps the tokens of calls with this tag out of the user's stream."""


@runtime_checkable
class ChatModel(Protocol):
    """A model that answers messages with text.

    Both methods raise ``QueryGenerationError`` for whatever goes wrong, a time-out included.
    """

    @property
    def name(self) -> str:
        """The model's name, for reports."""
        ...

    def complete(
        self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], *, timeout: float
    ) -> str:
        """The reply's text.

        Args:
            messages: ``{"role", "content"}`` each.
            schema: JSON Schema that the reply shall follow, for models that can be held to one.
            timeout: Seconds after which the caller goes on without it.
        """
        ...

    async def acomplete(
        self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], *, timeout: float
    ) -> str:
        """``complete`` for event loops."""
        ...


def as_chat_model(llm: Any, model: str | None = None) -> ChatModel:
    """The adapter for an LLM.

    Args:
        llm: An ``openai`` client, sync or async; a LangChain chat model; a callable from messages
            to text, sync or async; or a ``ChatModel``, which is returned as it is.
        model: The model's name; an ``openai`` client needs it.

    Raises:
        QueryGenerationError: If it is none of these, or the name is missing.
    """
    if isinstance(llm, ChatModel):
        return llm
    openai = sys.modules.get("openai")
    if openai and isinstance(llm, (openai.OpenAI, openai.AsyncOpenAI)):
        if not model:
            raise QueryGenerationError(
                "an openai client serves many models: pass the name of one as model=..."
            )
        return _OpenAIModel(llm, model, is_async=isinstance(llm, openai.AsyncOpenAI))
    langchain = sys.modules.get("langchain_core.language_models")
    if langchain and isinstance(llm, langchain.BaseChatModel):
        return _LangChainModel(llm)
    if callable(llm):
        return _CallableModel(llm)
    raise QueryGenerationError(
        f"{type(llm).__name__} is no LLM that toolret knows: give an openai client, a LangChain "
        "chat model, or a callable from messages to text"
    )


def json_object(reply: str, key: str) -> dict[str, Any]:
    """The JSON object in a reply, alone, in a code fence or among prose.

    The first that has ``key``, else the first at all.

    Raises:
        QueryGenerationError: If the reply holds none.
    """
    decoder = json.JSONDecoder()
    first: dict[str, Any] | None = None
    start = reply.find("{")
    tries = 0
    while start >= 0 and tries < _MOST_BRACES:
        tries += 1
        try:
            value, _ = decoder.raw_decode(reply, start)
        except (ValueError, RecursionError):  # no JSON, or a number of thousands of digits
            value = None
        if isinstance(value, dict):
            if key in value:
                return value
            first = first or value
        start = reply.find("{", start + 1)
    if first is None:
        raise QueryGenerationError(f"the reply is no JSON: {reply[:60]!r}")
    return first


class _OpenAIModel:
    """Chat Completions through the ``openai`` package."""

    def __init__(self, client: OpenAI | AsyncOpenAI, model: str, *, is_async: bool) -> None:
        self._client: Any = client
        self._is_async = is_async
        self.name = model
        self._structured = True

    def complete(
        self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], *, timeout: float
    ) -> str:
        if self._is_async:
            return _in_worker(
                lambda: asyncio.run(self._ask_alone(messages, schema, timeout)), timeout=timeout
            )
        return _in_worker(lambda: self._ask_sync(messages, schema, timeout), timeout=timeout)

    async def acomplete(
        self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], *, timeout: float
    ) -> str:
        if self._is_async:
            return await _awaited(
                self._ask(self._client, messages, schema, timeout), timeout=timeout
            )
        return await asyncio.to_thread(self.complete, messages, schema, timeout=timeout)

    def _ask_sync(
        self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], timeout: float
    ) -> str:
        from openai import BadRequestError

        create = self._client.with_options(timeout=timeout).chat.completions.create
        if self._structured:
            try:
                return _content(create(**self._request(messages, schema)))
            except BadRequestError:
                self._structured = False  # asked for plain text from now on
        return _content(create(**self._request(messages, None)))

    async def _ask_alone(
        self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], timeout: float
    ) -> str:
        """In an event loop of its own: a pool of connections belongs to one loop."""
        from openai import DefaultAsyncHttpxClient

        async with self._client.copy(http_client=DefaultAsyncHttpxClient()) as client:
            return await self._ask(client, messages, schema, timeout)

    async def _ask(
        self,
        client: Any,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],
        timeout: float,
    ) -> str:
        from openai import BadRequestError

        create = client.with_options(timeout=timeout).chat.completions.create
        if self._structured:
            try:
                return _content(await create(**self._request(messages, schema)))
            except BadRequestError:
                self._structured = False
        return _content(await create(**self._request(messages, None)))

    def _request(
        self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        request: dict[str, Any] = {"model": self.name, "messages": list(messages)}
        if schema:
            request["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "strict": True, "schema": dict(schema)},
            }
        return request


def _content(completion: Any) -> str:
    choices = completion.choices
    if not choices or not choices[0].message.content:
        raise QueryGenerationError("the model gave an empty reply")
    return str(choices[0].message.content)


class _LangChainModel:
    """A LangChain chat model, kept out of the user's stream and callbacks."""

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model
        self.name = str(getattr(model, "model_name", None) or type(model).__name__)

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],  # noqa: ARG002 - models differ too much in how they take one
        *,
        timeout: float,
    ) -> str:
        # An empty context: the user's run, and with it its callbacks, is not inherited.
        empty = contextvars.Context()
        return _in_worker(
            lambda: empty.run(
                lambda: self._model.invoke(_as_langchain(messages), _langchain_config()).text
            ),
            timeout=timeout,
        )

    async def acomplete(
        self,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],  # noqa: ARG002 - as above
        *,
        timeout: float,
    ) -> str:
        async def ask() -> str:
            reply = await self._model.ainvoke(_as_langchain(messages), _langchain_config())
            return reply.text

        task = asyncio.get_running_loop().create_task(ask(), context=contextvars.Context())
        return await _awaited(task, timeout=timeout)


def _as_langchain(messages: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in messages]


def _langchain_config() -> Any:
    return {"run_name": "toolret", "tags": [_NO_STREAM], "callbacks": []}


class _CallableModel:
    """Any function from messages to text."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._is_async = inspect.iscoroutinefunction(function)
        self.name = str(getattr(function, "__name__", type(function).__name__))

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],  # noqa: ARG002 - a function from messages to text takes none
        *,
        timeout: float,
    ) -> str:
        if self._is_async:
            return _in_worker(
                lambda: str(asyncio.run(self._function(list(messages)))), timeout=timeout
            )
        return _in_worker(lambda: str(self._function(list(messages))), timeout=timeout)

    async def acomplete(
        self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], *, timeout: float
    ) -> str:
        if self._is_async:
            return await _awaited(self._function(list(messages)), timeout=timeout)
        return await asyncio.to_thread(self.complete, messages, schema, timeout=timeout)


def _in_worker(ask: Callable[[], _T], *, timeout: float) -> _T:
    """Run in a thread that is left behind on a time-out, and does not keep the process alive."""
    outcome: list[_T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(ask())
        # A model may raise anything at all, and none of it may reach the user's agent.
        except BaseException as error:  # noqa: BLE001
            failure.append(error)

    worker = threading.Thread(target=work, name="toolret-llm", daemon=True)
    worker.start()
    worker.join(timeout)
    if outcome:
        return outcome[0]
    if failure:
        raise _mapped(failure[0]) from failure[0]
    raise QueryGenerationError(f"no reply within {timeout:.1f} s")


async def _awaited(reply: Awaitable[_T], *, timeout: float) -> _T:
    try:
        return await asyncio.wait_for(reply, timeout)
    except TimeoutError as error:
        raise QueryGenerationError(f"no reply within {timeout:.1f} s") from error
    # As above; being cancelled is no Exception and goes through.
    except Exception as error:
        raise _mapped(error) from error


def _mapped(error: BaseException) -> QueryGenerationError:
    if isinstance(error, QueryGenerationError):
        return error
    message = " ".join(str(error).split())[:_LONGEST_REASON]
    return QueryGenerationError(f"{type(error).__name__}: {message}".rstrip(": "))
