from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.checkpoint.memory import InMemorySaver

from tests.integrations.langchain.scripted_agent import THREAD, agent_of
from tests.runners import RecordingRunner
from toolret.calling import Toolbox, ToolResult
from toolret.integrations.langchain import langchain_tools
from toolret.testing import OpenAIServer, Reply
from toolret.types import JsonObject, Tool

SCHEMA = {
    "type": "object",
    "properties": {
        name: {"type": "string"} for name in ("config", "callbacks", "self", "run_manager", "name")
    },
    "required": ["config"],
}
TOOL = Tool("a.b", "b", description="Do it.", parameters=SCHEMA, tags=("t",))


async def test_arguments_may_have_the_names_that_langchain_uses_itself() -> None:
    (tool,) = langchain_tools([TOOL], Toolbox([TOOL], RecordingRunner()))
    arguments = {name: name.upper() for name in SCHEMA["properties"]}
    asked = {"type": "tool_call", "id": "c", "name": tool.name, "args": arguments}
    for message in (tool.invoke(asked), await tool.ainvoke(asked)):
        assert message.artifact.value == arguments
    assert tool.invoke(arguments) == "a.b ran"


def test_a_tool_whose_id_is_anothers_name_runs() -> None:
    tools = [Tool("a.b", "b"), Tool("a__b", "b")]
    echo = RecordingRunner()
    for tool in langchain_tools(tools, Toolbox(tools, echo)):
        tool.invoke({})
    assert [called for called, _ in echo.called] == ["a.b", "a__b"]


def test_what_a_model_is_shown() -> None:
    (tool,) = langchain_tools([TOOL], Toolbox([TOOL], RecordingRunner()))
    assert convert_to_openai_tool(tool)["function"] == {
        "name": "a__b",
        "description": "Do it.",
        "parameters": SCHEMA,
    }
    assert (tool.tags, tool.metadata) == (["t"], {"tool_id": "a.b"})


def test_a_tool_without_a_schema_or_a_description() -> None:
    bare = Tool("x", "x")
    (tool,) = langchain_tools([bare], Toolbox([bare], RecordingRunner()))
    assert convert_to_openai_tool(tool)["function"]["parameters"] == {
        "type": "object",
        "properties": {},
    }
    assert tool.invoke({}) == "x ran"


DEEP = json.loads('{"a":' * 400 + "1" + "}" * 400)


@pytest.mark.parametrize(
    "value",
    [{"wei": [2**64]}, {"wei": -(2**64)}, {"\ud83d": 1}, [{"at": {"\ud83d": 1}}], DEEP],
    ids=["large", "small", "key", "inner key", "deep"],
)
def test_no_result_breaks_an_agent_whose_state_is_stored(value: Any, saver: InMemorySaver) -> None:
    class Giving(RecordingRunner):
        def call(self, tool: Tool, arguments: JsonObject) -> ToolResult:
            return replace(super().call(tool, arguments), value=value)

    with OpenAIServer(Reply(tool_calls=[("a__b", {"config": "x"})]), Reply("Done.")) as server:
        tools = langchain_tools([TOOL], Toolbox([TOOL], Giving()))
        agent = agent_of(server, tools=tools, checkpointer=saver)
        answer = agent.invoke({"messages": [("user", "go")]}, THREAD)
    assert answer["messages"][-1].text == "Done."
    assert answer["messages"][2].artifact == ToolResult("a.b ran", "a.b ran")
