"""A local server asked in every way that users have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI
from pydantic import SecretStr

from toolret.llm import ChatModel, Completion, as_chat_model

Asking: TypeAlias = Callable[[ChatModel], Callable[..., Awaitable[Completion]]]

SCHEMA = {
    "type": "object",
    "properties": {"queries": {"type": "array", "items": {"type": "string"}}},
    "required": ["queries"],
    "additionalProperties": False,
}


def question(text: str = "hello") -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


class Way:
    """A client or LangChain model, sync or async, asked by a sync or async caller."""

    def __init__(self, client: str, caller: str) -> None:
        self.client = client
        self.caller = caller

    def __repr__(self) -> str:
        return f"{self.client}, {self.caller} caller"

    @asynccontextmanager
    async def model(self, base_url: str, **options: Any) -> AsyncIterator[ChatModel]:
        if self.client == "AsyncOpenAI":
            async with AsyncOpenAI(api_key="k", base_url=base_url) as client:
                yield as_chat_model(client, "m", **options)
        elif self.client == "OpenAI":
            with OpenAI(api_key="k", base_url=base_url) as sync_client:
                yield as_chat_model(sync_client, "m", **options)
        else:
            async with chat_openai(base_url) as chat:
                yield as_chat_model(chat, **options)

    async def ask(self, model: ChatModel, text: str = "hello", *, timeout: float) -> Completion:
        if self.caller == "async":
            return await model.acomplete(question(text), SCHEMA, timeout=timeout)
        return await asyncio.to_thread(model.complete, question(text), SCHEMA, timeout=timeout)


@asynccontextmanager
async def chat_openai(base_url: str, **options: Any) -> AsyncIterator[ChatOpenAI]:
    """A model of LangChain's that leaves no connection open."""
    async with DefaultAsyncHttpxClient() as async_http:
        with DefaultHttpxClient() as http:
            yield ChatOpenAI(
                model="m",
                api_key=SecretStr("k"),
                base_url=base_url,
                http_client=http,
                http_async_client=async_http,
                **{"max_retries": 0} | options,
            )


WAYS = [
    Way(client, caller)
    for client in ("OpenAI", "AsyncOpenAI", "ChatOpenAI")
    for caller in ("sync", "async")
]
in_every_way = pytest.mark.parametrize("way", WAYS, ids=repr)
