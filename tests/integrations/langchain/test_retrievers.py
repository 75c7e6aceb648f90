from __future__ import annotations

from typing import Any

import pytest

from toolret import ToolRetriever
from toolret.integrations.langchain import as_retriever


def test_documents_say_what_a_caller_needs_to_offer_the_tool(few: ToolRetriever) -> None:
    first, second = as_retriever(few).invoke("cancel the order")
    assert (first.id, first.page_content) == (
        "cancel_order",
        "cancel order. Cancel the order of a customer. id",
    )
    assert first.metadata == {
        "tool_id": "cancel_order",
        "name": "cancel_order",
        "namespace": "",
        "description": "Cancel the order of a customer.",
        "parameters": {"type": "object", "properties": {"id": {"type": "string"}}},
        "tags": [],
        "score": first.metadata["score"],
    }
    assert 1 >= first.metadata["score"] > second.metadata["score"] > 0


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_permissions_and_k_are_of_the_retriever_or_of_one_request(
    few: ToolRetriever, asynchronous: bool
) -> None:
    retriever = as_retriever(few, k=3, allow=["cancel"])

    async def ids(**options: Any) -> list[str]:
        if asynchronous:
            found = await retriever.ainvoke("cancel the order", **options)
        else:
            found = retriever.invoke("cancel the order", **options)
        return [document.metadata["tool_id"] for document in found]

    assert {id_.partition("_")[0] for id_ in await ids()} == {"cancel"}
    assert len(await ids(k=2)) == 2
    assert {id_.partition("_")[0] for id_ in await ids(allow=["track"])} == {"track"}


def test_none_where_no_tool_is_needed(few: ToolRetriever) -> None:
    assert as_retriever(few).invoke("cancel the order", allow=lambda _: False) == []


def test_none_where_nothing_is_asked(few: ToolRetriever) -> None:
    assert as_retriever(few).invoke(" ") == []
