"""Many selections at once: one pool, everyone's own result, and clean when cancelled."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from openai import (
    DEFAULT_CONNECTION_LIMITS,
    AsyncOpenAI,
    DefaultAsyncHttpxClient,
    DefaultHttpxClient,
    OpenAI,
)
from pydantic import SecretStr

from tests.conftest import tool
from tests.llm.ways import SCHEMA, question
from tests.llm.wire import Wire, answering
from tests.waiting import until
from toolret import ToolIndex, ToolRetriever
from toolret.llm import ChatModel, RetryPolicy, as_chat_model
from toolret.testing import HashedWordsEmbedder

MANY = 100
POOL = 8


@pytest.fixture
def index(tmp_path: Path) -> ToolIndex:
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync(tools=[tool(f"tool_{n}", f"Does the thing called number{n}.") for n in range(MANY)])
    return index


def writes_a_query(prompt: str) -> str:
    """A query that tells whose it is."""
    said = re.findall(r"number\d+", prompt)[-1]
    return json.dumps({"queries": [f"query about {said}"]})


@asynccontextmanager
async def model_of(client: str, base_url: str) -> AsyncIterator[ChatModel]:
    """A model of which at most ``POOL`` connections are open."""
    limits = type(DEFAULT_CONNECTION_LIMITS)(max_connections=POOL)
    async with DefaultAsyncHttpxClient(limits=limits) as async_http:
        with DefaultHttpxClient(limits=limits) as http:
            options: Any = {"api_key": "k", "base_url": base_url}
            made: Any
            if client == "AsyncOpenAI":
                made = AsyncOpenAI(http_client=async_http, **options)
            elif client == "OpenAI":
                made = OpenAI(http_client=http, **options)
            else:
                made = ChatOpenAI(
                    model="m",
                    api_key=SecretStr("k"),
                    base_url=base_url,
                    http_client=http,
                    http_async_client=async_http,
                )
            yield as_chat_model(made, "m", retry_policy=RetryPolicy(failure_threshold=1))


every_client = pytest.mark.parametrize("client", ["AsyncOpenAI", "OpenAI", "ChatOpenAI"])


@pytest.fixture
def server() -> Iterator[Wire]:
    with answering(writes_a_query, seconds=0.05) as wire:
        yield wire


@every_client
async def test_a_hundred_selections_share_a_pool(
    client: str, server: Wire, index: ToolIndex
) -> None:
    async with model_of(client, server.base_url) as model:
        retriever = ToolRetriever(index, llm=model)
        selections = await asyncio.gather(*(retriever.aselect(f"number{n}") for n in range(MANY)))
    for number, selection in enumerate(selections):
        assert selection.note == ""
        assert [query.text for query in selection.queries] == [
            f"number{number}",
            f"query about number{number}",
        ]
    assert server.requests == MANY
    assert server.connections <= POOL
    assert until(lambda: server.open == 0)


@every_client
async def test_cancelled_calls_leave_nothing_behind(client: str, server: Wire) -> None:
    before = set(threading.enumerate())
    async with model_of(client, server.base_url) as model:
        tasks = [
            asyncio.create_task(model.acomplete(question(f"number{n}"), SCHEMA, timeout=30))
            for n in range(MANY)
        ]
        await asyncio.to_thread(until, lambda: server.requests >= POOL)
        cancelled = [task.cancel() for task in tasks[::2]]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(o, asyncio.CancelledError) for o in outcomes[::2]] == cancelled
        assert sum(cancelled) > MANY / 4  # a slow machine may have answered the first by now
        texts = [getattr(outcome, "text", outcome) for outcome in outcomes[1::2]]
        assert texts == [writes_a_query(f"number{n}") for n in range(1, MANY, 2)]
        assert asyncio.all_tasks() == {asyncio.current_task()}
        # One failure would have opened the circuit.
        await model.acomplete(question("number0"), SCHEMA, timeout=30)
    assert await asyncio.to_thread(until, lambda: server.open == 0)
    assert until(lambda: "toolret-llm" not in {t.name for t in {*threading.enumerate()} - before})


async def test_all_cancelled_at_once(server: Wire, index: ToolIndex) -> None:
    async with model_of("AsyncOpenAI", server.base_url) as model:
        retriever = ToolRetriever(index, llm=model)
        everyone = asyncio.gather(*(retriever.aselect(f"number{n}") for n in range(MANY)))
        await asyncio.to_thread(until, lambda: server.requests > 0)
        everyone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await everyone
        assert (await retriever.aselect("number7")).note == ""
    assert await asyncio.to_thread(until, lambda: server.open == 0)


async def test_a_server_that_is_down_is_asked_by_few(index: ToolIndex) -> None:
    with answering(writes_a_query) as wire:
        url = wire.base_url
    async with AsyncOpenAI(api_key="k", base_url=url) as client:
        model = as_chat_model(
            client, "m", retry_policy=RetryPolicy(max_attempts=1, failure_threshold=3)
        )
        retriever = ToolRetriever(index, llm=model)
        for _ in range(3):
            assert "Connection" in (await retriever.aselect("number7")).note
        selections = await asyncio.gather(*(retriever.aselect("number7") for _ in range(20)))
    for selection in selections:
        assert "not asked, since its last 3 calls failed" in selection.note
        assert selection.tools[0].tool.id == "tool_7"
