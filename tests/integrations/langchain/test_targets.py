"""LangChain tools of a toolbox run in an agent as they do when the agent is given them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain.agents import AgentState
from langchain.tools import ToolRuntime
from langchain_core.messages import ToolMessage
from langchain_core.tools import InjectedToolArg, InjectedToolCallId, ToolException
from langchain_core.tools import tool as langchain_tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import InjectedState
from langgraph.types import Command, interrupt
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.integrations.langchain.scripted_agent import THREAD, agent_of
from toolret import Toolbox, ToolIndex, ToolRetriever, load_tools
from toolret.integrations.langchain import ToolRetrieverMiddleware, langchain_tools
from toolret.testing import HashedWordsEmbedder, OpenAIServer, Reply
from toolret.tracing import CAPTURE_CONTENT


@langchain_tool
def approve(amount: int) -> str:
    """Ask a human."""
    return f"{amount}: {interrupt({'approve': amount})}"


@langchain_tool
def who(text: str, state: Annotated[dict[str, Any], InjectedState], runtime: ToolRuntime) -> str:
    """Say who asks."""
    return f"{text} {state['messages'][0].content} {runtime.tool_call_id}"


@langchain_tool
def note(text: str, call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
    """Write a note."""
    return Command(update={"messages": [ToolMessage(text.upper(), tool_call_id=call_id)]})


@langchain_tool(response_format="content_and_artifact")
def look(place: str) -> tuple[list[dict[str, str]], set[str]]:
    """Look at a place."""
    return [{"type": "text", "text": place}], {place}


@langchain_tool
def refuse() -> str:
    """Refuse."""
    raise ToolException("no")


refuse.handle_tool_error = True


@langchain_tool
def fail() -> str:
    """Fail."""
    raise KeyError("gone")


@langchain_tool
async def later() -> str:
    """Say it later."""
    return "later"


BOX = Toolbox(load_tools([approve, who, note, look, refuse, fail, later], namespace="x"))
REFUSED = {"type": "tool_call", "id": "c", "name": "x__fail", "args": {}}


async def asked(agent: Any, asynchronous: bool, given: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (
        await agent.ainvoke(given, THREAD) if asynchronous else agent.invoke(given, THREAD)
    )
    return answer


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_they_are_given_and_give_passes_through(asynchronous: bool) -> None:
    calls: list[tuple[str, Any]] = [
        ("x__who", {"text": "hi"}),
        ("x__note", {"text": "hi"}),
        ("x__look", {"place": "here"}),
        ("x__refuse", {}),
        ("x__fail", {}),
    ]
    with OpenAIServer(Reply(tool_calls=calls), Reply("Done.")) as server:
        agent = agent_of(server, tools=langchain_tools(BOX, BOX))
        answer = await asked(agent, asynchronous, {"messages": [("user", "go")]})
    found = [m for m in answer["messages"] if isinstance(m, ToolMessage)]
    said = {m.name: (m.content, m.status, m.artifact) for m in found}
    assert said["x__who"] == (f"hi go {found[0].tool_call_id}", "success", None)
    assert said["x__note"] == ("HI", "success", None)
    assert said["x__look"] == ([{"type": "text", "text": "here"}], "success", {"here"})
    assert said["x__refuse"] == ("no", "error", None)
    assert said["x__fail"] == ("Error: KeyError: 'gone'", "error", None)


TEXT_ALONE = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


@langchain_tool(args_schema=TEXT_ALONE)
def who_by_schema(
    text: str, runtime: ToolRuntime, user: Annotated[str, InjectedToolArg] = "nobody"
) -> str:
    """Say who asks; the schema holds only what the model supplies."""
    return f"{text} {runtime.state['messages'][0].content} {user}"


@langchain_tool(args_schema=TEXT_ALONE)
def of_unknown_types(text: "Unknown") -> str:  # type: ignore[name-defined]  # noqa: F821, UP037
    """Repeat a text."""
    return str(text)


def of_its_own(text: str, _state: Annotated[Any, InjectedState] = None) -> str:
    """Repeat a text."""
    return text


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_is_injected_need_not_stand_in_the_schema(asynchronous: bool) -> None:
    box = Toolbox(load_tools([who_by_schema, of_unknown_types, of_its_own]))
    calls: list[tuple[str, Any]] = [
        ("who_by_schema", {"text": "hi", "user": "root"}),
        ("of_unknown_types", {"text": "hi"}),
        ("of_its_own", {"text": "hi"}),
    ]
    with OpenAIServer(Reply(tool_calls=calls), Reply("Done.")) as server:
        agent = agent_of(server, tools=langchain_tools(box, box))
        answer = await asked(agent, asynchronous, {"messages": [("user", "go")]})
    said = [m.content for m in answer["messages"] if isinstance(m, ToolMessage)]
    assert said == ["hi go nobody", "hi", "hi"]


def deploy(runtime: str, version: int = 1) -> str:
    """Deploy a function."""
    return f"{runtime} {version}"


RUNTIME_ALONE = {"type": "object", "properties": {"runtime": {"type": "string"}}}


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("tool", [deploy, langchain_tool(args_schema=RUNTIME_ALONE)(deploy)])
async def test_an_argument_may_be_called_runtime(tool: Any, asynchronous: bool) -> None:
    box = Toolbox(load_tools([tool]))
    call = ("deploy", {"runtime": "python"})
    with OpenAIServer(Reply(tool_calls=[call]), Reply("Done.")) as server:
        agent = agent_of(server, tools=langchain_tools(box, box))
        answer = await asked(agent, asynchronous, {"messages": [("user", "go")]})
    assert [m.content for m in answer["messages"] if isinstance(m, ToolMessage)] == ["python 1"]
    (shown,) = server.requests[0]["tools"]
    assert shown["function"]["parameters"]["properties"]["runtime"] == {"type": "string"}


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_one_that_waits_for_a_human_pauses_the_agent(
    tmp_path: Path, saver: InMemorySaver, asynchronous: bool
) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync_tools(BOX)
    middleware = ToolRetrieverMiddleware(ToolRetriever(index), toolbox=BOX)
    calls: list[tuple[str, Any]] = [("x__approve", {"amount": 3}), ("x__who", {"text": "hi"})]
    with OpenAIServer(Reply(tool_calls=calls), Reply("Ok.")) as server:
        agent = agent_of(server, middleware=[middleware], checkpointer=saver)
        answer = await asked(agent, asynchronous, {"messages": [("user", "ask who a human is")]})
        assert [pause.value for pause in answer["__interrupt__"]] == [{"approve": 3}]
        answer = await asked(agent, asynchronous, Command(resume="yes"))
    approved, told = answer["messages"][-3:-1]
    assert approved.content == "3: yes"
    assert told.content == f"hi ask who a human is {told.tool_call_id}"


@langchain_tool
def pay(amount: int, token: Annotated[str, InjectedState("token")]) -> str:
    """Pay the bill."""
    return f"paid {amount}"


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_wrong_argument_tells_nothing_of_what_was_injected(
    tmp_path: Path, asynchronous: bool
) -> None:
    class WithToken(AgentState[Any]):
        token: str

    box = Toolbox(load_tools([pay]))
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync_tools(box)
    calls: list[tuple[str, Any]] = [("pay", {}), ("pay", {"amount": "x"})]
    with OpenAIServer(Reply(tool_calls=calls), Reply("Sorry.")) as server:
        middleware = ToolRetrieverMiddleware(ToolRetriever(index), toolbox=box)
        agent = agent_of(server, middleware=[middleware], state_schema=WithToken)
        asking = {"messages": [("user", "pay the bill")], "token": "hush"}
        answer = await asked(agent, asynchronous, asking)
    missing, wrong = (m.text for m in answer["messages"] if isinstance(m, ToolMessage))
    assert missing == "Error: ValidationError: amount: Field required"
    assert wrong.startswith("Error: ValidationError: amount: Input should be a valid integer")
    assert "hush" not in json.dumps(server.requests)


async def test_their_faults_are_told_and_their_permissions_kept() -> None:
    (tool,) = langchain_tools([BOX.tool("x.fail")], BOX)
    assert tool.invoke({}) == "Error: KeyError: 'gone'"
    message = await tool.ainvoke(REFUSED)
    assert (message.status, message.name, message.tool_call_id) == ("error", "x__fail", "c")
    (tool,) = langchain_tools([BOX.tool("x.look")], BOX.allowed(lambda found: found.id != "x.look"))
    assert tool.invoke({"place": "here"}) == "Error: there is no tool 'x.look'"
    (tool,) = langchain_tools([BOX.tool("x.later")], BOX)
    assert "does not support sync" in tool.invoke({})
    assert await tool.ainvoke({}) == "later"


async def test_run_is_what_invoke_is() -> None:
    view = BOX.allowed(lambda found: found.id != "x.later")
    (tool,) = langchain_tools([BOX.tool("x.look")], BOX)
    assert tool.run({"place": "here"}) == [{"type": "text", "text": "here"}]
    assert await tool.arun({"place": "here"}) == tool.run({"place": "here"})
    (tool,) = langchain_tools([BOX.tool("x.fail")], BOX)
    assert tool.run({}) == await tool.arun({}) == "Error: KeyError: 'gone'"
    (tool,) = langchain_tools([BOX.tool("x.later")], BOX)
    assert await tool.arun({}) == "later"
    (tool,) = langchain_tools([BOX.tool("x.later")], view)
    assert await tool.arun({}) == "Error: there is no tool 'x.later'"


def test_they_keep_what_providers_are_told_of_them() -> None:
    extras = {"cache_control": {"type": "ephemeral"}}
    box = Toolbox(load_tools([look.model_copy(update={"extras": extras})]))
    (tool,) = langchain_tools(box, box)
    assert tool.extras == extras


async def test_their_calls_are_spans_as_all_of_a_toolbox(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CAPTURE_CONTENT, "true")
    for name, arguments, error, said in (
        ("look", {"place": "here"}, None, '[{"type": "text", "text": "here"}]'),
        ("refuse", {}, "tool_error", "no"),
        ("fail", {}, "KeyError", None),
    ):
        (tool,) = langchain_tools([BOX.tool(f"x.{name}")], BOX)
        called = {"type": "tool_call", "id": "c", "name": tool.name, "args": arguments}
        tool.invoke(called)
        await tool.ainvoke(called)
        for span in spans.get_finished_spans():
            assert span.name == f"execute_tool x.{name}"
            assert span.attributes is not None
            assert span.attributes.get("error.type") == error
            assert span.attributes.get("gen_ai.tool.call.result") == said
            if said:
                assert span.attributes["gen_ai.tool.call.arguments"] == json.dumps(arguments)
        assert len(spans.get_finished_spans()) == 2
        spans.clear()
