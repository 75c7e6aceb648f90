"""What the demonstrations say of a request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolret.ranking.arrays import Bools, Floats, Grouping, Ints, shares, top
from toolret.ranking.comparisons import Comparisons, Layout

__all__ = ["DEMO_FEATURES", "DemoEvidence"]

DEMO_FEATURES = (
    "demo_clause_nearest",
    "demo_lexical_nearest",
    "demo_kriged",
    "demo_kriged_log",
    "demo_kriged_clause",
    "demo_set_share",
    "demo_count",
    "demo_any",
    "demo_any_nearest",
    "demo_covered",
)
"""What the demonstrations that use the tool say: the columns after those of the text."""

_FLOOR = 1e-3
"""Below this share, differences mean nothing."""


class DemoEvidence:
    """The features of the demonstrations, as columns over the tools that they use.

    Args:
        layout: What is indexed.
        comparisons: The request against it.
        heard: Demonstrations that count, shape ``(demos,)``, of which one at least uses a tool;
            the others are as if not indexed.
    """

    def __init__(self, layout: Layout, comparisons: Comparisons, heard: Bools) -> None:
        uses, dense, lexical = layout.uses, comparisons.demo_dense.T, comparisons.demo_lexical
        kriged = comparisons.demo_kriged.T
        if not heard.all():
            some = heard[layout.demo_of]
            uses = Grouping(layout.demo_of[some], layout.tool_of[some], len(layout.tool_vectors))
            dense = np.where(heard, dense, np.float32(-1))
            lexical = np.where(heard, lexical, np.float32(0))
            kriged = kriged[:, np.searchsorted(layout.uses.filled, uses.filled)]
        self._tools = uses.filled
        self._counts = uses.counts
        self._used = np.zeros(len(layout.tool_vectors), dtype=np.bool_)
        self._used[self._tools] = True
        self._best = float(dense[0].max())
        # Shape (..., used tools) from here on.
        self._nearest, self._lexical_nearest = uses.best(np.stack([dense.max(axis=0), lexical]))
        self._kriged = kriged
        # Twice as exact: most are next to nothing, and their order says who is put forward.
        set_shares = layout.sets.sums(shares(comparisons.demo_sets).astype(np.float64))
        self._set_shares = layout.sets.spread(set_shares)[self._tools]

    def put_forward(self, depth: int, allowed: Bools | None) -> Iterator[Ints]:
        """The first tools of each signal, of those that may be found."""
        rows = np.arange(len(self._tools))
        if allowed is not None:
            rows = np.flatnonzero(allowed[self._tools])
        for values in (
            self._nearest,
            self._kriged[0],
            self._kriged.max(axis=0),
            _logarithm(self._set_shares),
        ):
            yield self._tools[rows[top(values[rows], depth)]]

    def features(self, tools: Ints, about: Ints) -> Floats:
        """Shape ``(tools, len(DEMO_FEATURES))``; 0 for a tool that no heard demonstration uses.

        Args:
            tools: Positions.
            about: Those of the tools that the request is about as far as their texts tell.
        """
        features = np.zeros((len(tools), len(DEMO_FEATURES)), dtype=np.float32)
        used = self._used[tools]
        if not used.any():
            return features
        some = np.searchsorted(self._tools, tools[used])
        features[used] = np.stack(
            [
                self._nearest[some],
                self._lexical_nearest[some],
                self._kriged[0, some],
                _logarithm(self._kriged[0, some].clip(min=0)),
                self._kriged[:, some].max(axis=0),
                _logarithm(self._set_shares[some]),
                np.log1p(self._counts[some]),
                np.ones(len(some)),
                np.full(len(some), self._best),
                np.full(len(some), self._used[about].mean()),
            ],
            axis=1,
        )
        return features


def _logarithm(values: NDArray[Any]) -> Floats:
    return np.asarray(np.log(values + _FLOOR), dtype=np.float32)
