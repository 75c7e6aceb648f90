"""The features that tools have by their own texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from toolret.ranking.arrays import Floats, Ints, products, top, union
from toolret.ranking.comparisons import Comparisons, Layout

__all__ = ["TEXT_FEATURES", "TextEvidence"]

TEXT_FEATURES = (
    "dense",
    "dense_clause",
    "dense_gap",
    "dense_clause_gap",
    "dense_clause_own_gap",
    "dense_clause_own_first",
    "dense_aligned",
    "dense_aligned_clause",
    "dense_aligned_gap",
    "lexical_trusted",
    "lexical_clause_squared",
    "lexical_clause_cosine",
    "lexical_log",
    "lexical_clause_own_first",
    "lexical_clause_own_trusted",
    "name",
    "name_whole",
    "namespace_name",
    "neighbours",
)
"""Names of the features, in the order of their columns."""

_BEST = 20
"""The number of tools that fit the request best by their texts. The share of these that have
demonstrations tells how much demonstrations have to say about the request."""

_FUSION_OFFSET = 11
"""Offset of the ranks that are added up to choose these: small, so that the first few places differ
(Cormack et al. use 60, which serves to merge long lists)."""

_RANKED = 60
"""The number of tools that have a rank: beyond it, how far behind a tool is does not matter."""

_RANK_OFFSET = 1
"""Offset of the ranks that are features: to be the very first for a clause is worth far more than
to be among the first, which the other features say."""

_NEIGHBOURS = 3
"""The number of tools nearest to the request whose mean ``neighbours`` compares a tool with."""

_TINY = 1e-6
"""The least divisor, in the place of 0."""

_WHOLE = 1 - 1e-6
"""The least sum of the shares of all words of a name, which is 1 but for rounding."""


class TextEvidence:
    """Tools' texts as evidence; a row stands for a tool that may be found.

    Args:
        layout: The vectors and uses of the index.
        comparisons: The comparisons of the request with the index.
        tools: Positions of the tools that may be found, one per row, ascending; at least one.
    """

    def __init__(self, layout: Layout, comparisons: Comparisons, tools: Ints) -> None:
        self._layout = layout
        self._comparisons = comparisons
        self._tools = tools
        all_tools = len(tools) == len(layout.tool_vectors)

        def tool_values(values: Floats) -> Floats:
            return values.T if all_tools else np.take(values.T, tools, axis=1)

        # Shape (queries, tools) from here on: the values of one query lie together. Of the first
        # two some are made exact later, which must not change the comparisons.
        self._dense = tool_values(comparisons.dense)
        self._aligned = tool_values(comparisons.aligned)
        if all_tools:
            self._dense, self._aligned = self._dense.copy(), self._aligned.copy()
        self._lexical = tool_values(comparisons.lexical)
        self._cosine = tool_values(comparisons.lexical_cosine)
        # The first rows of each query, best first.
        self._by_meaning = _first(self._dense)
        self._by_aligned_meaning = _first(self._aligned)
        self._by_words = _first(self._lexical)
        best = self._lexical.max(axis=1, keepdims=True)
        self._relative_to = np.maximum(best, _TINY)
        # Being the first says little where even the first has next to none of the words.
        self._trust = best / np.maximum(comparisons.lexical_most, _TINY)[:, None]

    def put_forward(self, depth: int) -> Iterator[Ints]:
        """Yield the first rows by each kind of evidence, ``depth`` at most, which is 60 or less."""
        for values, scale, firsts in (
            (self._dense, 1, self._by_meaning),
            (self._aligned, 1, self._by_aligned_meaning),
            (self._lexical, self._relative_to, self._by_words),
        ):
            yield firsts[0][:depth]
            # A row that is among the first by its best query is among the first for that query.
            pool = union(firsts, len(self._tools))
            yield pool[top((values[:, pool] / scale).max(axis=0), depth)]
        yield top(self._cosine.max(axis=0), depth)
        yield np.flatnonzero(self._comparisons.names[self._tools] >= _WHOLE)

    def best(self) -> Ints:
        """Return the rows that fit the request best by meaning and words, best first."""
        both = [(self._dense[0], self._by_meaning[0]), (self._lexical[0], self._by_words[0])]
        firsts = [_above_least(*of_kind) for of_kind in both]
        # Where these are too few, it does not matter which others are added.
        pool = union([*firsts, np.arange(min(_BEST, len(self._tools)))], len(self._tools))
        ranks = _reciprocal_ranks(firsts, rows=pool, count=len(self._tools), offset=_FUSION_OFFSET)
        return pool[top(ranks.sum(axis=0), _BEST)]

    def features(self, rows: Ints) -> Floats:
        """Return the features of some rows: shape ``(rows, len(TEXT_FEATURES))``.

        Where the cosines are approximate, those of these rows are made exact first, so what
        ``best`` returns may be more exact afterwards.
        """
        if self._comparisons.query_vectors is not None:
            self._make_exact(self._comparisons.query_vectors, rows)
        dense, aligned = self._dense[:, rows], self._aligned[:, rows]
        relative = self._lexical[:, rows] / self._relative_to
        tools = self._tools[rows]
        best = self._dense.max(axis=1, keepdims=True)
        nearest = self._tools[self._by_meaning[0][:_NEIGHBOURS]]
        neighbourhood = self._layout.tool_vectors[nearest].mean(axis=0)
        names = self._comparisons.names[tools]
        ranks = partial(_reciprocal_ranks, rows=rows, count=len(self._tools), offset=_RANK_OFFSET)
        by_meaning = ranks(list(map(_above_least, self._dense, self._by_meaning)))
        by_words = ranks(list(map(_above_least, self._lexical, self._by_words)))
        return np.stack(
            [
                dense[0],
                dense.max(axis=0),
                dense[0] - best[0],
                dense.max(axis=0) - best.max(),
                (dense - best).max(axis=0),
                by_meaning.max(axis=0),
                aligned[0],
                aligned.max(axis=0),
                aligned[0] - self._aligned[0].max(),
                relative[0] ** 2 * self._trust[0],
                relative.max(axis=0) ** 2,
                self._cosine[:, rows].max(axis=0),
                np.log1p(self._lexical[0, rows]),
                by_words.max(axis=0),
                (by_words * self._trust).max(axis=0),
                names,
                names >= _WHOLE,
                self._comparisons.namespace_names[tools],
                products(neighbourhood[None], self._layout.tool_vectors[tools])[0],
            ],
            axis=1,
        ).astype(np.float32)

    def _make_exact(self, query_vectors: Floats, rows: Ints) -> None:
        """Make exact, in place, the cosines of some rows and of all that may rank before them."""
        changed = union([rows, *self._by_meaning], len(self._tools))
        exact = products(query_vectors, self._layout.tool_vectors[self._tools[changed]])
        self._dense[:, changed] = exact[: len(self._dense)]
        self._aligned[:, changed] = exact[-len(self._aligned) :]
        for first, values in zip(self._by_meaning, self._dense, strict=True):
            first.sort()
            first[:] = first[np.argsort(-values[first], kind="stable")]


def _first(values: Floats) -> list[Ints]:
    """Return the first rows for each query, best first."""
    return [top(query_values, _RANKED) for query_values in values]


def _above_least(values: Floats, first: Ints) -> Ints:
    """Return some rows without those whose value is the least of all."""
    above: Ints = first[values[first] > values.min()]
    return above


def _reciprocal_ranks(firsts: Sequence[Ints], *, rows: Ints, count: int, offset: int) -> Floats:
    """Return ``1 / (offset + rank)`` of rows for each query (Cormack et al., 2009).

    Args:
        firsts: The first rows of each query, best first; all others have 0.
        rows: The rows to rank.
        count: The number of all rows.
        offset: The number that is added to ranks, which count from 0.

    Returns:
        Shape ``(queries, rows)``.
    """
    reciprocals = np.zeros((len(firsts), count), dtype=np.float32)
    by_rank = 1 / np.arange(offset, offset + max(map(len, firsts)), dtype=np.float32)
    for query_reciprocals, first in zip(reciprocals, firsts, strict=True):
        query_reciprocals[first] = by_rank[: len(first)]
    return reciprocals[:, rows]
