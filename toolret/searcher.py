"""A request against an index: everything that the ranking needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from toolret.clauses import split_clauses
from toolret.embedders import RoleEmbedder, Vectors
from toolret.fitting import Example, leave_one_out
from toolret.index import Snapshot
from toolret.lexical import NameIndex
from toolret.ranking import Comparisons, Layout

__all__ = ["Searcher"]


class Searcher:
    """Compares requests with one snapshot of an index.

    Args:
        snapshot: The index at one moment.
        embedder: The one that the index was built with.
    """

    def __init__(self, snapshot: Snapshot, embedder: RoleEmbedder) -> None:
        self.snapshot = snapshot
        self._embedder = embedder
        tools, demos = snapshot.tools, snapshot.demos
        namespaces = np.unique([tool.namespace for tool in tools.items], return_inverse=True)[1]
        # A tool that was removed after it was demonstrated is no evidence.
        uses = [
            (demo, tools.positions[tool])
            for demo, item in enumerate(demos.items)
            for tool in item.tools
            if tool in tools.positions
        ]
        self.layout = Layout(
            tool_vectors=tools.vectors,
            namespaces=namespaces.astype(np.intp),
            demo_of=np.array([demo for demo, _ in uses], dtype=np.intp),
            tool_of=np.array([tool for _, tool in uses], dtype=np.intp),
        )
        self._names = NameIndex([tool.name for tool in tools.items], tools.texts)

    def compare(self, queries: Sequence[str]) -> Comparisons:
        """Compare a request, given as queries of which the first is the whole, with the index."""
        return self._compare(queries, *self._embed(queries))

    def examples(self, positions: Sequence[int]) -> list[Example]:
        """Demonstrations asked as requests, each with itself left out."""
        texts = [self.snapshot.demos.items[position].text for position in positions]
        queries = [[text, *split_clauses(text)] for text in texts]
        as_tools, as_demos = self._embed([query for some in queries for query in some])
        bounds = pairwise(accumulate((len(some) for some in queries), initial=0))
        return [
            leave_one_out(
                self.layout,
                self._compare(some, as_tools[start:end], as_demos[start:end]),
                position,
            )
            for position, some, (start, end) in zip(positions, queries, bounds, strict=True)
        ]

    def _embed(self, queries: Sequence[str]) -> tuple[Vectors, Vectors]:
        """The queries' vectors in search of tools, and in search of demonstrations."""
        instructions = self._embedder.instructions
        as_tools = self._embedder.embed(queries, "tool_request")
        if instructions.tool_request == instructions.demo_request:
            return as_tools, as_tools
        return as_tools, self._embedder.embed(queries, "demo_request")

    def _compare(self, queries: Sequence[str], as_tools: Vectors, as_demos: Vectors) -> Comparisons:
        tools, demos = self.snapshot.tools, self.snapshot.demos
        return Comparisons(
            dense=tools.vectors @ as_tools.T if tools.items else _nothing(queries),
            lexical=np.stack([tools.lexical.scores(query) for query in queries], axis=1),
            names=self._names.shares(queries[0]),
            demo_dense=demos.vectors @ as_demos.T if demos.items else _nothing(queries),
            demo_lexical=demos.lexical.scores(queries[0]),
        )


def _nothing(queries: Sequence[str]) -> Vectors:
    return np.empty((0, len(queries)), dtype=np.float32)
