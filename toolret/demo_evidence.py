"""What the demonstrations say of a request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolret.comparisons import Comparisons, Layout
from toolret.signals import Bools, Floats, Ints, best_of_tool, shares, top, votes

__all__ = ["DEMO_FEATURES", "DemoEvidence"]

DEMO_FEATURES = (
    "demo_nearest",
    "demo_nearest_gap",
    "demo_votes",
    "demo_clause_nearest",
    "demo_clause_votes",
    "demo_clause_votes_best",
    "demo_lexical_nearest",
    "demo_lexical_votes",
    "demo_ridge",
    "demo_ridge_clause",
    "demo_ridge_gap",
    "demo_set_share",
    "demo_group_share",
    "demo_count",
    "demo_any",
    "demo_any_nearest",
    "demo_covered",
)
"""What the demonstrations that use the tool say: the columns after those of the text."""

_TEMPERATURE = 0.03
"""Of the votes, in cosine: a few near demonstrations decide."""

_LEXICAL_TEMPERATURE = 0.1
"""The same for BM25 as a share of the best demonstration's."""

_VOTE_FLOOR = 1e-3
"""Below this share of the votes, differences mean nothing."""

_TINY = 1e-6


class DemoEvidence:
    """The features of the demonstrations, as columns over all tools or for a few of them.

    Args:
        layout: What is indexed.
        comparisons: The request against it.
        heard: Demonstrations that count, shape ``(demos,)``, of which one at least uses a tool;
            the others are as if not indexed.
    """

    def __init__(self, layout: Layout, comparisons: Comparisons, heard: Bools) -> None:
        self._tools = len(layout.tool_vectors)
        self._layout = layout
        self._comparisons = comparisons
        uses = slice(None) if heard.all() else heard[layout.demo_of]
        self._demo_of, self._tool_of = layout.demo_of[uses], layout.tool_of[uses]
        self._count = np.bincount(self._tool_of, minlength=self._tools)
        self.used = self._count > 0
        """Which tools a heard demonstration uses, shape ``(tools,)``."""
        dense = np.where(heard, comparisons.demo_dense.T, np.float32(-1))
        self._dense = dense
        lexical = np.where(heard, comparisons.demo_lexical, np.float32(0))
        self._lexical = (lexical / max(float(lexical.max()), _TINY)).astype(np.float32)
        self._best = float(dense[0].max())
        self._nearest = self._best_of_tool(dense[0])
        self._votes = [self._votes_of(each, _TEMPERATURE) for each in dense]
        self._set_shares = np.bincount(
            layout.tool_of_set,
            weights=shares(comparisons.demo_sets)[layout.set_of],
            minlength=self._tools,
        )
        self._group_shares = shares(comparisons.demo_groups)

    def put_forward(self, depth: int, allowed: Bools | None) -> Iterator[Ints]:
        """The first tools of each signal, of those that may be found."""
        used = np.flatnonzero(self.used if allowed is None else self.used & allowed)
        for values in (
            self._nearest[used],
            _logarithm(self._votes[0][used]),
            np.max([each[used] for each in self._votes], axis=0),
            self._comparisons.demo_ridge[used, 0],
            _logarithm(self._set_shares[used]),
            _logarithm(self._group_shares[used]),
        ):
            yield used[top(values, depth)]

    def features(self, tools: Ints, about: Ints) -> Floats:
        """Shape ``(tools, len(DEMO_FEATURES))``; 0 for a tool that no heard demonstration uses.

        Args:
            tools: Positions.
            about: Those of the tools that the request is about as far as their texts tell.
        """
        features = np.zeros((len(tools), len(DEMO_FEATURES)), dtype=np.float32)
        used = self.used[tools]
        if not used.any():
            return features
        ridge = self._comparisons.demo_ridge
        some = tools[used]
        votes_of_queries = [each[some] for each in self._votes]
        nearest = self._nearest[some]
        features[used] = np.stack(
            [
                nearest,
                nearest - self._best,
                _logarithm(votes_of_queries[0]),
                self._best_of_tool(self._dense.max(axis=0))[some],
                np.mean(votes_of_queries, axis=0),
                np.max(votes_of_queries, axis=0),
                self._best_of_tool(self._lexical)[some],
                self._votes_of(self._lexical, _LEXICAL_TEMPERATURE)[some],
                ridge[some, 0],
                ridge[some].max(axis=1),
                ridge[some, 0] - ridge[self.used, 0].max(),
                _logarithm(self._set_shares[some]),
                _logarithm(self._group_shares[some]),
                np.log1p(self._count[some]),
                np.ones(len(some)),
                np.full(len(some), self._best),
                np.full(len(some), self.used[about].mean()),
            ],
            axis=1,
        )
        return features

    def _best_of_tool(self, values: Floats) -> Floats:
        return best_of_tool(values, self._demo_of, self._tool_of, self._tools)

    def _votes_of(self, values: Floats, temperature: float) -> Floats:
        return votes(values, self._demo_of, self._tool_of, self._tools, temperature=temperature)


def _logarithm(values: NDArray[Any]) -> Floats:
    return np.asarray(np.log(values + _VOTE_FLOOR), dtype=np.float32)
