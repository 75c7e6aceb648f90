from __future__ import annotations

import asyncio
import contextvars
import json
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAI

from tests.llm.ways import SCHEMA, Way, chat_openai, in_every_way, question
from tests.llm.wire import completion
from toolret.errors import LLMError
from toolret.llm import ChatModel, Completion, RetryPolicy, aask, as_chat_model
from toolret.testing import OpenAIServer, Reply, ScriptedChatModel


@in_every_way
async def test_a_reply_comes_with_its_name_and_tokens(way: Way) -> None:
    body = json.dumps(completion("hi there")).encode()
    with OpenAIServer(Reply(body=body)) as server:
        async with way.model(server.base_url) as model:
            assert model.name == "m"
            assert await way.ask(model, timeout=5) == Completion("hi there", 11, 7)
    [request] = server.requests
    assert (request["model"], request["messages"]) == ("m", question())
    assert request["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "strict": True, "schema": SCHEMA},
    }


async def test_a_reply_without_usage_has_no_tokens() -> None:
    body = json.dumps(completion("hi") | {"usage": None}).encode()
    with OpenAIServer(Reply(body=body)) as server:
        for way in (Way("OpenAI", "sync"), Way("ChatOpenAI", "sync")):
            async with way.model(server.base_url) as model:
                assert await way.ask(model, timeout=5) == Completion("hi")


@in_every_way
async def test_tokens_that_are_no_numbers_are_not_known(way: Way) -> None:
    usage = {"prompt_tokens": "x", "completion_tokens": [1], "total_tokens": 18}
    reply = Reply(body=json.dumps(completion("hi") | {"usage": usage}).encode())
    with OpenAIServer(reply) as server:
        async with way.model(server.base_url) as model:
            try:
                answer = await aask(model, question(), {}, str, deadline=5)
            except LLMError:
                assert way.client == "ChatOpenAI"  # which adds them up itself
                return
    assert (answer.input_tokens, answer.output_tokens) == (None, None)


async def test_the_text_and_token_counts_of_a_functions_completion_are_checked() -> None:
    said: list[Any] = [Completion("hi", input_tokens="5", output_tokens=2)]  # type: ignore[arg-type]
    model = as_chat_model(lambda _: said[-1])
    answer = await aask(model, question(), {}, str, deadline=5)
    assert (answer.value, answer.input_tokens, answer.output_tokens) == ("hi", None, 2)
    said.append(Completion(None))  # type: ignore[arg-type]
    with pytest.raises(LLMError, match="the function gave no text but None"):
        await aask(model, question(), {}, str, deadline=5)


async def test_the_users_own_http_client_is_never_bypassed() -> None:
    """It may hold a proxy, certificates or hooks; its connections belong to one event loop."""
    seen: list[str] = []

    async def hook(request: Any) -> None:
        seen.append(request.url.path)

    with OpenAIServer(Reply("hi")) as server:
        async with (
            DefaultAsyncHttpxClient(event_hooks={"request": [hook]}) as http,
            AsyncOpenAI(api_key="k", base_url=server.base_url, http_client=http) as client,
        ):
            model = as_chat_model(client, "m", retry_policy=RetryPolicy(failure_threshold=1))
            for _ in range(2):  # which is no failure of the model's
                with pytest.raises(LLMError, match=r"use aselect .*, or give an OpenAI"):
                    await asyncio.to_thread(model.complete, question(), {}, timeout=5)
            assert (await model.acomplete(question(), {}, timeout=5)).text == "hi"
        assert len(server.requests) == len(seen) == 1


def test_without_a_schema_none_is_sent() -> None:
    with OpenAIServer(Reply("hi")) as server, OpenAI(api_key="k", base_url=server.base_url) as c:
        as_chat_model(c, "m").complete(question(), {}, timeout=5)
    assert "response_format" not in server.requests[0]


def test_a_refusal_says_so() -> None:
    refusal = {"role": "assistant", "content": None, "refusal": "I will not help with this."}
    whole = completion("")
    whole["choices"][0]["message"] = refusal
    with (
        OpenAIServer(Reply(body=json.dumps(whole).encode())) as server,
        OpenAI(api_key="k", base_url=server.base_url) as client,
        pytest.raises(LLMError, match=r"^the model refused: I will not help"),
    ):
        as_chat_model(client, "m").complete(question(), {}, timeout=5)


def response(*content: dict[str, Any], **fields: Any) -> Reply:
    """A response of the Responses API."""
    message = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": list(content),
    }
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": []}
    body = {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "model": "m",
        "output": [reasoning, message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 5,
            "output_tokens": 3,
            "total_tokens": 8,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }
    return Reply(body=json.dumps(body | fields).encode())


def said(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


responses = pytest.mark.parametrize(
    "way", [Way("OpenAI", "sync"), Way("AsyncOpenAI", "async")], ids=repr
)


@responses
async def test_the_responses_api(way: Way) -> None:
    with OpenAIServer(response(said("one "), said("two"))) as server:
        async with way.model(server.base_url, api="responses") as model:
            assert await way.ask(model, timeout=5) == Completion("one two", 5, 3)
    [request] = server.requests
    assert request == {
        "model": "m",
        "input": question(),
        "store": False,
        "text": {
            "format": {"type": "json_schema", "name": "reply", "strict": True, "schema": SCHEMA}
        },
    }


@responses
async def test_a_responses_api_without_schemas(way: Way) -> None:
    with OpenAIServer(Reply(status=400), response(said("plain"))) as server:
        async with way.model(server.base_url, api="responses") as model:
            calls = [(await way.ask(model, timeout=5)).calls for _ in range(2)]
    assert calls == [2, 1]
    assert ["text" in request for request in server.requests] == [True, False, False]


async def test_a_langchain_model_may_use_the_responses_api() -> None:
    with OpenAIServer(response(said("one"))) as server:
        async with chat_openai(server.base_url, use_responses_api=True) as chat:
            model = as_chat_model(chat)
            for reply in (
                await model.acomplete(question(), SCHEMA, timeout=5),
                await asyncio.to_thread(model.complete, question(), SCHEMA, timeout=5),
            ):
                assert reply == Completion("one", 5, 3)
    assert server.requests[0]["text"]["format"]["schema"] == SCHEMA


@responses
@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (response({"type": "refusal", "refusal": "No."}), "the model refused: No"),
        (response(), "empty reply"),
        (response(output=None), "no response|Error"),
        (Reply(body=b"<html>", headers={"Content-Type": "text/html"}), "no response|Error"),
        (Reply(status=401), "401"),
    ],
    ids=["refusal", "empty", "no output", "HTML", "401"],
)
async def test_faults_of_the_responses_api(way: Way, reply: Reply, reason: str) -> None:
    with OpenAIServer(reply) as server:
        async with way.model(server.base_url, api="responses") as model:
            with pytest.raises(LLMError, match=reason):
                await way.ask(model, timeout=5)


async def test_functions_sync_and_async() -> None:
    def plain(messages: Any) -> str:
        return f"heard {messages[0]['content']}"

    async def coroutine(messages: Any) -> str:
        return f"awaited {messages[0]['content']}"

    class Both:
        async def __call__(self, messages: Any) -> Completion:
            return Completion("an object's", 1, 2)

    assert as_chat_model(plain).name == "plain"
    assert as_chat_model(Both()).name == "Both"
    assert as_chat_model(plain, "mine").name == "mine"
    for function, reply in (
        (plain, Completion("heard hello")),
        (coroutine, Completion("awaited hello")),
        (Both(), Completion("an object's", 1, 2)),
        (lambda messages: coroutine(messages), Completion("awaited hello")),
    ):
        model = as_chat_model(function)
        assert await model.acomplete(question(), {}, timeout=5) == reply
        assert await asyncio.to_thread(model.complete, question(), {}, timeout=5) == reply


@pytest.mark.parametrize("caller", ["sync", "async"])
async def test_a_function_may_raise_anything(caller: str) -> None:
    def broken(_: Any) -> str:
        raise KeyError("secret\nof two lines")

    def leaving(_: Any) -> str:
        raise SystemExit(3)

    async def broken_async(_: Any) -> str:
        raise ValueError("no")

    async def cancelling_itself(_: Any) -> str:
        raise asyncio.CancelledError

    class UnspeakableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def unspeakable(_: Any) -> str:
        raise UnspeakableError

    async def unspeakable_async(_: Any) -> str:
        raise UnspeakableError

    class UnreadableError(Exception):
        @property
        def response(self) -> Any:
            raise RuntimeError("no response")

        request = status_code = response

    def unreadable(_: Any) -> str:
        raise UnreadableError("no")

    async def unreadable_async(_: Any) -> str:
        raise UnreadableError("no")

    for function, reason in (
        (broken, r"^KeyError: 'secret\\nof two lines'$"),
        (leaving, r"^SystemExit: 3$"),
        (broken_async, r"^ValueError: no$"),
        (cancelling_itself, r"^CancelledError$"),
        (unspeakable, r"^UnspeakableError$"),
        (unspeakable_async, r"^UnspeakableError$"),
        (unreadable, r"^UnreadableError: no$"),
        (unreadable_async, r"^UnreadableError: no$"),
        (len, r"^the function gave no text but 1$"),
    ):
        with pytest.raises(LLMError, match=reason):
            await Way("", caller).ask(as_chat_model(function), timeout=5)


@pytest.mark.parametrize("caller", ["sync", "async"])
async def test_a_function_may_hang(caller: str) -> None:
    awake = threading.Event()

    def hung(_: Any) -> str:
        awake.wait(30)
        return "late"

    async def hung_async(_: Any) -> str:
        await asyncio.sleep(30)
        return "late"

    for function in (hung, hung_async):
        with pytest.raises(LLMError, match=r"no reply within 0\.1 s"):
            await Way("", caller).ask(as_chat_model(function), timeout=0.1)
    awake.set()


@pytest.mark.parametrize("caller", ["sync", "async"])
async def test_a_call_that_is_slow_to_end_is_not_waited_for(caller: str) -> None:
    """Closing a connection may hang as its reply did."""

    async def slow_to_close(_: Any) -> str:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(30)
        return "late"

    async def deaf(_: Any) -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        await asyncio.sleep(30)
        raise ValueError("nobody listens")

    for function in (slow_to_close, deaf):
        started = time.perf_counter()
        with pytest.raises(LLMError, match=r"no reply within 0\.1 s") as caught:
            await Way("", caller).ask(as_chat_model(function), timeout=0.1)
        assert time.perf_counter() - started < 15
        assert caught.value.__cause__ is not caught.value  # whoever follows causes would not end


async def test_a_caller_that_is_cancelled_cancels_its_call() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hung(_: Any) -> str:
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()
        return "late"

    asking = asyncio.create_task(as_chat_model(hung).acomplete(question(), {}, timeout=30))
    await asyncio.wait_for(begun.wait(), 30)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(ended.wait(), 30)


async def test_hung_functions_do_not_keep_the_loops_threads() -> None:
    """The loop's own pool has few threads, and all else that runs in them would wait."""
    awake = threading.Event()
    begun = threading.Semaphore(0)

    def hung(_: Any) -> str:
        begun.release()
        return str(awake.wait(60))

    model = as_chat_model(hung)
    tasks = [asyncio.create_task(model.acomplete(question(), {}, timeout=60)) for _ in range(100)]
    try:
        begins = (asyncio.to_thread(begun.acquire, timeout=30) for _ in range(100))
        assert await asyncio.wait_for(asyncio.gather(*begins), 60) == [True] * 100
    finally:
        awake.set()
    assert [reply.text for reply in await asyncio.gather(*tasks)] == ["True"] * 100


async def test_a_function_sees_the_callers_context() -> None:
    place: contextvars.ContextVar[str] = contextvars.ContextVar("place")
    place.set("in a span")
    model = as_chat_model(lambda _: place.get())
    assert (await model.acomplete(question(), {}, timeout=5)).text == "in a span"
    assert model.complete(question(), {}, timeout=5).text == "in a span"


def test_objects_that_are_no_llm_are_refused() -> None:
    with pytest.raises(LLMError, match="int is no LLM"):
        as_chat_model(7)
    with (
        OpenAI(api_key="k") as openai,
        pytest.raises(LLMError, match=r"pass the name of one as model="),
    ):
        as_chat_model(openai)


def test_a_chat_model_is_taken_as_it_is() -> None:
    model: ChatModel = ScriptedChatModel("x")
    assert as_chat_model(model) is model
