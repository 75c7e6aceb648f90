"""Nothing of an inner call reaches the user's streams and callbacks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from langgraph.graph import END, START, StateGraph
from pydantic import Field

from tests.llm.ways import SCHEMA, chat_openai, question
from toolret.errors import LLMError
from toolret.llm import ChatModel, as_chat_model
from toolret.testing import OpenAIServer, Reply


class Listener(BaseCallbackHandler):
    """Hears what the user's callbacks hear."""

    def __init__(self) -> None:
        self.starts: list[Any] = []
        self.tokens: list[str] = []
        self.ends: list[Any] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.starts.append(kwargs)

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.tokens.append(token)

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.ends.append(response)


def fake(*replies: str, **options: Any) -> GenericFakeChatModel:
    """It streams word by word when it may."""
    return GenericFakeChatModel(messages=iter(AIMessage(reply) for reply in replies), **options)


@pytest.fixture
def inner() -> ChatModel:
    return as_chat_model(fake(*["secret words inside"] * 9))


class State(TypedDict):
    said: str


def graph(inner: ChatModel, *, is_async: bool) -> Any:
    """A node that asks the inner model and then speaks itself."""
    outer = fake(*["the user's words"] * 9)

    def node(_: State) -> State:
        found = inner.complete(question(), SCHEMA, timeout=5).text
        return {"said": f"{found} / {outer.invoke('hi').text}"}

    async def anode(_: State) -> State:
        found = (await inner.acomplete(question(), SCHEMA, timeout=5)).text
        return {"said": f"{found} / {(await outer.ainvoke('hi')).text}"}

    built = StateGraph(State)
    either: Any = anode if is_async else node
    built.add_node("node", either)
    built.add_edge(START, "node")
    built.add_edge("node", END)
    return built.compile()


WHOLE = "secret words inside / the user's words"


def test_a_graph_streams_the_users_tokens_alone(inner: ChatModel) -> None:
    listener = Listener()
    compiled = graph(inner, is_async=False)
    config = {"callbacks": [listener]}
    modes = ["messages", "values"]
    parts = list(compiled.stream({"said": ""}, config, stream_mode=modes))
    streamed = "".join(part[0].text for mode, part in parts if mode == "messages")
    assert streamed == "the user's words"
    assert parts[-1] == ("values", {"said": WHOLE})
    assert "".join(map(str, listener.tokens)) == "the user's words"
    assert len(listener.starts) == len(listener.ends) == 1


async def test_a_graph_in_an_event_loop_does_too(inner: ChatModel) -> None:
    listener = Listener()
    compiled = graph(inner, is_async=True)
    streamed = ""
    async for part, _ in compiled.astream(
        {"said": ""}, {"callbacks": [listener]}, stream_mode="messages"
    ):
        streamed += part.text
    assert streamed == "the user's words"
    assert "".join(map(str, listener.tokens)) == "the user's words"
    assert len(listener.starts) == 1


async def test_events_tell_of_the_users_calls_alone(inner: ChatModel) -> None:
    compiled = graph(inner, is_async=True)
    events = [event async for event in compiled.astream_events({"said": ""}, version="v2")]
    said = [event for event in events if event["event"].startswith("on_chat_model")]
    assert {event["event"] for event in said} == {
        "on_chat_model_start", "on_chat_model_stream", "on_chat_model_end"
    }  # fmt: skip
    assert "secret" not in repr(said)


class Asks(AgentMiddleware[Any, Any]):
    """Asks the inner model before the agent's."""

    def __init__(self, inner: ChatModel) -> None:
        super().__init__()
        self._inner = inner
        self.heard: list[str] = []

    async def abefore_model(self, state: Any, runtime: Any) -> None:
        self.heard.append((await self._inner.acomplete(question(), SCHEMA, timeout=5)).text)


async def test_an_agent_streams_its_own_words_alone(inner: ChatModel) -> None:
    asks = Asks(inner)
    agent: Any = create_agent(fake("the agent's answer"), middleware=[asks])
    streamed = ""
    async for part, _ in agent.astream({"messages": [("user", "hi")]}, stream_mode="messages"):
        streamed += part.text
    assert asks.heard == ["secret words inside"]
    assert streamed == "the agent's answer"


async def test_an_inner_call_is_no_part_of_the_users_run(inner: ChatModel) -> None:
    listener = Listener()
    answers: list[str] = []

    async def chain(_: Any) -> None:
        answers.append((await inner.acomplete(question(), {}, timeout=5)).text)
        reply = await asyncio.to_thread(inner.complete, question(), {}, timeout=5)
        answers.append(reply.text)

    await RunnableLambda(chain).ainvoke(None, {"callbacks": [listener]})
    assert answers == ["secret words inside"] * 2
    assert listener.starts == []


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_streaming_model_does_not_stream_these_calls(is_async: bool) -> None:
    """Its own callbacks count what it costs, and print no tokens."""
    listener = Listener()
    with OpenAIServer(Reply("whole")) as server:
        async with chat_openai(
            server.base_url, streaming=True, callbacks=[listener], max_retries=0
        ) as chat:
            model = as_chat_model(chat)
            if is_async:
                reply = await model.acomplete(question(), SCHEMA, timeout=5)
            else:
                reply = await asyncio.to_thread(model.complete, question(), SCHEMA, timeout=5)
            assert chat.streaming
    assert reply.text == "whole"
    assert not server.requests[0].get("stream")
    assert listener.tokens == []
    assert len(listener.ends) == 1
    [start] = listener.starts
    assert "nostream" in start["tags"]
    assert start["metadata"]["lc_source"] == "toolret"


async def test_retries_are_not_multiplied() -> None:
    with OpenAIServer(Reply(status=500)) as server:
        async with chat_openai(server.base_url, max_retries=1) as chat:
            with pytest.raises(LLMError, match="500"):
                await as_chat_model(chat).acomplete(question(), SCHEMA, timeout=8)
        assert len(server.requests) == 2


def test_runnables_derived_from_a_model_are_models() -> None:
    broken = GenericFakeChatModel(messages=iter(()))
    model = as_chat_model(broken.with_fallbacks([fake("instead")]), "either")
    assert model.name == "either"
    assert model.complete(question(), {}, timeout=5).text == "instead"


class Hung(GenericFakeChatModel):
    """Asynchronous only as LangChain makes every model: in a thread of the event loop's pool."""

    begun: threading.Semaphore = Field(default_factory=lambda: threading.Semaphore(0))
    awake: threading.Event = Field(default_factory=threading.Event)

    def _generate(self, *_: Any, **__: Any) -> Any:
        self.begun.release()
        self.awake.wait(60)
        return ChatResult(generations=[ChatGeneration(message=AIMessage("at last"))])


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda hung: hung,
        lambda hung: hung.bind(stop=["x"]),
        lambda hung: fake().with_fallbacks([hung.with_retry()]),
    ],
)
async def test_hung_models_do_not_keep_the_loops_threads(
    wrapped: Callable[[Hung], Runnable[Any, Any]],
) -> None:
    hung = Hung(messages=iter(()))
    model = as_chat_model(wrapped(hung))
    tasks = [asyncio.create_task(model.acomplete(question(), {}, timeout=60)) for _ in range(100)]
    try:
        begins = (asyncio.to_thread(hung.begun.acquire, timeout=30) for _ in range(100))
        assert await asyncio.wait_for(asyncio.gather(*begins), 60) == [True] * 100
    finally:
        hung.awake.set()
    assert {reply.text for reply in await asyncio.gather(*tasks)} == {"at last"}


@pytest.mark.parametrize(
    ("reply", "reason"), [(AIMessage(""), "empty reply"), (7, "no message but 7")]
)
def test_something_other_than_a_reply_is_an_error(reply: Any, reason: str) -> None:
    with pytest.raises(LLMError, match=reason):
        as_chat_model(RunnableLambda(lambda _: reply)).complete(question(), {}, timeout=5)
