from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import tool
from toolret.embedders import RoleEmbedder
from toolret.index import ToolIndex
from toolret.index.shelves import DEMOS, TOOLS, Items
from toolret.ranking.columns import columns_of
from toolret.retrieval.retriever import ToolRetriever
from toolret.testing import HashedWordsEmbedder
from toolret.text.rendering import tool_views
from toolret.types import Demo, Tool


def test_an_item_is_parsed_once_when_it_is_looked_at() -> None:
    parsed: list[str] = []

    def parse(row: str) -> Tool:
        parsed.append(row)
        return tool(row)

    items = Items[Tool](["a", "b", "c", tool("d")], parse)
    assert len(items) == 4
    assert parsed == []
    assert items[1] is items[1]
    assert items[-1] == tool("d")
    assert parsed == ["b"]
    assert items.parsed("ABCD") == {"B": tool("b"), "D": tool("d")}
    assert items[:2] == [tool("a"), tool("b")]
    assert list(items) == [tool(name) for name in "abcd"]
    assert parsed == ["b", "a", "c"]
    with pytest.raises(IndexError):
        items[4]


def test_threads_get_the_same_item() -> None:
    def parse(row: str) -> Tool:
        time.sleep(0.001)
        return tool(row)

    items = Items[Tool]([str(number) for number in range(50)], parse)
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda own: [id(item) for item in own], [items] * 8))
    assert seen == [seen[0]] * 8


def test_nothing_is_parsed_that_a_request_does_not_select(tmp_path: Path) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    tools = [replace(tool(f"tool {i}"), permissions=(frozenset({"a"}),)) for i in range(300)]
    index.sync(tools, [Demo(f"demo {i}", f"please {i}", tools=(f"tool {i}",)) for i in range(50)])
    ToolRetriever(index)  # keeps what is derived
    fresh = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    found = ToolRetriever(fresh, max_tools=5).search("tool 7", k=5, allow={"a"}, keep_all=True)
    assert found[0].tool == tools[7]
    snapshot = fresh.snapshot
    assert len(snapshot.tools.items.parsed(snapshot.tools.keys)) <= 6
    assert snapshot.demos.items.parsed(snapshot.demos.keys) == {}


def test_tools_are_found_by_any_of_their_names(tmp_path: Path) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync_tools(
        [tool("Größe", id="a.b c"), tool("listInvoices", id="x.y"), tool("x.y", id="listinvoices")]
    )
    columns = columns_of(index.snapshot)
    assert columns.tools_named(["GRÖSSE".casefold()]) == [0]
    assert columns.tools_named(["größe".casefold(), "nothing"]) == [0]
    assert sorted(columns.tools_named(["listinvoices"])) == [1, 2]
    assert sorted(columns.tools_named(["x.y"])) == [1, 2]
    assert columns.tools_named(["x__y"]) == [2]
    assert columns.tools_named([]) == []


def test_the_vector_of_a_tool_is_the_weighted_mean_of_its_views() -> None:
    embedder = RoleEmbedder(HashedWordsEmbedder())
    found = tool("cancel_order", "Stops an order before it is shipped.")
    views = tool_views(found)
    whole, does = embedder.embed(views.split("\n"), "tool")
    mean = whole + np.float32(0.35) * does
    vectors = TOOLS.embed([views, tool_views(tool("ping")), views], embedder)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[0], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(vectors[1], embedder.embed(["ping"], "tool")[0], atol=1e-6)
    assert np.array_equal(vectors[2], vectors[0])
    assert not TOOLS.embed([], embedder).size


class Deaf(HashedWordsEmbedder):
    """Has never heard of a ping."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        known = (self.embed_query(text) for text in texts)
        return [
            [0.0] * self.dimensions if text == "ping" else vector
            for text, vector in zip(texts, known, strict=True)
        ]


def test_a_tool_of_which_the_embedder_knows_nothing_is_zeros_and_spoils_no_score(
    tmp_path: Path,
) -> None:
    index = ToolIndex(tmp_path, embedder=Deaf())
    index.sync_tools([tool("ping"), tool("cancel_order", "Cancel an order."), tool("...")])
    zeros = np.logical_not(index.snapshot.tools.vectors.any(axis=1))
    assert dict(zip(index.snapshot.tools.ids, zeros.tolist(), strict=True)) == {
        "...": False,
        "cancel_order": False,
        "ping": True,
    }
    found = ToolRetriever(index).search("cancel my order", keep_all=True)
    assert np.isfinite([hit.score for hit in found]).all()
    assert found[0].tool.id == "cancel_order"


def test_empty_texts_have_zero_vectors() -> None:
    embedder = RoleEmbedder(HashedWordsEmbedder(dimensions=8))
    assert TOOLS.embed(["\n", "\n"], embedder).tolist() == [[0.0] * 8] * 2
    assert [any(row) for row in TOOLS.embed(["\n", "ping\n"], embedder)] == [False, True]


def test_a_demonstration_of_several_lines_is_one_text() -> None:
    embedder = RoleEmbedder(HashedWordsEmbedder())
    text = "my order is late\n\ncancel it"
    assert np.array_equal(DEMOS.embed([text], embedder), embedder.embed([text], "demo"))
