"""Faults of a real server on this machine, met in every way that users ask one."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.llm.ways import SCHEMA, Way, chat_openai, in_every_way, question
from tests.llm.wire import completion, dripping
from tests.waiting import until
from toolret.errors import LLMError
from toolret.llm import ChatModel, RetryPolicy, aask, as_chat_model, json_object
from toolret.llm.functions import FunctionModel
from toolret.llm.langchain import LangChainModel
from toolret.llm.openai import OpenAIModel
from toolret.testing import OpenAIServer, Reply
from toolret.testing.scripted import response

HUGE = json.dumps({"queries": ["x" * 1_000_000]})


@in_every_way
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Reply(status=401), "AuthenticationError: .*scripted 401"),
        (Reply(status=404), "NotFoundError: .*scripted 404"),
        (Reply(status=429, headers={"Retry-After": "60"}), "RateLimitError"),
        (Reply(body=b'{"choices": ['), "JSONDecodeError"),
        (Reply(body=b"<html>gateway</html>"), "JSONDecodeError"),
        (
            Reply(body=b"<html>login</html>", headers={"Content-Type": "text/html"}),
            "no chat completion|Error",
        ),
        (Reply(body=json.dumps(completion("") | {"choices": []}).encode()), "empty reply|Error"),
        (Reply(body=json.dumps(completion("") | {"choices": None}).encode()), "empty reply|Error"),
        (Reply(body=b"[]"), "no chat completion|Error"),
        (Reply(content=""), "empty reply"),
        (Reply(content=" \n"), "empty reply"),
        (
            Reply(body=b'{"error": {"message": "no such model", "code": 404}}'),
            "the server's answer is an error: no such model$|TypeError",
        ),
        (
            Reply(body=b'{"error": "no such\\nmodel"}'),
            "the server's answer is an error: no such model$|TypeError",
        ),
    ],
    ids=[
        "401", "404", "429 for long", "truncated JSON", "HTML", "HTML that says so", "no choices",
        "null choices", "a list", "empty text", "blank text", "an error", "an error's text",
    ],
)  # fmt: skip
async def test_permanent_errors_are_not_retried(way: Way, fault: Reply, reason: str) -> None:
    with OpenAIServer(fault) as server:
        async with way.model(server.base_url) as model:
            with pytest.raises(LLMError, match=reason) as raised:
                await way.ask(model, timeout=5)
        assert len(server.requests) == raised.value.calls == 1
        assert "\n" not in str(raised.value)


@in_every_way
@pytest.mark.parametrize(
    "fault",
    [
        Reply(status=429, headers={"Retry-After": "0.2"}),
        Reply(status=500),
        Reply(status=503),
        Reply(drop=True),
    ],
    ids=["429", "500", "503", "dropped"],
)
async def test_transient_errors_are_retried(way: Way, fault: Reply) -> None:
    with OpenAIServer(fault, fault, Reply("third time lucky")) as server:
        async with way.model(server.base_url) as model:
            started = time.perf_counter()
            reply = await way.ask(model, timeout=5)
            seconds = time.perf_counter() - started
        assert (reply.text, reply.calls, len(server.requests)) == ("third time lucky", 3, 3)
        if fault.headers:
            assert seconds >= 0.4


@pytest.mark.parametrize("client", ["OpenAI", "AsyncOpenAI"])
@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("code", [429, "503", "server_error"])
async def test_an_error_within_a_response_may_be_transient(
    client: str, api: str, code: str | int
) -> None:
    error = {"error": {"message": "overloaded", "code": code}}
    fault = Reply(body=json.dumps({"status": "failed", "output": []} | error).encode())
    way = Way(client, "async")
    with OpenAIServer(fault, Reply("back")) as server:
        async with way.model(server.base_url, api=api) as model:
            reply = await way.ask(model, timeout=5)
    assert (reply.text, reply.calls) == ("back", 2)


async def test_a_text_in_parts_is_a_text() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "image"}, {"type": "text", "text": "two"}]
    whole = completion("")
    whole["choices"][0]["message"]["content"] = parts
    with OpenAIServer(Reply(body=json.dumps(whole).encode())) as server:
        for way in (Way("OpenAI", "sync"), Way("AsyncOpenAI", "async")):
            async with way.model(server.base_url) as model:
                assert (await way.ask(model, timeout=5)).text == "one two"


def cut_off(reason: str, **message: str | None) -> Reply:
    """A completion that ended early; it read 11 tokens and wrote 7."""
    whole = completion("")
    whole["choices"][0] |= {"finish_reason": reason}
    whole["choices"][0]["message"] |= message
    return Reply(body=json.dumps(whole).encode())


@in_every_way
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            cut_off("length"),
            r"used up its tokens before it had answered \(length\): raise how many",
        ),
        (cut_off("stop"), "empty reply$"),
        (cut_off("stop", content=None, refusal="no"), "the model refused: no$|empty reply$"),
    ],
    ids=["length", "stop", "refusal"],
)
async def test_an_empty_reply_says_why_and_what_it_cost(
    way: Way, fault: Reply, reason: str
) -> None:
    with OpenAIServer(fault) as server:
        async with way.model(server.base_url) as model:
            with pytest.raises(LLMError, match=reason) as raised:
                await aask(model, question(), SCHEMA, str, deadline=5)
    assert (raised.value.input_tokens, raised.value.output_tokens) == (11, 7)


async def test_a_filter_that_left_nothing_is_named() -> None:
    with OpenAIServer(cut_off("content_filter")) as server:
        async with Way("OpenAI", "sync").model(server.base_url) as model:
            with pytest.raises(LLMError, match=r"empty reply \(content_filter\)$"):
                await Way("OpenAI", "sync").ask(model, timeout=5)


async def test_a_response_that_was_cut_off_says_so_too() -> None:
    body = response({"model": "m"}, "", ())
    body |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    with OpenAIServer(Reply(body=json.dumps(body).encode())) as server:
        async with Way("OpenAI", "sync").model(server.base_url, api="responses") as model:
            with pytest.raises(LLMError, match="used up its tokens") as raised:
                await Way("OpenAI", "sync").ask(model, timeout=5)
    assert raised.value.output_tokens == body["usage"]["output_tokens"] > 0


@in_every_way
async def test_what_a_call_without_an_answer_cost_is_not_known(way: Way) -> None:
    with OpenAIServer(Reply(delay=30), Reply("awake")) as server:
        async with way.model(server.base_url, retry_policy=RetryPolicy(call_timeout=1)) as model:
            reply = await way.ask(model, timeout=20)
            assert (reply.input_tokens, reply.output_tokens) == (None, None)
            assert (await way.ask(model, timeout=20)).input_tokens == 1
    with OpenAIServer(Reply(delay=30)) as server:
        async with way.model(server.base_url) as model:
            with pytest.raises(LLMError) as raised:
                await aask(model, question(), SCHEMA, str, deadline=0.3)
    assert raised.value.input_tokens is None


@in_every_way
async def test_an_error_of_the_server_cost_nothing(way: Way) -> None:
    with OpenAIServer(Reply(status=500), Reply("fine")) as server:
        async with way.model(server.base_url) as model:
            reply = await way.ask(model, timeout=5)
    assert (reply.calls, reply.input_tokens) == (2, 1)


@pytest.mark.parametrize("caller", ["sync", "async"])
async def test_without_time_no_model_is_called(caller: str) -> None:
    def called(_: object) -> str:
        pytest.fail("it was called")

    async def called_async(_: object) -> str:
        pytest.fail("it was called")

    async with chat_openai("http://127.0.0.1:9/v1") as chat:
        models: list[ChatModel] = [
            FunctionModel(called),
            FunctionModel(called_async),
            LangChainModel(chat),
            OpenAIModel(OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1"), "m"),
            OpenAIModel(AsyncOpenAI(api_key="k", base_url="http://127.0.0.1:9/v1"), "m"),
        ]
        for model in models:
            with pytest.raises(LLMError, match=r"^no time is left$") as raised:
                await Way("", caller).ask(model, timeout=0)
            assert raised.value.calls == 0


@pytest.mark.parametrize("caller", ["sync", "async"])
async def test_a_time_out_of_the_models_own_says_so(caller: str) -> None:
    async def impatient(_: object) -> str:
        raise TimeoutError("no worker within 0.1 s")

    model = as_chat_model(impatient, retry_policy=RetryPolicy(max_attempts=1))
    with pytest.raises(LLMError, match=r"^TimeoutError: no worker within 0\.1 s$"):
        await Way("", caller).ask(model, timeout=5)


@pytest.mark.parametrize("key", ["sk-secret-0123456789", "k"])
def test_a_key_that_a_server_repeats_is_masked(key: str) -> None:
    error = {"error": {"message": f"Incorrect API key provided: {key}."}}
    fault = Reply(status=401, body=json.dumps(error).encode())
    with (
        OpenAIServer(fault) as server,
        OpenAI(api_key=key, base_url=server.base_url) as client,
        pytest.raises(LLMError, match="key provided: ") as raised,
    ):
        as_chat_model(client, "m").complete(question(), {}, timeout=5)
    assert ("***" in str(raised.value)) == (key != "k")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Server error '500' for url 'https://g.example/v1/m?alt=sse&key=AIzaSecret' (why?)",
            "Server error '500' for url 'https://g.example/v1/m' (why?)",
        ),
        (
            "Max retries exceeded with url: /v1/m?key=AIzaSecret (Caused by ReadTimeout)",
            "Max retries exceeded with url: /v1/m (Caused by ReadTimeout)",
        ),
    ],
    ids=["httpx", "requests"],
)
def test_a_key_in_a_url_is_masked(said: str, told: str) -> None:
    def broken(_: object) -> str:
        raise ValueError(said)

    with pytest.raises(LLMError) as raised:
        as_chat_model(broken).complete(question(), {}, timeout=5)
    assert str(raised.value) == f"ValueError: {told}"


@in_every_way
async def test_the_clients_own_retries_are_off(way: Way) -> None:
    with OpenAIServer(Reply(status=500)) as server:
        async with way.model(server.base_url, retry_policy=RetryPolicy(max_attempts=2)) as model:
            with pytest.raises(LLMError, match="scripted 500") as raised:
                await way.ask(model, timeout=5)
        assert len(server.requests) == raised.value.calls == 2


@in_every_way
async def test_a_refused_connection(way: Way) -> None:
    with OpenAIServer() as server:
        url = server.base_url
    async with way.model(url) as model:
        with pytest.raises(LLMError, match="Connection") as raised:
            await way.ask(model, timeout=5)
    assert raised.value.calls == 3


@in_every_way
async def test_a_server_that_hangs(way: Way) -> None:
    with OpenAIServer(Reply(delay=30)) as server:
        async with way.model(server.base_url) as model:
            started = time.perf_counter()
            with pytest.raises(LLMError, match=r"no reply within|[Tt]imed out"):
                await way.ask(model, timeout=0.5)
            assert time.perf_counter() - started < 15


@in_every_way
async def test_a_call_that_hangs_leaves_time_for_another(way: Way) -> None:
    with OpenAIServer(Reply(delay=30), Reply("awake")) as server:
        async with way.model(server.base_url, retry_policy=RetryPolicy(call_timeout=1)) as model:
            reply = await way.ask(model, timeout=20)
        assert (reply.text, reply.calls) == ("awake", 2)


@in_every_way
async def test_a_server_that_drips_does_not_outwit_the_deadline(way: Way) -> None:
    with dripping() as url:
        async with way.model(url) as model:
            started = time.perf_counter()
            with pytest.raises(LLMError, match=r"no reply within|[Tt]imed out"):
                await way.ask(model, timeout=0.6)
            assert time.perf_counter() - started < 15


@in_every_way
async def test_a_huge_reply_is_a_reply(way: Way) -> None:
    with OpenAIServer(Reply(HUGE)) as server:
        async with way.model(server.base_url) as model:
            assert (await way.ask(model, timeout=20)).text == HUGE


@in_every_way
async def test_a_server_without_schemas_is_asked_without_from_then_on(way: Way) -> None:
    with OpenAIServer(Reply("plain", refuse_schema=True)) as server:
        async with way.model(server.base_url) as model:
            calls = [(await way.ask(model, timeout=5)).calls for _ in range(2)]
        assert calls == [2, 1]
        assert ["response_format" in request for request in server.requests] == [True, False, False]


@in_every_way
async def test_a_server_may_refuse_schemas_as_if_the_fault_were_its_own(way: Way) -> None:
    message = "1 validation error: {'loc': ('body', 'response_format', 'type')}"
    refusal = Reply(status=500, body=json.dumps({"error": {"message": message}}).encode())
    with OpenAIServer(lambda r: refusal if "response_format" in r else Reply("plain")) as server:
        async with way.model(server.base_url) as model:
            calls = [(await way.ask(model, timeout=5)).calls for _ in range(2)]
        assert calls == [2, 1]


@in_every_way
async def test_a_400_that_is_not_of_the_schema_leaves_it_on(way: Way) -> None:
    with OpenAIServer(Reply(status=400), Reply(status=400), Reply("fine")) as server:
        async with way.model(server.base_url) as model:
            with pytest.raises(LLMError, match="scripted 400"):
                await way.ask(model, timeout=5)
            await way.ask(model, timeout=5)
        assert "response_format" in server.requests[2]


@in_every_way
async def test_a_malformed_reply_is_repaired(way: Way) -> None:
    with OpenAIServer(Reply("Sure! {"), Reply('{"queries": ["a"]}')) as server:
        async with way.model(server.base_url) as model:
            answer = await aask(model, question(), SCHEMA, _queries, deadline=5)
        assert (answer.value, answer.calls, answer.model) == (["a"], 2, "m")
        assert [m["role"] for m in server.requests[1]["messages"]] == ["user", "assistant", "user"]


def _queries(reply: str) -> list[str]:
    queries: list[str] = json_object(reply, "queries")["queries"]
    return queries


@in_every_way
async def test_a_failing_model_is_left_alone_and_tried_again(way: Way) -> None:
    retry_policy = RetryPolicy(max_attempts=1, failure_threshold=2, recovery_timeout=1)
    with OpenAIServer(Reply(status=500), Reply(status=500), Reply("back")) as server:
        async with way.model(server.base_url, retry_policy=retry_policy) as model:
            for _ in range(2):
                with pytest.raises(LLMError, match="scripted 500"):
                    await way.ask(model, timeout=5)
            for _ in range(3):
                with pytest.raises(LLMError, match=r"not asked, since its last 2"):
                    await way.ask(model, timeout=5)
            assert len(server.requests) == 2
            await asyncio.sleep(1)
            assert (await way.ask(model, timeout=5)).text == "back"
            assert (await way.ask(model, timeout=5)).text == "back"


async def test_what_is_left_behind_ends_with_its_connection() -> None:
    way = Way("OpenAI", "async")
    before = set(threading.enumerate())
    with dripping() as url:
        async with way.model(url) as model:
            with pytest.raises(LLMError):
                await way.ask(model, timeout=0.2)
            assert set(threading.enumerate()) - before
    assert until(lambda: not set(threading.enumerate()) - before)
