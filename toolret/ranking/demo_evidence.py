"""The features that demonstrations give the tools that they use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolret.ranking.arrays import Bools, Floats, Grouping, Ints, softmax_shares, top
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
"""Names of the features, in the order of their columns, which follow those of ``TEXT_FEATURES``."""

_FLOOR = 1e-3
"""The share that is added before a logarithm is taken: below it, differences mean nothing."""


class DemoEvidence:
    """Demonstrations as evidence for the tools that they use.

    Args:
        layout: The vectors and uses of the index.
        comparisons: The comparisons of the request with the index.
        heard: Whether each demonstration counts, shape ``(demos,)``. One that does not is treated
            as if it were not indexed; at least one that does uses a tool.
    """

    def __init__(self, layout: Layout, comparisons: Comparisons, heard: Bools) -> None:
        uses, dense, lexical = layout.uses, comparisons.demo_dense.T, comparisons.demo_lexical
        kriged = comparisons.demo_kriged.T
        if not heard.all():
            in_use = heard[layout.demo_of]
            uses = Grouping(
                layout.demo_of[in_use], layout.tool_of[in_use], len(layout.tool_vectors)
            )
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
        # In float64, since most shares are tiny, and their order decides which are put forward.
        set_shares = layout.sets.sums(softmax_shares(comparisons.demo_sets).astype(np.float64))
        self._set_shares = layout.sets.spread(set_shares)[self._tools]

    def put_forward(self, depth: int, allowed: Bools | None) -> Iterator[Ints]:
        """Yield the positions of the first tools by each kind of evidence, among those allowed.

        Args:
            depth: The number of tools of each kind, at most.
            allowed: Whether each tool may be found, shape ``(tools,)``; None if all may be.
        """
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

    def features(self, tools: Ints, best_by_text: Ints) -> Floats:
        """Return one row of features per tool: shape ``(tools, len(DEMO_FEATURES))``.

        A tool that no heard demonstration uses has 0 in all columns.

        Args:
            tools: Positions of the tools.
            best_by_text: Positions of the tools that fit the request best by their texts.
        """
        features = np.zeros((len(tools), len(DEMO_FEATURES)), dtype=np.float32)
        used = self._used[tools]
        if not used.any():
            return features
        columns = np.searchsorted(self._tools, tools[used])
        features[used] = np.stack(
            [
                self._nearest[columns],
                self._lexical_nearest[columns],
                self._kriged[0, columns],
                _logarithm(self._kriged[0, columns].clip(min=0)),
                self._kriged[:, columns].max(axis=0),
                _logarithm(self._set_shares[columns]),
                np.log1p(self._counts[columns]),
                np.ones(len(columns)),
                np.full(len(columns), self._best),
                np.full(len(columns), self._used[best_by_text].mean()),
            ],
            axis=1,
        )
        return features


def _logarithm(values: NDArray[Any]) -> Floats:
    """Return the logarithms of shares, of which small ones differ little."""
    return np.asarray(np.log(values + _FLOOR), dtype=np.float32)
