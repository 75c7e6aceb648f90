from __future__ import annotations

from langchain_core.utils.function_calling import convert_to_openai_tool

from toolret.calling import Outcome, Toolbox
from toolret.integrations.langchain import langchain_tools
from toolret.types import JsonObject, Tool

SCHEMA = {
    "type": "object",
    "properties": {
        name: {"type": "string"} for name in ("config", "callbacks", "self", "run_manager", "name")
    },
    "required": ["config"],
}
TOOL = Tool("a.b", "b", description="Do it.", parameters=SCHEMA, tags=("t",))


class _Echo:
    def runs(self, tool: Tool) -> bool:
        return True

    def call(self, tool: Tool, arguments: JsonObject) -> Outcome:
        return Outcome("echo", dict(arguments))

    async def acall(self, tool: Tool, arguments: JsonObject) -> Outcome:
        return self.call(tool, arguments)


async def test_arguments_may_have_the_names_that_langchain_uses_itself() -> None:
    (tool,) = langchain_tools([TOOL], Toolbox([TOOL], _Echo()))
    arguments = {name: name.upper() for name in SCHEMA["properties"]}
    asked = {"type": "tool_call", "id": "c", "name": tool.name, "args": arguments}
    for message in (tool.invoke(asked), await tool.ainvoke(asked)):
        assert message.artifact.value == arguments
    assert tool.invoke(arguments) == "echo"


def test_what_a_model_is_shown() -> None:
    (tool,) = langchain_tools([TOOL], Toolbox([TOOL], _Echo()))
    assert convert_to_openai_tool(tool)["function"] == {
        "name": "a__b",
        "description": "Do it.",
        "parameters": SCHEMA,
    }
    assert (tool.tags, tool.metadata) == (["t"], {"tool_id": "a.b"})


def test_a_tool_without_a_schema_or_a_description() -> None:
    bare = Tool("x", "x")
    (tool,) = langchain_tools([bare], Toolbox([bare], _Echo()))
    assert convert_to_openai_tool(tool)["function"]["parameters"] == {
        "type": "object",
        "properties": {},
    }
    assert tool.invoke({}) == "echo"
