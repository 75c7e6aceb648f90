"""What the tools' own texts say of a request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from toolret.forking import cached_property
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
"""What the tool's own text says: columns of the features, in this order."""

_ABOUT = 20
"""Of the tools that the request is about by their texts, whose share with demonstrations says how
much demonstrations have to say of the request."""

_RANKED = 60
"""From which rank on it does not matter how far behind a tool is."""

_NEIGHBOURS = 3
"""Of the tools most like the request, whose mean the ``neighbours`` feature compares with."""

_FUSING = 11
"""Offset of the ranks that are added up for that: small, so that the first few places differ
(Cormack et al. use 60, which serves to merge long lists)."""

_FIRST = 1
"""Offset of the ranks that are features: to be the very first for a clause is worth far more than
to be among the first, which the other features say."""

_TINY = 1e-6

_WHOLE = 1 - _TINY
"""What the shares of all words of a name come to, but for rounding."""


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
            """A copy, for some values are made exact later, and to copy all is the fastest."""
            return values.T.copy() if every else np.take(values.T, tools, axis=1)

        # Shape (queries, tools) from here on: the values of one query lie together.
        self._dense = of_tools(comparisons.dense)
        self._aligned = of_tools(comparisons.aligned)
        self._lexical = of_tools(comparisons.lexical)
        self._cosine = of_tools(comparisons.lexical_cosine)
        best = self._lexical.max(axis=1, keepdims=True)
        self._relative = self._lexical / np.maximum(best, _TINY)
        # To be the first says little where even the first has next to none of the words.
        self._trust = best / np.maximum(comparisons.lexical_most, _TINY)[:, None]

    @cached_property
    def _nearest(self) -> list[Ints]:
        """For each query the first tools by meaning."""
        return [_first(values) for values in self._dense]

    @cached_property
    def _saying(self) -> list[Ints]:
        """For each query the first tools by words."""
        return [_first(values) for values in self._lexical]

    def put_forward(self, depth: int) -> Iterator[Ints]:
        """The first tools of each signal, as rows."""
        yield top(self._dense[0], depth)
        yield top(self._dense.max(axis=0), depth)
        yield top(self._aligned[0], depth)
        yield top(self._aligned.max(axis=0), depth)
        yield top(self._relative[0], depth)
        yield top(self._relative.max(axis=0), depth)
        yield top(self._cosine.max(axis=0), depth)
        yield np.flatnonzero(self._comparisons.names[self._tools] >= _WHOLE)

    def about(self) -> Ints:
        """The tools that the request is about as far as their texts tell, as rows."""
        both = [self._nearest[0], self._saying[0]]
        every = np.arange(len(self._tools))
        return top(_reciprocal_ranks(both, every, offset=_FUSING).sum(axis=0), _ABOUT)

    def features(self, rows: Ints) -> Floats:
        """Shape ``(rows, len(TEXT_FEATURES))``."""
        if self._comparisons.asked is not None:
            self._make_exact(self._comparisons.asked, rows)
        dense, aligned = self._dense[:, rows], self._aligned[:, rows]
        relative = self._relative[:, rows]
        tools = self._tools[rows]
        best = self._dense.max(axis=1, keepdims=True)
        nearest = self._tools[top(self._dense[0], _NEIGHBOURS)]
        neighbourhood = self._layout.tool_vectors[nearest].mean(axis=0)
        names = self._comparisons.names[tools]
        by_meaning = _reciprocal_ranks(self._nearest, rows, offset=_FIRST)
        by_words = _reciprocal_ranks(self._saying, rows, offset=_FIRST)
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

    def _make_exact(self, asked: Floats, rows: Ints) -> None:
        """Make exact, in place, the cosines of some rows and of all that may rank before them."""
        some = union([rows, *self._nearest], len(self._tools))
        exact = products(asked, self._layout.tool_vectors[self._tools[some]])
        self._dense[:, some] = exact[: len(self._dense)]
        self._aligned[:, some] = exact[-len(self._aligned) :]
        for first, values in zip(self._nearest, self._dense, strict=True):
            first.sort()
            first[:] = first[np.argsort(-values[first], kind="stable")]


def _first(values: Floats) -> Ints:
    """The first of one query; those that are as bad as any are none."""
    first = top(values, _RANKED)
    found: Ints = first[values[first] > values.min()]
    return found


def _reciprocal_ranks(firsts: Sequence[Ints], rows: Ints, *, offset: int) -> Floats:
    """``1 / (offset + rank)`` for each query (Cormack et al., 2009): shape ``(queries, rows)``.

    Args:
        firsts: For each query the first rows; all others have 0.
        rows: Ascending.
        offset: Added to ranks, which are from 0 on.
    """
    found = np.zeros((len(firsts), len(rows)), dtype=np.float32)
    for of_query, first in zip(found, firsts, strict=True):
        places = np.searchsorted(rows, first)
        there = rows[np.minimum(places, len(rows) - 1)] == first
        of_query[places[there]] = 1 / (offset + np.flatnonzero(there))
    return found
