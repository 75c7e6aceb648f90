"""A request against an index: everything that the ranking needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np

from toolret.clauses import split_clauses
from toolret.discriminant import Discriminant, discriminants, fit_discriminant
from toolret.discriminant import without as members_without
from toolret.embedders import RoleEmbedder, Vectors
from toolret.fitting import Example, leave_out
from toolret.index import Snapshot
from toolret.lexical import NameIndex
from toolret.ranking import Comparisons, Layout, gather
from toolret.ridge import Ridge, fit_ridge, ridge_weights, without
from toolret.signals import Floats, Ints

__all__ = ["Searcher"]

_NEAR_COPY = 0.985
"""Cosine from which another demonstration is a copy, and would give the answer away."""


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
        set_of_demo = [
            tuple(sorted(tools.positions[tool] for tool in item.tools if tool in tools.positions))
            for item in demos.items
        ]
        sets = {some: i for i, some in enumerate(dict.fromkeys(set_of_demo))}
        self.layout = Layout(
            tool_vectors=tools.vectors,
            namespaces=namespaces.astype(np.intp),
            demo_of=np.array([demo for demo, _ in uses], dtype=np.intp),
            tool_of=np.array([tool for _, tool in uses], dtype=np.intp),
            set_of=np.array([i for i, some in enumerate(sets) for _ in some], dtype=np.intp),
            tool_of_set=np.array([tool for some in sets for tool in some], dtype=np.intp),
        )
        self._set_of_demo = np.array([sets[some] for some in set_of_demo], dtype=np.intp)
        self._names = NameIndex([tool.name for tool in tools.items], tools.texts)
        self._namespaces = NameIndex([tool.namespace for tool in tools.items], tools.texts)

    @cached_property
    def _ridge(self) -> Ridge:
        return fit_ridge(self.snapshot.demos.vectors)

    @cached_property
    def _sets(self) -> Discriminant:
        demos = np.arange(len(self._set_of_demo))
        sets = int(self._set_of_demo.max()) + 1
        vectors = self.snapshot.demos.vectors
        return fit_discriminant(vectors, demos, self._set_of_demo, sets, covariance="within")

    @cached_property
    def _groups(self) -> Discriminant:
        layout, vectors = self.layout, self.snapshot.demos.vectors
        tools = len(layout.tool_vectors)
        return fit_discriminant(vectors, layout.demo_of, layout.tool_of, tools, covariance="all")

    @cached_property
    def _to_tools(self) -> Vectors:
        """From each demonstration to the mean of its tools: shape ``(demos, dimensions)``."""
        demos, layout = self.snapshot.demos.vectors, self.layout
        sums = np.zeros_like(demos)
        np.add.at(sums, layout.demo_of, layout.tool_vectors[layout.tool_of])
        uses = np.bincount(layout.demo_of, minlength=len(demos))[:, None]
        return np.where(uses > 0, sums / np.maximum(uses, 1) - demos, 0).astype(np.float32)

    @cached_property
    def _shift(self) -> Vectors:
        """From a request to the tools that it needs, as a linear map: ``(dimensions,) * 2``."""
        return np.asarray(self._ridge.solved.T @ self._to_tools, dtype=np.float32)

    @cached_property
    def _uses(self) -> tuple[Ints, Vectors]:
        """The demonstrated tools, and for each the map from a request to its ridge regression."""
        layout, solved = self.layout, self._ridge.solved
        used, row = np.unique(layout.tool_of, return_inverse=True)
        maps = np.zeros((len(used), solved.shape[1]), dtype=np.float32)
        np.add.at(maps, row, solved[layout.demo_of])
        return used, maps

    def compare(self, queries: Sequence[str], vectors: tuple[Vectors, Vectors]) -> Comparisons:
        """Compare a request with the index.

        Args:
            queries: Of which the first is the whole request.
            vectors: What ``embed`` gave for them.
        """
        return self._compare(queries, *vectors)

    def examples(self, groups: Sequence[Sequence[int]]) -> list[Example]:
        """Demonstrations asked as requests, each group as one, with themselves left out.

        Args:
            groups: Positions of demonstrations: one, or several for a request of several needs.
        """
        demos = self.snapshot.demos
        texts = [" ".join(demos.items[position].text for position in group) for group in groups]
        queries = [[text, *split_clauses(text)] for text in texts]
        as_tools, as_demos = self.embed([query for some in queries for query in some])
        bounds = pairwise(accumulate((len(some) for some in queries), initial=0))
        examples = []
        for group, some, (start, end) in zip(groups, queries, bounds, strict=True):
            asked = np.array(group, dtype=np.intp)
            likeness = (demos.vectors @ demos.vectors[asked].T).max(axis=1)
            likeness[asked] = 1
            left_out = np.flatnonzero(likeness >= _NEAR_COPY)
            compared = self._compare(some, as_tools[start:end], as_demos[start:end], left_out)
            examples.append(leave_out(self.layout, compared, asked, left_out))
        return examples

    def descriptions(self, positions: Sequence[int]) -> list[Floats]:
        """Features of the requests that these tools' descriptions would be."""
        tools = [self.snapshot.tools.items[position] for position in positions]
        texts = [tool.description or tool.name for tool in tools]
        as_tools, as_demos = self.embed(texts)
        found = []
        for row, text in enumerate(texts):
            one = slice(row, row + 1)
            compared = self._compare([text], as_tools[one], as_demos[one])
            found.append(gather(self.layout, compared).features)
        return found

    def embed(self, queries: Sequence[str]) -> tuple[Vectors, Vectors]:
        """The queries' vectors in search of tools, and in search of demonstrations."""
        instructions = self._embedder.instructions
        as_tools = self._embedder.embed(queries, "tool_request")
        if instructions.tool_request == instructions.demo_request:
            return as_tools, as_tools
        return as_tools, self._embedder.embed(queries, "demo_request")

    def _compare(
        self,
        queries: Sequence[str],
        as_tools: Vectors,
        as_demos: Vectors,
        left_out: Ints | None = None,
    ) -> Comparisons:
        tools, demos = self.snapshot.tools, self.snapshot.demos
        aligned = as_tools
        in_sets = in_groups = np.empty(0, dtype=np.float32)
        ridge = np.zeros((len(tools.items), len(queries)), dtype=np.float32)
        if len(self.layout.demo_of):  # else no demonstration uses a tool that is there
            sets, groups = self._sets, self._groups
            if left_out is None:
                used, maps = self._uses
                ridge[used] = maps @ as_demos.T
                aligned = _unit(as_tools + as_demos @ self._shift)
            else:
                sets, groups = members_without(sets, left_out), members_without(groups, left_out)
                weights = without(self._ridge, ridge_weights(self._ridge, as_demos), left_out)
                np.add.at(ridge, self.layout.tool_of, weights[self.layout.demo_of])
                aligned = _unit(as_tools + weights.T @ self._to_tools)
            in_sets, in_groups = (discriminants(each, as_demos[0]) for each in (sets, groups))
        return Comparisons(
            dense=tools.vectors @ as_tools.T if tools.items else _nothing(queries),
            aligned=tools.vectors @ aligned.T if tools.items else _nothing(queries),
            lexical=np.stack([tools.lexical.scores(query) for query in queries], axis=1),
            names=self._names.shares(queries[0]),
            namespace_names=self._namespaces.shares(queries[0]),
            demo_dense=demos.vectors @ as_demos.T if demos.items else _nothing(queries),
            demo_ridge=ridge,
            demo_sets=in_sets,
            demo_groups=in_groups,
            demo_lexical=demos.lexical.scores(queries[0]),
        )


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-6), dtype=np.float32)


def _nothing(queries: Sequence[str]) -> Vectors:
    return np.empty((0, len(queries)), dtype=np.float32)
