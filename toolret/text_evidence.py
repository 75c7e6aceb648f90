"""What the tools' own texts say of a request."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from toolret.comparisons import Comparisons, Layout
from toolret.signals import Floats, Ints, Order, best_of_group, products, top

__all__ = ["TEXT_FEATURES", "TextEvidence"]

TEXT_FEATURES = (
    "dense",
    "dense_clause",
    "dense_gap",
    "dense_clause_gap",
    "dense_rank",
    "dense_clause_rank",
    "dense_clause_own_gap",
    "dense_clause_own_rank",
    "dense_aligned",
    "dense_aligned_clause",
    "dense_aligned_gap",
    "lexical",
    "lexical_clause",
    "lexical_log",
    "lexical_clause_log",
    "lexical_rank",
    "lexical_clause_rank",
    "lexical_clause_own_rank",
    "name",
    "namespace_name",
    "namespace_dense",
    "namespace_lexical",
    "neighbours",
)
"""What the tool's own text says: columns of the features, in this order."""

_ABOUT = 20
"""Of the tools that the request is about by their texts, whose share with demonstrations says how
much demonstrations have to say of the request."""

_ABOUT_FIRST = 60
"""Who is not among so many of the nearest tools, nor of those that share most words, is not among
the first 20 by both: two reciprocal ranks of 1/71 are less than the 1/30 that each of the 20
nearest has from one of them alone."""

_NEIGHBOURS = 3
"""Of the tools most like the request, whose mean the ``neighbours`` feature compares with."""

_TINY = 1e-6


class TextEvidence:
    """The features of the tools' texts, as columns over all tools or for a few of them.

    Args:
        layout: What is indexed.
        comparisons: The request against it.
        tools: Positions of the tools that may be found, ascending; at least one.
    """

    def __init__(self, layout: Layout, comparisons: Comparisons, tools: Ints) -> None:
        self._layout = layout
        self._comparisons = comparisons
        self._tools = tools
        every = len(tools) == len(layout.tool_vectors)

        def of_tools(values: Floats) -> Floats:
            return values.T if every else np.take(values.T, tools, axis=1)

        # Shape (queries, tools) from here on: what is one query's lies together.
        self._dense = of_tools(comparisons.dense)
        self._aligned = of_tools(comparisons.aligned)
        self._lexical = of_tools(comparisons.lexical)
        self._relative = self._lexical / np.maximum(self._lexical.max(axis=1, keepdims=True), _TINY)

    @cached_property
    def _whole(self) -> Order:
        return Order(self._dense[0])

    @cached_property
    def _clause(self) -> Order:
        return self._whole if len(self._dense) == 1 else Order(self._dense.max(axis=0))

    @cached_property
    def _words(self) -> Order:
        return Order(self._lexical[0])

    def put_forward(self, depth: int) -> Iterator[Ints]:
        """The first tools of each signal, as rows."""
        yield top(self._whole.values, depth)
        yield top(self._clause.values, depth)
        yield top(self._aligned[0], depth)
        yield top(self._aligned.max(axis=0), depth)
        yield top(self._relative[0], depth)
        yield top(self._relative.max(axis=0), depth)
        yield np.flatnonzero(self._comparisons.names[self._tools] >= 1)

    def about(self) -> Ints:
        """The tools that the request is about as far as their texts tell, as rows."""
        orders = (self._whole, self._words)
        first = np.union1d(*(top(order.values, _ABOUT_FIRST) for order in orders))
        both = self._whole.reciprocal_ranks(first) + self._words.reciprocal_ranks(first)
        return first[top(both, _ABOUT)]

    def features(self, rows: Ints) -> Floats:
        """Shape ``(rows, len(TEXT_FEATURES))``."""
        dense, aligned = self._dense[:, rows], self._aligned[:, rows]
        lexical, relative = self._lexical[:, rows], self._relative[:, rows]
        tools = self._tools[rows]
        every_whole, every_clause = self._whole.values, self._clause.values
        namespaces = self._layout.namespaces[self._tools]
        nearest = self._tools[top(self._whole.values, _NEIGHBOURS)]
        neighbourhood = self._layout.tool_vectors[nearest].mean(axis=0)
        whole, clause = dense[0], dense.max(axis=0)
        dense_ranks = [self._whole.reciprocal_ranks(rows)]
        dense_ranks += [Order(each).reciprocal_ranks(rows) for each in self._dense[1:]]
        word_ranks = [self._words.reciprocal_ranks(rows)]
        word_ranks += [Order(each).reciprocal_ranks(rows) for each in self._lexical[1:]]
        clause_words = self._words if len(self._lexical) == 1 else Order(self._lexical.max(axis=0))
        return np.stack(
            [
                whole,
                clause,
                whole - every_whole.max(),
                clause - every_clause.max(),
                dense_ranks[0],
                self._clause.reciprocal_ranks(rows),
                (dense - self._dense.max(axis=1, keepdims=True)).max(axis=0),
                np.max(dense_ranks, axis=0),
                aligned[0],
                aligned.max(axis=0),
                aligned[0] - self._aligned[0].max(),
                relative[0],
                relative.max(axis=0),
                np.log1p(lexical[0]),
                np.log1p(lexical.max(axis=0)),
                word_ranks[0],
                clause_words.reciprocal_ranks(rows),
                np.max(word_ranks, axis=0),
                self._comparisons.names[tools],
                self._comparisons.namespace_names[tools],
                best_of_group(every_whole, namespaces)[rows],
                best_of_group(self._relative[0], namespaces)[rows],
                products(neighbourhood[None], self._layout.tool_vectors[tools])[0],
            ],
            axis=1,
        ).astype(np.float32)
