"""Permissions of each request reach the search, the offer, what is shown and what is run."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from tests.integrations.langchain.conftest import SOME_DEMOS, SOME_TOOLS, few_of
from tests.integrations.langchain.scripted_agent import THREAD, agent_of, offered
from tests.runners import RecordingRunner
from toolret import Toolbox, ToolIndex, ToolRetriever
from toolret.integrations.langchain import Caller, ToolRetrieverMiddleware, langchain_tools
from toolret.integrations.langchain.access import allow_for
from toolret.permissions import is_allowed
from toolret.testing import HashedWordsEmbedder, OpenAIServer, Reply
from toolret.types import Tool


@dataclass
class User:
    scopes: Any


def by_scopes(caller: Caller) -> Any:
    return caller.context.scopes


TRIES_ALL = [
    Reply(tool_calls=[("discover_tools", {"query": "refund the payment of Bob"})]),
    Reply(tool_calls=[("refund_payment", {"id": "1"}), ("cancel_order", {"id": "2"})]),
    Reply(tool_calls=[("refund_payment", {"id": "1"})]),
    Reply("Done."),
]


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_is_forbidden_is_not_seen_and_not_run(
    few: ToolRetriever, few_toolbox: Toolbox, echo: RecordingRunner, given: bool, asynchronous: bool
) -> None:
    middleware = ToolRetrieverMiddleware(few, toolbox=few_toolbox, allow=by_scopes)
    tools = langchain_tools(SOME_TOOLS, few_toolbox) if given else []
    text = "cancel the order and refund the payment"
    with OpenAIServer(*TRIES_ALL) as server:
        agent = agent_of(server, tools=tools, middleware=[middleware], context_schema=User)
        ask: Any = {"messages": [("user", text)]}
        user = User(["cancel", "track"])
        if asynchronous:
            answer = await agent.ainvoke(ask, context=user)
        else:
            answer = agent.invoke(ask, context=user)
    assert echo.called == [("cancel_order", {"id": "2"})]
    for request in server.requests:
        assert all(n.startswith(("cancel", "track", "discover")) for n in offered(request))
    said = [m for m in server.requests[-1]["messages"] if m["role"] != "assistant"]
    told = json.dumps([m for m in said if m["content"] != text])
    assert "Bob" not in told
    assert "refund the payment" not in told
    refused = [m for m in answer["messages"] if m.type == "tool" and m.status == "error"]
    assert [m.name for m in refused] == ["refund_payment", "refund_payment"]
    assert not any("refund" in m.text.split("Available")[1] for m in refused)


def test_a_permission_that_is_taken_away_counts_at_once(
    few: ToolRetriever, few_toolbox: Toolbox, echo: RecordingRunner, saver: InMemorySaver
) -> None:
    """The tool, the examples that showed it, and a call that the model makes from memory."""
    replies = [
        Reply(tool_calls=[("cancel_order", {"id": "1"})]),
        Reply("Done."),
        Reply(tool_calls=[("cancel_order", {"id": "2"})]),
        Reply("Done."),
    ]
    with OpenAIServer(*replies) as server:
        agent = agent_of(
            server,
            middleware=[ToolRetrieverMiddleware(few, toolbox=few_toolbox, allow=by_scopes)],
            context_schema=User,
            checkpointer=saver,
        )
        for scopes in (["cancel"], ["track"]):
            ask = {"messages": [("user", "cancel the order")]}
            agent.invoke(ask, THREAD, context=User(scopes))
    assert echo.called == [("cancel_order", {"id": "1"})]
    assert "order of Alice" in json.dumps(server.requests[0]["messages"])
    for request in server.requests[2:]:
        assert all(name.startswith(("track", "discover")) for name in offered(request))
        assert "order of Alice" not in json.dumps(request["messages"])


@pytest.mark.parametrize("held", [SOME_TOOLS, SOME_TOOLS[:4]])
@pytest.mark.parametrize("tenant", [7, 8])
def test_a_private_example_is_shown_to_those_who_hold_its_permission(
    tmp_path: Path, echo: RecordingRunner, held: list[Tool], tenant: int
) -> None:
    """An agent that can run a part of the index shows its callers what any other would."""
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync(SOME_TOOLS, [replace(SOME_DEMOS[0], permissions=(frozenset({"tenant:7"}),))])
    middleware = ToolRetrieverMiddleware(
        few_of(index), toolbox=Toolbox(held, echo), allow={"cancel", f"tenant:{tenant}"}
    )
    with OpenAIServer(Reply("ok")) as server:
        agent = agent_of(server, middleware=[middleware])
        agent.invoke({"messages": [("user", "cancel the order of Bob please")]})
    assert (SOME_DEMOS[0].text in json.dumps(server.requests)) == (tenant == 7)


def test_examples_go_with_the_permission_for_themselves_and_with_their_demonstrations(
    tmp_path: Path, few_toolbox: Toolbox, saver: InMemorySaver
) -> None:
    secret = replace(SOME_DEMOS[0], permissions=(frozenset({"secret"}),))
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync(SOME_TOOLS, [secret, SOME_DEMOS[3]])
    both = {"cancel", "track", "refund", "list"}
    turns = [
        ("cancel the order of Alice", both | {"secret"}),
        ("track the parcel of Carol", both | {"secret"}),
        ("thank you", both),
        ("thank you", both),
    ]
    with OpenAIServer(Reply("Done.")) as server:
        agent = agent_of(
            server,
            middleware=[
                ToolRetrieverMiddleware(few_of(index), toolbox=few_toolbox, allow=by_scopes)
            ],
            context_schema=User,
            checkpointer=saver,
        )
        for turn, (text, scopes) in enumerate(turns):
            if turn == len(turns) - 1:
                index.sync_demos([secret])
            agent.invoke({"messages": [("user", text)]}, THREAD, context=User(scopes))
    said = [json.dumps(request["messages"]) for request in server.requests]
    assert ["please cancel the order" in text for text in said] == [True, True, False, False]
    assert ["track the parcel of Carol\\n" in text for text in said] == [False, True, True, False]


def test_an_example_that_was_redacted_is_no_longer_shown_as_it_was(
    tmp_path: Path, few_toolbox: Toolbox, saver: InMemorySaver
) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync(SOME_TOOLS, [SOME_DEMOS[0], SOME_DEMOS[3]])
    with OpenAIServer(Reply("Done.")) as server:
        middleware = ToolRetrieverMiddleware(few_of(index), toolbox=few_toolbox)
        agent = agent_of(server, middleware=[middleware], checkpointer=saver)
        for text in ("cancel the order of Alice", "thank you"):
            agent.invoke({"messages": [("user", text)]}, THREAD)
        index.add_demos([replace(SOME_DEMOS[0], text="please cancel the order of [name]")])
        for text in ("thank you", "cancel the order of Bob"):
            agent.invoke({"messages": [("user", text)]}, THREAD)
    said = [json.dumps(request["messages"]) for request in server.requests]
    assert ["please cancel the order of Alice" in text for text in said] == [True] * 2 + [False] * 2
    assert ["the order of [name]" in text for text in said] == [False] * 3 + [True]


def test_a_permission_that_is_taken_away_between_the_call_and_its_run(
    few: ToolRetriever, few_toolbox: Toolbox, echo: RecordingRunner, saver: InMemorySaver
) -> None:
    replies = [Reply(tool_calls=[("cancel_order", {"id": "1"})]), Reply("Done.")]
    with OpenAIServer(*replies) as server:
        agent = agent_of(
            server,
            middleware=[ToolRetrieverMiddleware(few, toolbox=few_toolbox, allow=by_scopes)],
            context_schema=User,
            checkpointer=saver,
            interrupt_before=["tools"],
        )
        ask = {"messages": [("user", "cancel the order")]}
        agent.invoke(ask, THREAD, context=User(["cancel"]))
        answer = agent.invoke(None, THREAD, context=User(["track"]))
    assert echo.called == []
    assert "is not available now" in answer["messages"][2].text


def test_permissions_may_come_from_the_state(few: ToolRetriever, few_toolbox: Toolbox) -> None:
    from langchain.agents import AgentState

    class WithScopes(AgentState[Any]):
        scopes: list[str]

    with OpenAIServer(Reply("Done.")) as server:
        agent = agent_of(
            server,
            middleware=[
                ToolRetrieverMiddleware(
                    few, toolbox=few_toolbox, allow=lambda caller: caller.state["scopes"]
                )
            ],
            state_schema=WithScopes,
        )
        agent.invoke({"messages": [("user", "cancel the order")], "scopes": ["track"]})
    assert offered(server.requests[0])[1:] != []
    assert all(name.startswith("track") for name in offered(server.requests[0])[1:])


def test_a_small_catalog_is_cut_to_what_is_allowed(
    few: ToolRetriever, few_toolbox: Toolbox
) -> None:
    given = langchain_tools([SOME_TOOLS[0], SOME_TOOLS[4]], few_toolbox)
    replies = [Reply(tool_calls=[("refund_order", {})]), Reply("Done.")]
    with OpenAIServer(*replies) as server:
        agent = agent_of(
            server,
            tools=given,
            middleware=[ToolRetrieverMiddleware(few, allow=["cancel"])],
        )
        answer = agent.invoke({"messages": [("user", "cancel the order")]})
    assert offered(server.requests[0]) == ["cancel_order"]
    assert answer["messages"][2].status == "error"


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_small_catalog_follows_what_another_process_forbids(
    tmp_path: Path, few_toolbox: Toolbox, asynchronous: bool
) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync_tools(SOME_TOOLS)
    retriever = ToolRetriever(index, max_tools=20, token_budget=None)
    middleware = ToolRetrieverMiddleware(retriever, toolbox=few_toolbox, allow=["cancel"])
    elsewhere = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    elsewhere.add_tools([replace(SOME_TOOLS[0], permissions=(frozenset({"admin"}),))])
    asked: Any = {"messages": [("user", "cancel the order")]}
    with OpenAIServer(Reply("Done.")) as server:
        agent = agent_of(server, middleware=[middleware])
        for _ in range(100):
            await agent.ainvoke(asked) if asynchronous else agent.invoke(asked)
            if "cancel_order" not in offered(server.requests[-1]):
                break
            await asyncio.sleep(0.1)
    assert sorted(offered(server.requests[-1])) == [
        "cancel_invoice",
        "cancel_parcel",
        "cancel_payment",
    ]


def raises(_: Caller) -> Any:
    raise KeyError("user")


def refuses(_: Tool) -> bool:
    raise KeyError("tool")


@pytest.mark.parametrize(
    "allow",
    [
        raises,
        lambda _: None,
        lambda _: "cancel",
        lambda _: 3,
        lambda _: iter(["cancel"]),
        lambda _: {"cancel": False},
        lambda _: [["cancel"]],
        lambda _: b"cancel",
        lambda _: refuses,
    ],
)
def test_an_invalid_allow_permits_nothing(
    few: ToolRetriever,
    few_toolbox: Toolbox,
    echo: RecordingRunner,
    caplog: pytest.LogCaptureFixture,
    allow: Callable[[Caller], Any],
) -> None:
    with OpenAIServer(*TRIES_ALL) as server, caplog.at_level(logging.WARNING):
        agent = agent_of(
            server,
            middleware=[ToolRetrieverMiddleware(few, toolbox=few_toolbox, allow=allow)],
        )
        answer = agent.invoke({"messages": [("user", "cancel the order")]})
    assert answer["messages"][-1].text == "Done."
    assert echo.called == []
    assert {name for r in server.requests for name in offered(r)} == {"discover_tools"}
    assert "`allow`" in caplog.text


def test_what_a_caller_may_use() -> None:
    cancel, refund = SOME_TOOLS[0], SOME_TOOLS[4]
    alice = Caller(context=User(["cancel"]))
    for allow in (by_scopes, ["cancel"], lambda _: lambda tool: tool.name == "cancel_order"):
        granted = allow_for(allow, alice)
        assert is_allowed(cancel, granted)
        assert not is_allowed(refund, granted)
    assert is_allowed(refund, allow_for(None, alice))


def test_as_many_forbidden_tools_as_others_are_no_reason_to_leave_the_request(
    few: ToolRetriever,
) -> None:
    forbidden, free = SOME_TOOLS[:1], SOME_TOOLS[4:5]
    assert [some[0].permissions for some in (forbidden, free)] == [
        (frozenset({"cancel"}),),
        (frozenset({"refund"}),),
    ]
    middleware = ToolRetrieverMiddleware(
        few, toolbox=Toolbox(free, RecordingRunner()), allow=["refund"]
    )
    with OpenAIServer(Reply("Done.")) as server:
        tools = langchain_tools(forbidden, Toolbox(forbidden, RecordingRunner()))
        agent = agent_of(server, tools=tools, middleware=[middleware])
        agent.invoke({"messages": [("user", "cancel the order")]})
    assert offered(server.requests[0]) == ["refund_order"]
