"""The seam of langgraph-bigtool, as its 0.0.3 uses it: a tool made of both functions, ids back."""

from __future__ import annotations

import pytest
from langchain_core.tools import StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_function

from toolret import ToolRetriever
from toolret.errors import EmbedderError, InputError
from toolret.integrations.langchain import retrieve_tools_coroutine, retrieve_tools_function


async def test_the_two_functions_are_one_tool(few: ToolRetriever) -> None:
    tool = StructuredTool.from_function(
        func=retrieve_tools_function(few, limit=1),
        coroutine=retrieve_tools_coroutine(few, limit=1),
    )
    assert convert_to_openai_function(tool) == {
        "name": "retrieve_tools",
        "description": "Retrieve tools to use, given what you want to do in one sentence.",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string"}},
            "required": ["query"],
        },
    }
    for ids in (tool.invoke({"query": "track it"}), await tool.ainvoke({"query": "track it"})):
        assert len(ids) == 1
        assert ids[0].startswith("track")


async def test_a_search_for_nothing_or_that_fails_finds_nothing(
    few: ToolRetriever, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise EmbedderError("it is down")

    search = retrieve_tools_function(few)
    assert search(" ") == []
    assert await retrieve_tools_coroutine(few)("") == []
    assert caplog.text == ""
    monkeypatch.setattr(few, "search", fail)
    assert search("track it") == []
    assert "a search failed, so it found no tool: EmbedderError: it is down" in caplog.text
    with pytest.raises(InputError, match="allow is the text"):
        retrieve_tools_function(few, allow="cancel")


async def test_permissions(few: ToolRetriever) -> None:
    ids = retrieve_tools_function(few, allow=["cancel"])("track the parcel")
    assert {id_.partition("_")[0] for id_ in ids} == {"cancel"}
    assert await retrieve_tools_coroutine(few, allow=["cancel"])("track the parcel") == ids
