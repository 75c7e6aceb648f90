from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI
from pydantic import SecretStr

from toolret.errors import QueryGenerationError
from toolret.llm import as_chat_model
from toolret.queries.replies import reply_schema
from toolret.testing import OpenAIServer, Reply, ScriptedChatModel

ASK = [{"role": "user", "content": "hello"}]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(Reply("first"), Reply("second")) as running:
        yield running


def client(server: OpenAIServer) -> OpenAI:
    return OpenAI(api_key="k", base_url=server.base_url, max_retries=0)


def async_client(server: OpenAIServer) -> AsyncOpenAI:
    return AsyncOpenAI(api_key="k", base_url=server.base_url, max_retries=0)


def test_a_sync_client_is_asked_with_a_schema(server: OpenAIServer) -> None:
    with client(server) as openai:
        model = as_chat_model(openai, "m1")
        assert model.name == "m1"
        assert model.complete(ASK, reply_schema(), timeout=5).text == "first"
        assert asyncio.run(model.acomplete(ASK, reply_schema(), timeout=5)).text == "second"
    request = server.requests[0]
    assert (request["model"], request["messages"]) == ("m1", ASK)
    assert request["response_format"]["json_schema"]["schema"] == reply_schema()


def test_an_async_client_serves_sync_and_async_callers(server: OpenAIServer) -> None:
    async def ask() -> str:
        async with async_client(server) as openai:
            model = as_chat_model(openai, "m")
            return (await model.acomplete(ASK, reply_schema(), timeout=5)).text

    assert asyncio.run(ask()) == "first"
    openai = async_client(server)
    for _ in range(2):
        assert as_chat_model(openai, "m").complete(ASK, reply_schema(), timeout=5).text == "second"
    asyncio.run(openai.close())


@pytest.mark.parametrize("is_async", [False, True])
def test_a_server_without_schemas_is_asked_without_from_then_on(is_async: bool) -> None:
    with OpenAIServer(Reply("plain", refuse_schema=True)) as server:
        openai: Any = async_client(server) if is_async else client(server)
        model = as_chat_model(openai, "m")
        for _ in range(2):
            assert model.complete(ASK, reply_schema(), timeout=5).text == "plain"
        assert ["response_format" in request for request in server.requests] == [True, False, False]
        asyncio.run(openai.close()) if is_async else openai.close()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=401), "AuthenticationError: .*scripted 401"),
        (Reply(status=429, headers={"Retry-After": "60"}), "RateLimitError"),
        (Reply(status=500), "InternalServerError"),
        (Reply(body=b'{"choices": ['), "JSONDecodeError|APIResponseValidationError|APIError"),
        (Reply(body=b"<html>gateway</html>"), "Error"),
        (Reply(content=""), "empty reply"),
        (Reply(drop=True), "APIConnectionError"),
        (Reply(delay=30), "no reply within|APITimeoutError"),
    ],
)
def test_every_fault_becomes_one_error_in_time(reply: Reply, reason: str) -> None:
    with OpenAIServer(reply) as server, client(server) as openai:
        started = time.perf_counter()
        with pytest.raises(QueryGenerationError, match=reason) as raised:
            as_chat_model(openai, "m").complete(ASK, reply_schema(), timeout=1.0)
        assert time.perf_counter() - started < 3
        assert "\n" not in str(raised.value)


def test_a_refused_connection_is_an_error() -> None:
    with OpenAIServer() as server:
        url = server.base_url
    with (
        OpenAI(api_key="k", base_url=url, max_retries=0) as openai,
        pytest.raises(QueryGenerationError, match="APIConnectionError"),
    ):
        as_chat_model(openai, "m").complete(ASK, reply_schema(), timeout=5)


def test_a_langchain_model_against_a_server(server: OpenAIServer) -> None:
    with client(server) as sync:
        chat = ChatOpenAI(
            model="m2",
            api_key=SecretStr("k"),
            base_url=server.base_url,
            client=sync.chat.completions,
            root_client=sync,
        )
        model = as_chat_model(chat)
        assert model.name == "m2"
        assert model.complete(ASK, reply_schema(), timeout=5).text == "first"
    assert server.requests[0]["messages"] == ASK


class Recorder(BaseCallbackHandler):
    def __init__(self) -> None:
        self.runs: list[Any] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.runs.append(kwargs)


def fake(*replies: str) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter(AIMessage(reply) for reply in replies))


async def test_a_langchain_model_is_kept_out_of_the_users_run() -> None:
    from langchain_core.runnables import RunnableLambda

    model = as_chat_model(fake("one", "two"))
    recorder = Recorder()
    answers = []

    async def inside_the_users_chain(_: Any) -> None:
        answers.append(await model.acomplete(ASK, {}, timeout=5))
        answers.append(await asyncio.to_thread(model.complete, ASK, {}, timeout=5))

    await RunnableLambda(inside_the_users_chain).ainvoke(None, {"callbacks": [recorder]})
    assert [answer.text for answer in answers] == ["one", "two"]
    assert recorder.runs == []


async def test_functions_sync_and_async() -> None:
    def plain(messages: Any) -> str:
        return f"heard {messages[0]['content']}"

    async def coroutine(messages: Any) -> str:
        return f"awaited {messages[0]['content']}"

    assert as_chat_model(plain).name == "plain"
    for function, answer in ((plain, "heard hello"), (coroutine, "awaited hello")):
        model = as_chat_model(function)
        assert (await model.acomplete(ASK, {}, timeout=5)).text == answer
        assert (await asyncio.to_thread(model.complete, ASK, {}, timeout=5)).text == answer


def test_a_function_may_raise_anything() -> None:
    def broken(_: Any) -> str:
        raise KeyError("secret\nof two lines")

    with pytest.raises(QueryGenerationError, match=r"^KeyError: 'secret\\nof two lines'$"):
        as_chat_model(broken).complete(ASK, {}, timeout=5)


async def test_an_async_function_may_fail_or_hang() -> None:
    async def broken(_: Any) -> str:
        raise ValueError("no")

    async def hung(_: Any) -> str:
        await asyncio.sleep(30)
        return "late"

    with pytest.raises(QueryGenerationError, match="ValueError: no"):
        await as_chat_model(broken).acomplete(ASK, {}, timeout=5)
    with pytest.raises(QueryGenerationError, match=r"no reply within 0\.1 s"):
        await as_chat_model(hung).acomplete(ASK, {}, timeout=0.1)


async def test_being_cancelled_goes_through() -> None:
    async def hung(_: Any) -> str:
        await asyncio.sleep(30)
        return "late"

    task = asyncio.create_task(as_chat_model(hung).acomplete(ASK, {}, timeout=60))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_what_is_no_llm_is_refused() -> None:
    with pytest.raises(QueryGenerationError, match="int is no LLM"):
        as_chat_model(7)
    with (
        OpenAI(api_key="k") as openai,
        pytest.raises(QueryGenerationError, match=r"pass the name of one as model="),
    ):
        as_chat_model(openai)


def test_a_chat_model_is_taken_as_it_is() -> None:
    model = ScriptedChatModel("x")
    assert as_chat_model(model) is model
