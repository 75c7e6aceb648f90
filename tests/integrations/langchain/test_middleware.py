"""What the middleware does to an agent, seen in the requests that reach the model's server."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain.agents.middleware import (
    AgentMiddleware,
    ClearToolUsesEdit,
    ContextEditingMiddleware,
    HumanInTheLoopMiddleware,
)
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool
from langchain_core.tools import tool as langchain_tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from tests.conftest import tool
from tests.integrations.langchain.conftest import SOME_DEMOS, SOME_TOOLS, few_of
from tests.integrations.langchain.scripted_agent import (
    THREAD,
    agent_of,
    model,
    offered,
    summarizing_agent,
    wants,
)
from tests.runners import RecordingRunner
from toolret import Call, Demo, Tool, Toolbox, ToolIndex, ToolRetriever, load_tools
from toolret.errors import InputError
from toolret.integrations.langchain import Caller, ToolRetrieverMiddleware, langchain_tools
from toolret.integrations.tool_choices import chosen_names, without_names
from toolret.testing import HashedWordsEmbedder, OpenAIServer, Reply

HOSTED = {"type": "function", "function": {"name": "hosted", "description": "By dict."}}
"""A tool that is given to an agent as a mapping, as tools that a provider runs are."""


def agent_tools(tools: Sequence[Tool], echo: RecordingRunner) -> list[BaseTool]:
    """Return tools in the form in which an agent is given them."""
    return langchain_tools(tools, Toolbox(tools, echo))


def ask(agent: Any, text: str, **options: Any) -> list[Any]:
    messages: list[Any] = agent.invoke({"messages": [("user", text)]}, THREAD, **options)[
        "messages"
    ]
    return messages


def results(messages: list[Any]) -> list[tuple[str | None, str]]:
    return [(m.name, m.status) for m in messages if isinstance(m, ToolMessage)]


@langchain_tool
def own_tool() -> str:
    """Something that the index knows nothing of."""
    return "own"


def test_one_line_narrows_an_agents_tools(few: ToolRetriever, echo: RecordingRunner) -> None:
    plan = {"cancel the order": [("cancel_order", {"id": "7"})]}
    with OpenAIServer(wants(plan)) as server:
        agent = agent_of(
            server,
            tools=[own_tool, *agent_tools(SOME_TOOLS, echo)],
            middleware=[ToolRetrieverMiddleware(few)],
        )
        messages = ask(agent, "cancel the order")
    names = offered(server.requests[0])
    assert names[:3] == ["own_tool", "discover_tools", "cancel_order"]
    assert len(names) <= 4
    assert results(messages) == [("cancel_order", "success")]
    assert echo.called == [("cancel_order", {"id": "7"})]


def test_a_given_tool_is_shown_as_it_is(few: ToolRetriever) -> None:
    """What the agent was given is what the model sees, though the index says it otherwise."""

    @langchain_tool
    def cancel_order(order: int) -> str:
        """The agent's own words."""
        return f"cancelled {order}"

    plan = {"cancel the order": [("cancel_order", {"order": 7})]}
    with OpenAIServer(wants(plan)) as server:
        agent = agent_of(server, tools=[cancel_order], middleware=[ToolRetrieverMiddleware(few)])
        messages = ask(agent, "cancel the order")
    (function,) = [t["function"] for t in server.requests[0]["tools"]]
    assert function["description"] == "The agent's own words."
    assert messages[-2].content == "cancelled 7"


def test_tools_of_a_namespace_keep_the_names_that_the_agent_has_for_them(
    tmp_path: Path, echo: RecordingRunner
) -> None:
    tools = [tool(f"make_{i}", f"Make the thing {i}.") for i in range(6)]
    agents = agent_tools(tools, echo)
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync_tools(load_tools(agents, namespace="shop"))
    plan: Any = {"make the thing 3": [("make_3", {})]}
    with OpenAIServer(wants(plan)) as server:
        agent = agent_of(
            server,
            tools=agents,
            middleware=[ToolRetrieverMiddleware(ToolRetriever(index, max_tools=2))],
        )
        messages = ask(agent, "make the thing 3")
    assert "make_3" in offered(server.requests[0])
    assert len(offered(server.requests[0])) <= 3
    assert results(messages) == [("make_3", "success")]


def test_examples_without_calls_are_shown_unless_they_name_a_tool_otherwise(
    tmp_path: Path, echo: RecordingRunner
) -> None:
    tools = [tool("make_0", "Make the thing 0."), tool("turn_0", "Turn the thing 0.")]
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    own = load_tools(agent_tools(tools[:1], echo), namespace="shop")
    others = [tool(f"other_{i}", f"Do something else, {i}.") for i in range(4)]
    index.sync_tools([*own, *tools[1:], *others])
    index.sync_demos(
        [
            Demo("d1", "make the thing 0, quick", tools=("shop.make_0",)),
            Demo("d2", "turn the thing 0 and make it", tools=("turn_0",)),
            Demo("d3", "make the thing 0 now", (Call("shop.make_0", {"n": 1}),)),
        ]
    )
    retriever = ToolRetriever(index, max_tools=2, min_recall=1.0, max_demos=5)
    with OpenAIServer(Reply("Done.")) as server:
        agent = agent_of(
            server,
            tools=agent_tools(tools[:1], echo),
            middleware=[
                ToolRetrieverMiddleware(retriever, toolbox=Toolbox([*tools[1:], *others], echo))
            ],
        )
        ask(agent, "make the thing 0 and turn it")
    said = server.requests[0]["messages"][0]["content"]
    assert "Request: turn the thing 0 and make it\nTools: turn_0" in said
    assert 'Call: make_0({"n":1})' in said
    assert "quick" not in said


def test_a_small_catalog_is_left_alone(few: ToolRetriever, echo: RecordingRunner) -> None:
    tools = [own_tool, *agent_tools(SOME_TOOLS[:2], echo), HOSTED]
    requests = []
    for middleware in ([], [ToolRetrieverMiddleware(few)]):
        with OpenAIServer(wants({"hello": []})) as server:
            ask(agent_of(server, tools=tools, middleware=middleware), "hello")
        requests += server.requests
    assert requests[0] == requests[1]


def test_a_refusal_in_a_small_catalog_names_no_tool_that_is_not_offered(
    few: ToolRetriever, echo: RecordingRunner
) -> None:
    with OpenAIServer(Reply(tool_calls=[("nope", {})]), Reply("Done.")) as server:
        toolbox = Toolbox(SOME_TOOLS[:2], echo)
        agent = agent_of(server, middleware=[ToolRetrieverMiddleware(few, toolbox=toolbox)])
        messages = ask(agent, "hello")
    assert messages[2].text == (
        "Error: the tool 'nope' is not available now. Available: cancel_order, cancel_payment"
    )


def test_a_budget_makes_even_two_tools_too_many(few: ToolRetriever, echo: RecordingRunner) -> None:
    few.token_budget = 60
    with OpenAIServer(wants({"cancel the order": []})) as server:
        agent = agent_of(
            server,
            tools=agent_tools(SOME_TOOLS[:2], echo),
            middleware=[ToolRetrieverMiddleware(few)],
        )
        ask(agent, "cancel the order")
    assert offered(server.requests[0]) == ["discover_tools", "cancel_order"]


def test_providers_own_tools_and_structured_replies_pass(
    few: ToolRetriever, echo: RecordingRunner
) -> None:
    class Answer(BaseModel):
        """The answer."""

        text: str

    def reply(request: dict[str, Any]) -> Reply:
        return Reply(tool_calls=[("Answer", {"text": "done"})])

    from langchain.agents.structured_output import ToolStrategy

    with OpenAIServer(reply) as server:
        agent = agent_of(
            server,
            tools=[*agent_tools(SOME_TOOLS, echo), HOSTED],
            middleware=[ToolRetrieverMiddleware(few)],
            response_format=ToolStrategy(Answer),
        )
        answer = agent.invoke({"messages": [("user", "cancel the order")]})
    assert HOSTED in server.requests[0]["tools"]
    assert answer["structured_response"] == Answer(text="done")
    assert "toolret" not in answer


def test_a_tool_that_was_not_offered_is_refused_and_then_offered(
    few: ToolRetriever, echo: RecordingRunner, saver: InMemorySaver
) -> None:
    """In parallel with one that was; the model recovers by calling it again."""
    replies = [
        Reply(tool_calls=[("cancel_order", {"id": "1"}), ("track_parcel", {"id": "2"})]),
        Reply(tool_calls=[("track_parcel", {"id": "2"})]),
        Reply("Done."),
    ]
    with OpenAIServer(*replies) as server:
        agent = agent_of(
            server,
            tools=agent_tools(SOME_TOOLS, echo),
            middleware=[ToolRetrieverMiddleware(few)],
            checkpointer=saver,
        )
        messages = ask(agent, "cancel the order")
    assert results(messages) == [
        ("cancel_order", "success"),
        ("track_parcel", "error"),
        ("track_parcel", "success"),
    ]
    refused = messages[3].content
    assert "'track_parcel' is not available now" in refused
    assert "cancel_order, discover_tools" in refused
    assert "list_invoice" not in refused
    assert offered(server.requests[1])[-1] == "track_parcel"
    assert echo.called == [("cancel_order", {"id": "1"}), ("track_parcel", {"id": "2"})]


def test_a_tool_that_does_not_exist_is_refused_without_naming_what_was_not_offered(
    few: ToolRetriever, echo: RecordingRunner
) -> None:
    replies = [Reply(tool_calls=[("make_coffee", {})]), Reply("Sorry.")]
    with OpenAIServer(*replies) as server:
        agent = agent_of(
            server,
            tools=[own_tool, *agent_tools(SOME_TOOLS, echo)],
            middleware=[ToolRetrieverMiddleware(few)],
        )
        messages = ask(agent, "cancel the order")
    assert results(messages) == [("make_coffee", "error")]
    assert "own_tool" in messages[2].content
    assert "list_invoice" not in messages[2].content


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_the_model_asks_for_more(
    few: ToolRetriever, few_toolbox: Toolbox, echo: RecordingRunner, asynchronous: bool
) -> None:
    """Of tools that the agent was never given."""
    replies = [
        Reply(tool_calls=[("discover_tools", {"query": "track the parcel"})]),
        Reply(tool_calls=[("track_parcel", {"id": "2"})]),
        Reply("Done."),
    ]
    with OpenAIServer(*replies) as server:
        agent = agent_of(server, middleware=[ToolRetrieverMiddleware(few, toolbox=few_toolbox)])
        ask_for: Any = {"messages": [("user", "cancel the order")]}
        answer = await agent.ainvoke(ask_for) if asynchronous else agent.invoke(ask_for)
    found = answer["messages"][2]
    assert isinstance(found, ToolMessage)
    assert 'track_parcel: Track the parcel of a customer.\n  arguments: {"type":"object"' in (
        found.text
    )
    assert "Request: track the parcel of Carol" in found.text
    assert "track_parcel" not in offered(server.requests[0])
    assert offered(server.requests[1])[: len(offered(server.requests[0]))] == offered(
        server.requests[0]
    )
    assert "track_parcel" in offered(server.requests[1])
    assert echo.called == [("track_parcel", {"id": "2"})]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"query": "zymurgy"}, "No tool fits that"),
        ({"query": " "}, "say what you want to do"),
        ({"q": 3}, "say what you want to do"),
    ],
)
def test_a_search_that_finds_nothing(
    few: ToolRetriever, few_toolbox: Toolbox, arguments: Any, told: str
) -> None:
    few.min_score = 0.5
    replies = [Reply(tool_calls=[("discover_tools", arguments)]), Reply("Sorry.")]
    with OpenAIServer(*replies) as server:
        agent = agent_of(server, middleware=[ToolRetrieverMiddleware(few, toolbox=few_toolbox)])
        messages = ask(agent, "cancel the order")
    assert told in messages[2].text


def test_a_tool_of_the_agents_own_may_have_the_name(
    few: ToolRetriever, echo: RecordingRunner
) -> None:
    @langchain_tool
    def discover_tools(query: str) -> str:
        """Mine."""
        return "mine"

    with OpenAIServer(
        Reply(tool_calls=[("discover_tools", {"query": "x"})]), Reply("Done.")
    ) as server:
        agent = agent_of(
            server,
            tools=[discover_tools, *agent_tools(SOME_TOOLS, echo)],
            middleware=[ToolRetrieverMiddleware(few)],
        )
        messages = ask(agent, "cancel the order")
    assert messages[2].content == "mine"
    assert offered(server.requests[0]).count("discover_tools") == 1


@pytest.mark.parametrize("artifact", [None, "text", [1], [{"name": 1}], {"name": "list_order"}])
def test_messages_of_another_tool_of_that_name_offer_nothing(
    few: ToolRetriever, few_toolbox: Toolbox, artifact: Any
) -> None:
    call = {"name": "discover_tools", "args": {}, "id": "c1", "type": "tool_call"}
    history = [
        HumanMessage("what is there"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("mine", name="discover_tools", artifact=artifact, tool_call_id="c1"),
        HumanMessage("cancel the order"),
    ]
    with OpenAIServer(Reply("Done.")) as server:
        agent = agent_of(server, middleware=[ToolRetrieverMiddleware(few, toolbox=few_toolbox)])
        agent.invoke({"messages": history})
    assert offered(server.requests[0])[:2] == ["discover_tools", "cancel_order"]


def test_what_the_history_names_is_offered(few: ToolRetriever, few_toolbox: Toolbox) -> None:
    """A provider may refuse a conversation that calls what is not offered."""
    call = {"name": "list_invoice", "args": {}, "id": "c1", "type": "tool_call"}
    bad = {"name": "list_order", "args": "{", "id": "c2", "error": None}
    history = [
        HumanMessage("my invoices"),
        AIMessage("", tool_calls=[call], invalid_tool_calls=[bad | {"type": "invalid_tool_call"}]),
        ToolMessage("none", tool_call_id="c1"),
        HumanMessage("cancel the order"),
    ]
    with OpenAIServer(Reply("Done.")) as server:
        agent = agent_of(
            server,
            middleware=[
                ToolRetrieverMiddleware(few, toolbox=few_toolbox, mode="replace"),
            ],
        )
        agent.invoke({"messages": history})
    assert offered(server.requests[0])[:3] == ["discover_tools", "list_invoice", "list_order"]


class Choosing(AgentMiddleware[Any, Any, Any]):
    def __init__(self, choice: Any) -> None:
        super().__init__()
        self.choice = choice

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(request.override(tool_choice=self.choice))


def one(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def some(*names: str) -> dict[str, Any]:
    allowed = {"mode": "auto", "tools": [one(name) for name in names]}
    return {"type": "allowed_tools", "allowed_tools": allowed}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("list_invoice", one("list_invoice")),
        (one("list_invoice"), one("list_invoice")),
        (some("list_invoice", "list_order"), some("list_invoice", "list_order")),
        (some("list_invoice", "refund_order", "none"), some("list_invoice")),
        ("refund_order", None),
        (one("refund_order"), None),
        (some("refund_order"), None),
        ("no_such_tool", None),
        ("any", "required"),
        ("none", "none"),
        (True, "required"),
        (one("discover_tools"), one("discover_tools")),
        (one("hosted"), one("hosted")),
        ({"type": "web_search"}, {"type": "web_search"}),
        ({"type": "function", "function": "x"}, {"type": "function", "function": "x"}),
    ],
)
def test_a_tool_choice_names_only_what_is_offered(
    few: ToolRetriever, few_toolbox: Toolbox, choice: Any, sent: Any
) -> None:
    with OpenAIServer(Reply("Done.")) as server:
        middleware = ToolRetrieverMiddleware(few, toolbox=few_toolbox, allow=["list", "cancel"])
        agent = agent_of(server, tools=[HOSTED], middleware=[Choosing(choice), middleware])
        ask(agent, "cancel the order")
    request = server.requests[0]
    assert request.get("tool_choice") == sent
    wanted = {"list_invoice", "list_order"} & {*re.findall(r"\w+", str(choice))}
    assert wanted <= {*offered(request)}
    assert "refund_order" not in offered(request)


@pytest.mark.parametrize(
    ("choice", "names", "rest"),
    [
        ({"type": "tool", "name": "a"}, ("a",), None),
        ({"tool": {"name": "a"}}, ("a",), None),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [one("a"), {"type": "x"}, 5]},
            ("a",),
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "x"}, 5]},
        ),
        ({"type": "mcp", "server_label": "s", "name": "a"}, (), None),
        ({"type": "allowed_tools", "allowed_tools": 5}, (), None),
        ({"type": ["a"], "name": "a"}, (), None),
        (5, (), None),
    ],
)
def test_a_tool_choice_of_any_form_is_read(choice: Any, names: tuple[str, ...], rest: Any) -> None:
    assert chosen_names(choice) == names
    if names:
        assert without_names(choice, {"a"}) == rest


def test_a_choice_that_is_left_out_is_said(
    few: ToolRetriever, few_toolbox: Toolbox, caplog: pytest.LogCaptureFixture
) -> None:
    with OpenAIServer(Reply("Done.")) as server:
        middleware = ToolRetrieverMiddleware(few, toolbox=few_toolbox, allow=["cancel"])
        ask(agent_of(server, middleware=[Choosing("list_order"), middleware]), "cancel the order")
    assert "tool_choice names 'list_order', which cannot be offered" in caplog.text


def test_a_list_that_grows_beyond_its_limit_begins_anew(
    few: ToolRetriever, few_toolbox: Toolbox, saver: InMemorySaver
) -> None:
    texts = [f"{t.name.replace('_', ' the ')}" for t in SOME_TOOLS]
    plan: Any = {text: [(tool_.name, {})] for text, tool_ in zip(texts, SOME_TOOLS, strict=True)}
    middleware = ToolRetrieverMiddleware(few, toolbox=few_toolbox, max_offered=6)
    with OpenAIServer(wants(plan)) as server:
        agent = agent_of(server, middleware=[middleware], checkpointer=saver)
        for text in texts:
            assert ask(agent, text)[-1].text == f"Done: {text}"
    assert max(len(offered(request)) for request in server.requests) <= 7


def discovers(query: str) -> tuple[str, dict[str, str]]:
    return "discover_tools", {"query": query}


def test_a_full_list_has_room_for_what_is_asked_for_and_what_is_in_use(
    few: ToolRetriever, few_toolbox: Toolbox, saver: InMemorySaver
) -> None:
    """What was asked for long ago goes, and does not come back to begin the list anew each time."""
    replies = [
        *(Reply(tool_calls=[discovers(f"cancel the {thing}")]) for thing in ("order", "parcel")),
        *(Reply(tool_calls=[discovers(f"refund the {thing}")]) for thing in ("order", "parcel")),
        Reply(tool_calls=[("refund_parcel", {}), discovers("list the invoice")]),
        Reply(tool_calls=[("list_invoice", {})]),
        Reply("Done."),
    ]
    middleware = ToolRetrieverMiddleware(few, toolbox=few_toolbox, max_offered=4)
    with OpenAIServer(*replies) as server:
        agent = agent_of(server, middleware=[middleware], checkpointer=saver)
        messages = ask(agent, "track the parcel and the payment")
    seen = [offered(request)[1:] for request in server.requests]
    chosen = seen[0]
    assert max(map(len, seen)) <= 4
    assert "refund_parcel" in seen[4]
    assert {*chosen, "refund_parcel", "list_invoice"} == {*seen[5]}
    assert seen[6] == seen[5]
    assert results(messages)[-3:] == [
        ("refund_parcel", "success"),
        ("discover_tools", "success"),
        ("list_invoice", "success"),
    ]


def test_a_full_list_does_not_begin_anew_for_what_had_to_go(
    few_index: ToolIndex, few_toolbox: Toolbox, saver: InMemorySaver
) -> None:
    names = ["cancel_order", "refund_order", "track_order", "cancel_parcel"]
    replies = [
        *(Reply(tool_calls=[(name, {})]) for name in names for _ in range(2)),  # refused at first
        Reply(tool_calls=[discovers("refund the payment")]),
        Reply(tool_calls=[("cancel_parcel", {})]),
        Reply(tool_calls=[("refund_payment", {})]),
        Reply("Done."),
    ]
    retriever = ToolRetriever(few_index, max_tools=1, min_recall=1.0)
    middleware = ToolRetrieverMiddleware(retriever, toolbox=few_toolbox, max_offered=3)
    with OpenAIServer(*replies) as server:
        agent = agent_of(server, middleware=[middleware], checkpointer=saver)
        ask(agent, "list the invoice")
    seen = [offered(request)[1:] for request in server.requests]
    assert seen[9] == ["list_invoice", "cancel_parcel", "refund_payment"]
    assert seen[9:] == [seen[9]] * 3


@pytest.mark.parametrize("mode", ["grow", "replace"])
def test_what_was_called_last_stays_when_not_all_can(
    few_index: ToolIndex, few_toolbox: Toolbox, mode: Any
) -> None:
    history: list[Any] = [HumanMessage("x")]
    for number, name in enumerate(["cancel_order", "refund_order", "track_order", "cancel_order"]):
        call = {"name": name, "args": {}, "id": f"c{number}", "type": "tool_call"}
        history += [AIMessage("", tool_calls=[call]), ToolMessage("ok", tool_call_id=f"c{number}")]
    retriever = ToolRetriever(few_index, max_tools=1, min_recall=1.0)
    middleware = ToolRetrieverMiddleware(
        retriever, toolbox=few_toolbox, mode=mode, max_offered=3, discover=False
    )
    with OpenAIServer(Reply("Done.")) as server:
        agent = agent_of(server, middleware=[middleware])
        agent.invoke({"messages": [*history, AIMessage("ok"), HumanMessage("list the invoice")]})
    assert offered(server.requests[0]) == ["cancel_order", "track_order", "list_invoice"]


def test_what_is_asked_for_is_offered_though_its_result_is_cleared(
    few: ToolRetriever, few_toolbox: Toolbox
) -> None:
    calls = [discovers("list the invoice"), *[("cancel_order", {"id": n}) for n in "1234"]]
    with OpenAIServer(Reply(tool_calls=calls), Reply("Done.")) as server:
        clearing = ContextEditingMiddleware(edits=[ClearToolUsesEdit(trigger=1)])
        middleware = [clearing, ToolRetrieverMiddleware(few, toolbox=few_toolbox)]
        ask(agent_of(server, middleware=middleware), "cancel the order")
    cleared = [m["content"] for m in server.requests[1]["messages"] if m["role"] == "tool"]
    assert cleared[0] == "[cleared]"
    assert "list_invoice" in offered(server.requests[1])


def test_a_small_catalog_is_not_offered_beyond_the_limit(
    few: ToolRetriever, echo: RecordingRunner
) -> None:
    middleware = ToolRetrieverMiddleware(few, max_offered=1)
    with OpenAIServer(Reply("Done.")) as server:
        agent = agent_of(server, tools=agent_tools(SOME_TOOLS[:2], echo), middleware=[middleware])
        ask(agent, "cancel the order")
    assert offered(server.requests[0]) == ["discover_tools", "cancel_order"]


def test_examples_stand_before_the_message_they_are_for(
    few: ToolRetriever, few_toolbox: Toolbox, saver: InMemorySaver
) -> None:
    with OpenAIServer(Reply("Done.")) as server:
        agent = agent_of(
            server,
            middleware=[ToolRetrieverMiddleware(few, toolbox=few_toolbox)],
            checkpointer=saver,
        )
        ask(agent, "cancel the order")
        messages = ask(agent, "cancel the order, and track the parcel")
    said = [m["content"] for m in server.requests[1]["messages"] if m["role"] == "user"]
    assert "please cancel the order of Alice" in said[0]
    assert said[1] == "cancel the order"
    assert "track the parcel of Carol" in said[2]
    assert "please cancel the order of Alice" not in said[2]  # shown already
    assert said[3] == "cancel the order, and track the parcel"
    assert [m.text for m in messages] == [said[1], "Done.", said[3], "Done."]


def test_examples_can_be_left_out(few: ToolRetriever, few_toolbox: Toolbox) -> None:
    middleware = ToolRetrieverMiddleware(few, toolbox=few_toolbox, examples=False)
    replies = [
        Reply(tool_calls=[("discover_tools", {"query": "track the parcel"})]),
        Reply("Done."),
    ]
    with OpenAIServer(*replies) as server:
        ask(agent_of(server, middleware=[middleware]), "cancel the order")
    assert "Request:" not in json.dumps(server.requests)


class _BrokenEmbedder(HashedWordsEmbedder):
    broken = False

    def embed_query(self, text: str) -> list[float]:
        if self.broken:
            raise RuntimeError("out of memory")
        return super().embed_query(text)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_agent_outlives_its_retriever(
    tmp_path: Path,
    few_toolbox: Toolbox,
    saver: InMemorySaver,
    caplog: pytest.LogCaptureFixture,
    asynchronous: bool,
) -> None:
    embedder = _BrokenEmbedder()
    index = ToolIndex(tmp_path / "index", embedder=embedder)
    index.sync_tools(SOME_TOOLS)
    retriever = few_of(index)
    replies = [
        Reply("Done."),
        Reply(tool_calls=[("discover_tools", {"query": "track"}), ("cancel_order", {"id": "1"})]),
        Reply("Done."),
    ]
    with OpenAIServer(*replies) as server:
        agent = agent_of(
            server,
            middleware=[ToolRetrieverMiddleware(retriever, toolbox=few_toolbox)],
            checkpointer=saver,
        )
        ask(agent, "cancel the order")
        embedder.broken = True
        with caplog.at_level(logging.WARNING):
            again: Any = {"messages": [("user", "track the parcel")]}
            answer = (
                await agent.ainvoke(again, THREAD) if asynchronous else agent.invoke(again, THREAD)
            )
    assert offered(server.requests[1]) == offered(server.requests[0])
    assert results(answer["messages"]) == [
        ("discover_tools", "error"),
        ("cancel_order", "success"),
    ]
    assert "the search failed" in answer["messages"][-3].text
    assert "the agent goes on with what it was offered before" in caplog.text
    assert "out of memory" in caplog.text


def test_a_message_without_text_is_no_fault(few: ToolRetriever, few_toolbox: Toolbox) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
    with OpenAIServer(Reply("A picture.")) as server:
        agent = agent_of(server, middleware=[ToolRetrieverMiddleware(few, toolbox=few_toolbox)])
        agent.invoke({"messages": [HumanMessage([image])]})
    assert "discover_tools" in offered(server.requests[0])


def test_an_agent_whose_tools_are_not_in_the_index_is_offered_all_of_them(
    few: ToolRetriever, caplog: pytest.LogCaptureFixture
) -> None:
    with OpenAIServer(Reply("Done.")) as server, caplog.at_level(logging.WARNING):
        agent = agent_of(server, tools=[own_tool], middleware=[ToolRetrieverMiddleware(few)])
        ask(agent, "cancel the order")
    assert offered(server.requests[0]) == ["own_tool"]
    assert "none of the agent's tools is in the index, so all of them are offered" in caplog.text
    assert "index.add_tools(load_tools(tools))" in caplog.text


def test_an_agent_that_can_run_nothing_of_the_index_is_told_what_it_lacks(
    few: ToolRetriever, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    empty = ToolRetriever(ToolIndex(tmp_path, embedder=HashedWordsEmbedder()))
    with OpenAIServer(Reply("Done.")) as server, caplog.at_level(logging.WARNING):
        ask(agent_of(server, middleware=[ToolRetrieverMiddleware(few)]), "cancel the order")
        assert "a toolbox that runs them, such as Toolbox(index, HttpRunner())" in caplog.text
        caplog.clear()
        ask(agent_of(server, middleware=[ToolRetrieverMiddleware(empty)]), "cancel the order")
    assert "the index holds no tools" in caplog.text
    assert "agent's tools" not in caplog.text


def test_middleware_before_it_may_bring_tools_and_run_them(
    few: ToolRetriever, few_toolbox: Toolbox
) -> None:
    class Bringing(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return handler(request.override(tools=[*request.tools, own_tool]))

        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            mine = request.tool_call["name"] == "own_tool"
            return handler(request.override(tool=own_tool) if mine else request)

    replies = [Reply(tool_calls=[("own_tool", {}), ("cancel_order", {})]), Reply("Done.")]
    with OpenAIServer(*replies) as server:
        agent = agent_of(
            server, middleware=[Bringing(), ToolRetrieverMiddleware(few, toolbox=few_toolbox)]
        )
        messages = ask(agent, "cancel the order")
    assert results(messages) == [("own_tool", "success"), ("cancel_order", "success")]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_tools_of_the_index_that_middleware_brings_to_each_call_are_chosen_and_run(
    few: ToolRetriever, echo: RecordingRunner, caplog: pytest.LogCaptureFixture, asynchronous: bool
) -> None:
    tools = {tool.name: tool for tool in agent_tools(SOME_TOOLS, echo)}

    class Bringing(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return handler(request.override(tools=[*request.tools, *tools.values()]))

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            return await handler(request.override(tools=[*request.tools, *tools.values()]))

        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            return handler(request.override(tool=tools.get(request.tool_call["name"])))

        async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
            return await handler(request.override(tool=tools.get(request.tool_call["name"])))

    replies = [Reply(tool_calls=[("cancel_order", {}), ("cancel_parcel", {})]), Reply("Done.")]
    with OpenAIServer(*replies) as server:
        retrieving = ToolRetrieverMiddleware(few, allow={"cancel"}, max_offered=1)
        agent = agent_of(server, middleware=[Bringing(), retrieving])
        asked: Any = {"messages": [("user", "cancel the order")]}
        answer = await agent.ainvoke(asked) if asynchronous else agent.invoke(asked)
    ran, refused = answer["messages"][2:4]
    assert ran.text == "cancel_order ran"
    assert "'cancel_parcel' is not available now. Available: cancel_order" in refused.text
    assert "none of the agent's tools" not in caplog.text


def test_a_summary_of_the_conversation_loses_no_tool(
    few: ToolRetriever, few_toolbox: Toolbox, saver: InMemorySaver
) -> None:
    """Nor do examples stay whose message is gone."""
    plan: Any = {
        "cancel the order": [("cancel_order", {})],
        "track the parcel": [("track_parcel", {})],
        "list the invoice": [("list_invoice", {})],
    }
    with OpenAIServer(Reply("They cancelled.")) as summarizer, OpenAIServer(wants(plan)) as server:
        retrieving = ToolRetrieverMiddleware(few, toolbox=few_toolbox)
        agent = summarizing_agent(server, summarizer, retrieving, checkpointer=saver)
        for text in plan:
            assert ask(agent, text)[-1].text == f"Done: {text}"
    assert summarizer.requests
    last = server.requests[-1]
    assert "order of Alice" not in json.dumps(last["messages"])
    assert {"cancel_order", "track_parcel", "list_invoice"} <= {*offered(last)}
    names = [offered(request) for request in server.requests]
    assert all(after[: len(before)] == before for before, after in pairwise(names))


def test_the_state_is_plain_json(
    few: ToolRetriever, few_toolbox: Toolbox, saver: InMemorySaver
) -> None:
    few.token_budget = 120
    with OpenAIServer(Reply("Done.")) as server:
        middleware = [ToolRetrieverMiddleware(few, toolbox=few_toolbox)]
        agent = agent_of(server, middleware=middleware, checkpointer=saver)
        ask(agent, "cancel the order")
    state = agent.get_state(THREAD).values["toolret"]
    assert state["offered"][0]["name"] == "cancel_order"
    assert json.loads(json.dumps(state)) == state


def test_a_tool_of_a_toolbox_is_made_shorter_as_the_prompt_is(tmp_path: Path) -> None:
    """What its schema demands in some case only stays."""
    long = {"type": "string", "description": "What the model can do without. " * 40}
    parameters = {
        "type": "object",
        "properties": {"id": long, "mail": long, **{f"note{n}": long for n in range(20)}},
        "anyOf": [{"required": ["id"]}, {"required": ["mail"]}],
    }
    tools = [tool(f"make_{n}", f"Make {n}.", parameters=parameters) for n in ("bread", "tea", "x")]
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync_tools(tools)
    retriever = ToolRetriever(index, max_tools=1, token_budget=100, min_recall=1.0)
    with OpenAIServer(Reply("Done.")) as server:
        middleware = [ToolRetrieverMiddleware(retriever, toolbox=Toolbox(tools, RecordingRunner()))]
        ask(agent_of(server, middleware=middleware), "make bread")
    (sent,) = (each["function"] for each in server.requests[0]["tools"][1:])
    assert sent["parameters"]["properties"].keys() == {"id", "mail"}


def test_a_tool_that_was_made_shorter_runs_whole(
    tmp_path: Path, echo: RecordingRunner, saver: InMemorySaver
) -> None:
    """It is shown so in every turn, and what the model leaves out of sight still reaches it."""
    long = {"type": "string", "description": "What the model can do without. " * 40}
    parameters = {"type": "object", "properties": {"id": long, "note": long}, "required": ["id"]}
    tools = [
        tool(f"make_{name}", f"Make the {name}.", parameters=parameters)
        for name in ("bread", "butter", "cheese")
    ]
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync_tools(tools)
    retriever = ToolRetriever(index, max_tools=2, token_budget=150, min_recall=1.0)
    call = {"id": "1", "note": "soon"}
    plan: Any = {"make the bread": [("make_bread", call)], "make the cheese": []}
    with OpenAIServer(wants(plan)) as server:
        agent = agent_of(
            server,
            tools=agent_tools(tools, echo),
            middleware=[ToolRetrieverMiddleware(retriever)],
            checkpointer=saver,
        )
        ask(agent, "make the bread")
        retriever.token_budget = None
        ask(agent, "make the cheese")
    first = server.requests[0]["tools"][1]["function"]
    assert first["name"] == "make_bread"
    assert retriever.counter.count(json.dumps(first)) < 100
    assert server.requests[-1]["tools"][1]["function"] == first
    assert echo.called == [("make_bread", call)]


def test_a_tool_that_was_made_shorter_says_what_its_owner_has_it_say_now(
    tmp_path: Path, echo: RecordingRunner
) -> None:
    long = {"type": "string", "description": "What the model can do without. " * 40}
    parameters = {"type": "object", "properties": {"id": long}, "required": ["id"]}
    tools = [tool(f"make_{name}", f"Make {name}.", parameters=parameters) for name in ("a", "b")]
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync_tools(tools)
    retriever = ToolRetriever(index, max_tools=1, token_budget=100, min_recall=1.0)
    mine = agent_tools(tools, echo)
    with OpenAIServer(Reply("Done.")) as server:
        agent = agent_of(server, tools=mine, middleware=[ToolRetrieverMiddleware(retriever)])
        ask(agent, "make b")
        for each in mine:
            schema: Any = each.args_schema
            each.description = "Makes it now."
            schema["properties"] = {"id": {**long, "enum": ["x"]}}
        ask(agent, "make b")
    before, after = (request["tools"][1]["function"] for request in server.requests)
    assert "enum" not in before["parameters"]["properties"]["id"]
    assert after["name"] == before["name"]
    assert after["description"] == "Makes it now."
    assert after["parameters"]["properties"]["id"]["enum"] == ["x"]


def test_a_person_approves_a_call_and_the_thread_goes_on(
    few: ToolRetriever, echo: RecordingRunner, saver: InMemorySaver
) -> None:
    plan = {"cancel the order": [("cancel_order", {"id": "7"})]}
    with OpenAIServer(wants(plan)) as server:

        def agent() -> Any:
            """As a new process makes it."""
            return agent_of(
                server,
                tools=agent_tools(SOME_TOOLS, echo),
                middleware=[
                    HumanInTheLoopMiddleware(interrupt_on={"cancel_order": True}),
                    ToolRetrieverMiddleware(few),
                ],
                checkpointer=saver,
            )

        paused = agent().invoke({"messages": [("user", "cancel the order")]}, THREAD)
        assert paused["__interrupt__"]
        assert echo.called == []
        decision: Any = Command(resume={"decisions": [{"type": "approve"}]})
        answer = agent().invoke(decision, THREAD)
    assert answer["messages"][-1].text == "Done: cancel the order"
    assert echo.called == [("cancel_order", {"id": "7"})]
    assert offered(server.requests[1]) == offered(server.requests[0])


async def test_a_thread_that_stops_before_its_tools_goes_on(
    few: ToolRetriever, few_toolbox: Toolbox, echo: RecordingRunner, saver: InMemorySaver
) -> None:
    plan = {"cancel the order": [("cancel_order", {"id": "7"})]}
    with OpenAIServer(wants(plan)) as server:
        agent = agent_of(
            server,
            middleware=[ToolRetrieverMiddleware(few, toolbox=few_toolbox)],
            checkpointer=saver,
            interrupt_before=["tools"],
        )
        await agent.ainvoke({"messages": [("user", "cancel the order")]}, THREAD)
        assert echo.called == []
        answer = await agent.ainvoke(None, THREAD)
    assert answer["messages"][-1].text == "Done: cancel the order"
    assert echo.called == [("cancel_order", {"id": "7"})]


def test_the_words_of_the_retrievers_own_llm_do_not_reach_the_stream(
    few: ToolRetriever, few_toolbox: Toolbox
) -> None:
    plan = {"cancel the order": [("cancel_order", {"id": "7"})]}
    with (
        OpenAIServer(Reply(json.dumps({"queries": ["leaking words"]}))) as rewriter,
        OpenAIServer(wants(plan)) as server,
    ):
        retriever = ToolRetriever(few.index, llm=model(rewriter, streaming=True), max_tools=2)
        agent = agent_of(
            server,
            streaming=True,
            middleware=[ToolRetrieverMiddleware(retriever, toolbox=few_toolbox)],
        )
        modes: Any = ["messages", "updates", "values", "custom"]
        seen = repr(
            list(agent.stream({"messages": [("user", "cancel the order")]}, stream_mode=modes))
        )
    assert len(rewriter.requests) == 2
    assert "leaking" not in seen
    assert "cancel_order" in seen


def test_an_index_that_changes_while_a_thread_goes_on(
    tmp_path: Path, few_toolbox: Toolbox, saver: InMemorySaver
) -> None:
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync(SOME_TOOLS, SOME_DEMOS)
    replies = [Reply("Done."), Reply(tool_calls=[("cancel_order", {"id": "1"})]), Reply("Done.")]
    with OpenAIServer(*replies) as server:
        agent = agent_of(
            server,
            middleware=[ToolRetrieverMiddleware(few_of(index), toolbox=few_toolbox)],
            checkpointer=saver,
        )
        ask(agent, "cancel the order")
        index.sync_demos([])
        index.remove_tools(["cancel_order"])
        messages = ask(agent, "cancel the payment")
    assert "cancel_order" in offered(server.requests[0])
    assert "cancel_order" not in offered(server.requests[1])
    assert results(messages) == [("cancel_order", "error")]
    assert "cancel the order of Alice" not in json.dumps(server.requests[1]["messages"])


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_another_toolbox_counts_at_once(
    tmp_path: Path, echo: RecordingRunner, asynchronous: bool
) -> None:
    """As when a live server's list of tools has changed."""
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync_tools(SOME_TOOLS)
    middleware = ToolRetrieverMiddleware(few_of(index), toolbox=Toolbox(SOME_TOOLS, echo))
    asked: Any = {"messages": [("user", "read the backup of the disk")]}
    plan: Any = {"read the backup of the disk": [("read_backup", {"path": "x"})]}
    with OpenAIServer(wants(plan)) as server:
        agent = agent_of(server, middleware=[middleware])
        index.add_tools([tool("read_backup", "Read a file of the backup disk.")])
        for toolbox in (middleware.toolbox, Toolbox(index, echo), Toolbox(SOME_TOOLS, echo)):
            middleware.toolbox = toolbox
            await agent.ainvoke(asked) if asynchronous else agent.invoke(asked)
    assert echo.called == [("read_backup", {"path": "x"})]
    assert ["read_backup" in offered(request) for request in server.requests].count(True) == 2


def test_an_example_goes_with_the_toolboxs_tool(
    few: ToolRetriever, few_toolbox: Toolbox, echo: RecordingRunner, saver: InMemorySaver
) -> None:
    middleware = ToolRetrieverMiddleware(few, toolbox=few_toolbox)
    with OpenAIServer(Reply("Done.")) as server:
        agent = agent_of(server, middleware=[middleware], checkpointer=saver)
        for text in ("cancel the order of Alice", "thank you", "thank you"):
            if len(server.requests) == 2:
                left = [tool for tool in SOME_TOOLS if tool.id != "cancel_order"]
                middleware.toolbox = Toolbox(left, echo)
            agent.invoke({"messages": [("user", text)]}, THREAD)
    said = [json.dumps(request["messages"]) for request in server.requests]
    assert ["Call: cancel_order" in text for text in said] == [True, True, False]


def test_a_tool_may_hold_what_cannot_be_compared(few: ToolRetriever) -> None:
    class Vectors(BaseTool):
        name: str = "cancel_order"
        description: str = "Cancel the order."
        vectors: Any = None

        def _run(self, /, **arguments: Any) -> str:
            return "done"

    middleware = ToolRetrieverMiddleware(few)
    plan: dict[str, Any] = {"cancel the order": [("cancel_order", {})]}
    with OpenAIServer(wants(plan)) as server:
        for _ in range(2):
            agent = agent_of(server, tools=[Vectors(vectors=np.arange(3))], middleware=[middleware])
            assert results(ask(agent, "cancel the order")) == [("cancel_order", "success")]


class _Steps(AgentMiddleware[Any, Any, Any]):
    """Notes where a run passes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def before_model(self, state: Any, runtime: Any) -> None:
        self.seen.append("model")

    def after_agent(self, state: Any, runtime: Any) -> None:
        self.seen.append("end")


@langchain_tool(return_direct=True)
def refund_payment(payment: str) -> str:
    """Refund the payment of a customer."""
    return f"refunded {payment}"


@pytest.mark.parametrize("discover", [True, False])
def test_a_refused_tool_whose_answer_would_end_the_run_goes_back_to_the_model(
    few: ToolRetriever, discover: bool
) -> None:
    others = [tool for tool in SOME_TOOLS if tool.id != "refund_payment"]
    replies = [
        Reply(tool_calls=[("refund_payment", {"payment": "1"})]),
        Reply(tool_calls=[("refund_payment", {"payment": "1"})]),
    ]
    steps = _Steps()
    with OpenAIServer(*replies) as server:
        agent = agent_of(
            server,
            tools=[refund_payment, *agent_tools(others, RecordingRunner())],
            middleware=[steps, ToolRetrieverMiddleware(few, discover=discover)],
        )
        messages = ask(agent, "track the parcel")
    assert "refund_payment" not in offered(server.requests[0])
    # By the name of the refused tool LangChain would end the run.
    assert results(messages) == [("discover_tools", "error"), ("refund_payment", "success")]
    assert messages[-1].content == "refunded 1"
    assert steps.seen == ["model", "model", "end"]
    assert len(server.requests) == 2


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_tool_of_the_toolbox_whose_answer_ends_the_run(
    tmp_path: Path, asynchronous: bool
) -> None:
    """It is offered as all others are, and bound by the permissions."""
    direct = [replace(*load_tools([refund_payment]), permissions=(frozenset({"refund"}),))]
    unknown = load_tools([own_tool.model_copy(update={"name": "elsewhere", "return_direct": True})])
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    others = [tool for tool in SOME_TOOLS if tool.id != "refund_payment"]
    index.sync_tools([*others, *direct])
    middleware = ToolRetrieverMiddleware(
        few_of(index),
        toolbox=Toolbox([*others, *direct, *unknown], RecordingRunner()),
        allow=lambda caller: caller.context,
    )
    called = Reply(tool_calls=[("refund_payment", {"payment": "1"})])
    with OpenAIServer(called, called, Reply("Sorry."), Reply("Done.")) as server:
        agent = agent_of(server, middleware=[middleware])

        async def answer(text: str, *scopes: str) -> list[Any]:
            asking: Any = {"messages": [("user", text)]}
            if asynchronous:
                return list((await agent.ainvoke(asking, context=scopes))["messages"])
            return list(agent.invoke(asking, context=scopes)["messages"])

        assert (await answer("refund the payment", "refund"))[-1].content == "refunded 1"
        refused = await answer("refund the payment", "track")
        await answer("track the parcel", "refund", "track")
    assert [type(m) for m in refused[2:]] == [ToolMessage, AIMessage]
    assert refused[2].status == "error"
    seen = [offered(request) for request in server.requests]
    assert ["refund_payment" in names for names in seen] == [True, False, False, False]
    assert not any("elsewhere" in names for names in seen)


def test_a_given_tool_hides_no_operations_of_the_toolbox(
    tmp_path: Path, echo: RecordingRunner
) -> None:
    @langchain_tool
    def search(query: str) -> str:
        """Search the web."""
        return query

    both = [
        Tool(f"{area}.search", "search", area, f"Search the {area}.")
        for area in ("orders", "parcels")
    ]
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync_tools(both)
    middleware = ToolRetrieverMiddleware(few_of(index), toolbox=Toolbox(both, echo))
    with OpenAIServer(wants({"search": []})) as server:
        ask(agent_of(server, tools=[search], middleware=[middleware]), "search")
    assert offered(server.requests[0]) == ["search", "orders__search", "parcels__search"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"allow": "orders"}, "allow is the text 'orders'"),
        ({"mode": "Grow"}, "no mode 'Grow'"),
        ({"max_offered": 0}, "max_offered is 0: give a whole number of 1 or more"),
        ({"max_offered": 1.5}, "max_offered is 1.5"),
    ],
)
def test_invalid_options_are_refused(few: ToolRetriever, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ToolRetrieverMiddleware(few, **options)


def test_asynchronous_permissions_are_refused(few: ToolRetriever) -> None:
    async def allow(_: Caller) -> list[str]:
        return []

    wrong: Any = allow
    with pytest.raises(InputError, match="allow is asynchronous"):
        ToolRetrieverMiddleware(few, allow=wrong)
