"""The catalog, demonstrations and requests that the project ships."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.conftest import HTTP_METHODS, ROOT
from toolret.catalogs import load_tools
from toolret.evaluation import evaluate
from toolret.index import ToolIndex
from toolret.prompt import catalog_tokens
from toolret.retrieval.retriever import ToolRetriever
from toolret.rows import LabelledRequest, load_demos, load_requests
from toolret.tokens import token_counter
from toolret.types import Demo, Tool


@pytest.fixture(scope="module")
def tools() -> dict[str, Tool]:
    return {tool.id: tool for tool in load_tools(ROOT / "tool_catalogs")}


@pytest.fixture(scope="module")
def demos() -> list[Demo]:
    return load_demos(ROOT / "demos")


@pytest.fixture(scope="module")
def requests() -> list[LabelledRequest]:
    return load_requests(ROOT / "tests" / "data" / "requests.jsonl")


def test_every_operation_of_the_documents_is_a_tool(tools: dict[str, Tool]) -> None:
    documents = [
        yaml.safe_load(path.read_text("utf-8"))
        for path in sorted((ROOT / "tool_catalogs").glob("*.yaml"))
    ]
    operations = sum(
        len(item.keys() & set(HTTP_METHODS))
        for document in documents
        for item in document["paths"].values()
    )
    assert {document["openapi"] for document in documents} == {"3.1.0"}
    assert len(documents) >= 12
    assert len(tools) == operations >= 300
    assert len({tool.namespace for tool in tools.values()}) == len(documents)


def test_every_tool_is_described_permitted_and_has_a_valid_schema(tools: dict[str, Tool]) -> None:
    for tool in tools.values():
        assert len(tool.description.split()) >= 4, tool.id
        Draft202012Validator.check_schema(dict(tool.parameters or {}))
    # What anybody may ask, such as the balance of a gift card by its code, needs none.
    assert 0 < sum(not tool.permissions for tool in tools.values()) < len(tools) / 20


def test_demonstrations_call_what_there_is_with_valid_arguments(
    tools: dict[str, Tool], demos: list[Demo]
) -> None:
    assert len(demos) >= 150
    for demo in demos:
        assert demo.calls, demo.id
        for call in demo.calls:
            Draft202012Validator(dict(tools[call.tool].parameters or {})).validate(call.arguments)


def test_held_out_requests_are_held_out(
    tools: dict[str, Tool], demos: list[Demo], requests: list[LabelledRequest]
) -> None:
    assert len(requests) == 60
    assert sum(not request.tools for request in requests) == 10
    assert {tool for request in requests for tool in request.tools} <= tools.keys()
    texts = sorted([demo.text for demo in demos] + [request.text for request in requests])
    assert all(one != other for one, other in pairwise(texts))


@pytest.mark.model
def test_the_quality_gate(
    shipped_index: Path, tools: dict[str, Tool], requests: list[LabelledRequest]
) -> None:
    """Below the floors something in the retrieval broke; docs/quality.md has the figures."""
    index = ToolIndex(shipped_index)
    retriever = ToolRetriever(index)
    with_demos = evaluate(retriever, requests, keep_all=True).metrics
    index.sync_demos([])
    without = evaluate(retriever, requests, keep_all=True).metrics
    assert with_demos["COMP@10"] >= 0.68
    assert with_demos["nDCG@10"] >= 0.55
    assert with_demos["AUROC"] >= 0.72
    assert without["COMP@10"] >= 0.54
    assert without["nDCG@10"] >= 0.46
    assert without["AUROC"] >= 0.68
    selection = retriever.select(requests[0].text)
    whole = catalog_tokens(list(tools.values()), counter=token_counter())
    assert selection.tokens <= 2_000 < whole / 20
