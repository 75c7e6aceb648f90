"""An index of the shipped catalog for all tests of LangChain, and a retriever for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from tests.conftest import ROOT, demo, tool
from tests.runners import RecordingRunner
from toolret import Toolbox, ToolIndex, ToolRetriever, load_demos, load_tools
from toolret.testing import HashedWordsEmbedder


@pytest.fixture(scope="session")
def shipped_index(tmp_path_factory: pytest.TempPathFactory) -> ToolIndex:
    index = ToolIndex(tmp_path_factory.mktemp("shipped"), embedder=HashedWordsEmbedder())
    index.sync(load_tools(ROOT / "tool_catalogs"), load_demos(ROOT / "demos"))
    return index


@pytest.fixture
def shipped(shipped_index: ToolIndex) -> ToolRetriever:
    return ToolRetriever(shipped_index)


@pytest.fixture
def echo() -> RecordingRunner:
    return RecordingRunner()


@pytest.fixture
def toolbox(shipped_index: ToolIndex, echo: RecordingRunner) -> Toolbox:
    return Toolbox(shipped_index, echo)


@pytest.fixture
def saver() -> Iterator[InMemorySaver]:
    with InMemorySaver() as saver:
        yield saver


VERBS = ("cancel", "refund", "track", "list")
THINGS = ("order", "payment", "parcel", "invoice")

SOME_TOOLS = [
    tool(
        f"{verb}_{thing}",
        f"{verb.capitalize()} the {thing} of a customer.",
        parameters={"type": "object", "properties": {"id": {"type": "string"}}},
        permissions=(frozenset({verb}),),
    )
    for verb in VERBS
    for thing in THINGS
]
"""Sixteen tools; each verb is a permission."""

SOME_DEMOS = [
    demo("d1", "please cancel the order of Alice", "cancel_order"),
    demo("d2", "refund the payment of Bob", "refund_payment"),
    demo("d3", "cancel the order and refund the payment", "cancel_order", "refund_payment"),
    demo("d4", "track the parcel of Carol", "track_parcel"),
    demo("d5", "list the invoice of Dan", "list_invoice"),
]


def few_of(index: ToolIndex) -> ToolRetriever:
    """A retriever that chooses two tools for every request."""
    return ToolRetriever(index, max_tools=2, min_recall=1.0)


@pytest.fixture(scope="session")
def few_index(tmp_path_factory: pytest.TempPathFactory) -> ToolIndex:
    index = ToolIndex(tmp_path_factory.mktemp("few"), embedder=HashedWordsEmbedder())
    index.sync(SOME_TOOLS, SOME_DEMOS)
    return index


@pytest.fixture
def few(few_index: ToolIndex) -> ToolRetriever:
    return few_of(few_index)


@pytest.fixture
def few_toolbox(echo: RecordingRunner) -> Toolbox:
    return Toolbox(SOME_TOOLS, echo)
