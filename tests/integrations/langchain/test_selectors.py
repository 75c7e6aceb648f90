from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.prompts import ChatPromptTemplate, FewShotChatMessagePromptTemplate

from tests.conftest import tool
from tests.integrations.langchain.conftest import few_of
from toolret import DemoError, ToolIndex, ToolRetriever
from toolret.integrations.langchain import as_example_selector
from toolret.testing import HashedWordsEmbedder


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_examples_are_those_for_the_request(few: ToolRetriever, asynchronous: bool) -> None:
    selector = as_example_selector(few)
    variables = {"input": "track the parcel"}
    if asynchronous:
        examples = await selector.aselect_examples(variables)
    else:
        examples = selector.select_examples(variables)
    assert examples[0] == {
        "input": "track the parcel of Carol",
        "output": "track_parcel({})",
        "calls": '[{"tool":"track_parcel","arguments":{}}]',
        "tools": "track_parcel",
        "answer": "",
    }


def test_examples_of_what_is_forbidden_are_not_shown(few: ToolRetriever) -> None:
    selector = as_example_selector(few, allow=["cancel"])
    examples = selector.select_examples({"input": "cancel the order and refund the payment"})
    assert [example["tools"] for example in examples] == ["cancel_order"]


def test_the_request_may_be_one_of_several_variables(few: ToolRetriever) -> None:
    variables = {"input": "track the parcel", "name": "cancel_order refund_payment"}
    named = as_example_selector(few, input_key="input").select_examples(variables)
    assert [example["tools"] for example in named] == ["track_parcel"]
    joined = as_example_selector(few).select_examples(variables)
    assert joined[0]["tools"] == "cancel_order, refund_payment"


def test_a_prompt_of_chat_messages(few: ToolRetriever) -> None:
    """The arguments hold braces, which templates of plain text take for variables."""
    examples = FewShotChatMessagePromptTemplate(
        example_selector=as_example_selector(few),
        example_prompt=ChatPromptTemplate([("human", "{input}"), ("ai", "{output}")]),
        input_variables=["input"],
    )
    prompt = ChatPromptTemplate([examples, ("human", "{input}")])
    messages = prompt.invoke({"input": "track the parcel"}).to_messages()
    assert [message.text for message in messages] == [
        "track the parcel of Carol",
        "track_parcel({})",
        "track the parcel",
    ]


async def test_an_empty_request_gets_no_examples(few: ToolRetriever) -> None:
    selector = as_example_selector(few)
    for variables in ({"input": ""}, {"input": " "}, {}):
        assert selector.select_examples(variables) == []
        assert await selector.aselect_examples(variables) == []


@pytest.fixture
def mine(tmp_path: Path) -> ToolRetriever:
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync_tools([tool("cancel", "Cancel.", id="shop.cancel"), tool("track", "Track.")])
    return few_of(index)


async def test_an_example_that_is_added_is_found(mine: ToolRetriever) -> None:
    selector = as_example_selector(mine)
    calls = '[{"tool": "shop__cancel", "arguments": {"id": "{7}"}}]'
    added = selector.add_example({"input": "stop it", "calls": calls, "answer": "Stopped."})
    other = await selector.aadd_example({"input": "where is it", "tools": "track, shop.cancel"})
    demos = {demo.id: demo for demo in mine.index.demos}
    assert demos[added].tools == ("shop.cancel",)
    assert demos[other].tools == ("track", "shop.cancel")
    lists: dict[str, Any] = {"tools": ["track", "shop__cancel"], "answer": None}
    assert selector.add_example({"input": "where is it"} | lists) == other
    lists = {"calls": [{"tool": "shop__cancel", "arguments": {"id": "{7}"}}], "answer": "Stopped."}
    assert selector.add_example({"input": "stop it"} | lists) == added
    example, *_ = selector.select_examples({"input": "please stop it"})
    assert example["output"] == 'shop__cancel({"id":"{7}"})\nStopped.'
    assert selector.add_example(example) == added


@pytest.mark.parametrize(
    ("example", "problem"),
    [
        ({"tools": "track"}, "`text` is missing"),
        ({"input": "x"}, "neither `calls` nor `tools`"),
        ({"input": "x", "calls": "{"}, "`calls` of an example is no JSON"),
        ({"input": "x", "calls": "[3]"}, "object"),
        ({"input": "x", "calls": '[{"tool": 3}]'}, "tool"),
        ({"input": "x", "calls": "3"}, "calls"),
        ({"input": "x", "calls": '{"a": 1, "a": 2}'}, "`calls` of an example is no JSON"),
        ({"input": "x", "calls": [3]}, "object"),
        ({"input": "x", "calls": {"tool": "track"}}, "calls"),
        ({"input": "x", "tools": [3]}, "tools"),
        ({"input": "x", "tools": 3}, "tools"),
        ({"input": 3, "tools": "track"}, "text"),
        ({"input": "x", "tools": "gone"}, "gone"),
    ],
)
def test_an_example_that_cannot_be_used(mine: ToolRetriever, example: Any, problem: str) -> None:
    with pytest.raises(DemoError, match=problem):
        as_example_selector(mine).add_example(example)
