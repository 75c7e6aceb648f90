"""Ten turns over the shipped catalog: real agents, a real model's client, a scripted model."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from tests.calling.catalog_server import TOKEN, catalog_server
from tests.conftest import ROOT
from tests.integrations.langchain.scripted_agent import THREAD, agent_of, as_wanted, offered, wants
from tests.runners import RecordingRunner
from toolret import Demo, HttpRunner, Toolbox, ToolRetriever
from toolret.integrations.langchain import ToolRetrieverMiddleware
from toolret.prompt import catalog_tokens
from toolret.testing import OpenAIServer
from toolret.text.names import wire_name


def ten_turns(retriever: ToolRetriever) -> list[Demo]:
    demos = retriever.index.demos
    return list(demos[:: len(demos) // 10][:10])


def plans(turns: list[Demo]) -> dict[str, Any]:
    return {turn.text: as_wanted(turn.calls, wire_name) for turn in turns}


def assert_all_ran(turns: list[Demo], echo: RecordingRunner, answers: list[str]) -> None:
    assert answers == [f"Done: {turn.text}" for turn in turns]
    wanted = [call.tool for turn in turns for call in turn.calls]  # those of a turn run in parallel
    assert sorted(name for name, _ in echo.called) == sorted(wanted)


def assert_each_request_begins_with_the_one_before(requests: list[dict[str, Any]]) -> None:
    """Tools and messages, as they went over the wire: what a provider's prompt cache goes by."""
    for part in ("tools", "messages"):
        bodies = [json.dumps(request[part]).removesuffix("]") for request in requests]
        for before, after in pairwise(bodies):
            assert after.startswith(before)


def test_ten_turns(
    shipped: ToolRetriever, toolbox: Toolbox, echo: RecordingRunner, saver: InMemorySaver
) -> None:
    turns = ten_turns(shipped)
    middleware = ToolRetrieverMiddleware(shipped, toolbox=toolbox)
    with OpenAIServer(wants(plans(turns))) as server:
        agent = agent_of(server, middleware=[middleware], system_prompt="Help.", checkpointer=saver)
        answers = [
            agent.invoke({"messages": [("user", turn.text)]}, THREAD)["messages"][-1].text
            for turn in turns
        ]
    assert_all_ran(turns, echo, answers)
    assert_each_request_begins_with_the_one_before(server.requests)
    first, last = server.requests[0]["tools"], server.requests[-1]["tools"]
    assert len(first) < len(last) <= 101
    whole = catalog_tokens(list(shipped.index), counter=shipped.counter)
    assert shipped.counter.count(json.dumps(last)) < whole / 3


@pytest.mark.parametrize("mode", ["grow", "replace"])
async def test_ten_turns_streamed_and_async(
    shipped: ToolRetriever, toolbox: Toolbox, echo: RecordingRunner, saver: InMemorySaver, mode: Any
) -> None:
    shipped.min_score = 0.002  # so that some are chosen that nobody calls
    turns = ten_turns(shipped)
    middleware = ToolRetrieverMiddleware(shipped, toolbox=toolbox, mode=mode)
    answers = []
    with OpenAIServer(wants(plans(turns))) as server:
        agent = agent_of(server, streaming=True, middleware=[middleware], checkpointer=saver)
        for turn in turns:
            words = [
                chunk.text
                async for chunk, _ in agent.astream(
                    {"messages": [("user", turn.text)]}, THREAD, stream_mode="messages"
                )
                if chunk.type == "AIMessageChunk"
            ]
            assert len(words) > 3
            answers.append("".join(words))
    assert_all_ran(turns, echo, answers)
    assert all(request["stream"] for request in server.requests)
    if mode == "grow":
        assert_each_request_begins_with_the_one_before(server.requests)
        sizes = [len(request["tools"]) for request in server.requests]
        assert sizes == sorted(sizes)
    else:
        lists = [{*offered(request)} for request in server.requests]
        assert any(before - after for before, after in pairwise(lists))
        for request in server.requests:
            called = [
                call["function"]["name"]
                for message in request["messages"]
                for call in message.get("tool_calls") or ()
            ]
            assert {*called} <= {*offered(request)}


def test_another_process_goes_on_where_the_thread_stopped(
    shipped: ToolRetriever, toolbox: Toolbox, saver: InMemorySaver
) -> None:
    turns = ten_turns(shipped)[:3]
    with OpenAIServer(wants(plans(turns))) as server:
        for turn in turns:
            middleware = ToolRetrieverMiddleware(ToolRetriever(shipped.index), toolbox=toolbox)
            agent = agent_of(server, middleware=[middleware], checkpointer=saver)
            agent.invoke({"messages": [("user", turn.text)]}, THREAD)
    assert_each_request_begins_with_the_one_before(server.requests)
    assert offered(server.requests[-1])[1:] == [
        offer["name"] for offer in agent.get_state(THREAD).values["toolret"]["offered"]
    ]


def test_a_thread_that_is_forked_has_what_it_had_been_offered_then(
    shipped: ToolRetriever, toolbox: Toolbox, saver: InMemorySaver
) -> None:
    turns = ten_turns(shipped)[:3]
    with OpenAIServer(wants(plans(turns))) as server:
        agent = agent_of(
            server,
            middleware=[ToolRetrieverMiddleware(shipped, toolbox=toolbox)],
            checkpointer=saver,
        )
        agent.invoke({"messages": [("user", turns[0].text)]}, THREAD)
        then = agent.get_state(THREAD).config
        after_first = offered(server.requests[-1])
        agent.invoke({"messages": [("user", turns[1].text)]}, THREAD)
        after_second = offered(server.requests[-1])
        agent.invoke({"messages": [("user", turns[2].text)]}, then)
    forked = offered(server.requests[-1])
    assert forked[: len(after_first)] == after_first
    assert not {*after_second} <= {*forked}


def test_an_agent_without_a_checkpointer_is_given_its_history_each_time(
    shipped: ToolRetriever, toolbox: Toolbox, echo: RecordingRunner
) -> None:
    turns = ten_turns(shipped)[:4]
    messages: list[Any] = []
    with OpenAIServer(wants(plans(turns))) as server:
        agent = agent_of(server, middleware=[ToolRetrieverMiddleware(shipped, toolbox=toolbox)])
        for turn in turns:
            messages = agent.invoke({"messages": [*messages, ("user", turn.text)]})["messages"]
            calls = [c["name"] for m in messages if isinstance(m, AIMessage) for c in m.tool_calls]
            assert {*calls} <= {*offered(server.requests[-1])}
    assert_all_ran(turns, echo, [m.text for m in messages if m.type == "ai" and not m.tool_calls])


async def test_an_agent_calls_a_real_api(shipped: ToolRetriever) -> None:
    """All there is between a request's words and the company's server."""
    text = "cancel order 48731, she wants nothing any more"
    values = {"orderId": "48731", "reason": "customer_changed_mind", "notifyCustomer": True}
    plan: Any = {text: [("orders__cancelOrder", values)]}
    with catalog_server(ROOT / "tool_catalogs") as url, OpenAIServer(wants(plan)) as server:
        runner = HttpRunner(base_url=url, credentials=lambda scheme: TOKEN)
        toolbox = Toolbox(shipped.index, runner)
        agent = agent_of(server, middleware=[ToolRetrieverMiddleware(shipped, toolbox=toolbox)])
        answer = await agent.ainvoke({"messages": [("user", text)]})
    assert answer["messages"][-1].text == f"Done: {text}"
    assert json.loads(answer["messages"][2].text)["arguments"]["orderId"] == "48731"
