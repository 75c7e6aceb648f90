"""From scores to evidence: small functions on arrays, none of which knows what a tool is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Bools",
    "Floats",
    "Ints",
    "Order",
    "best_of_group",
    "best_of_tool",
    "shares",
    "sums_of",
    "top",
    "votes",
]

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

_RANK_OFFSET = 11
"""Of reciprocal ranks: small, so that the first few places differ (Cormack et al. use 60, which
serves to merge long lists)."""

_VOTERS = 60
"""Demonstrations that vote; the softmax leaves those further away next to nothing."""

_SURE = 3
"""What discriminants are multiplied with before they become shares by a softmax."""

_TINY = 1e-6


class Order:
    """The order of some values, largest first and ties by position.

    Sorting values is ten times as fast as sorting their positions, and for a few positions that
    is enough to know their ranks.

    Args:
        values: Shape ``(values,)``.
    """

    def __init__(self, values: Floats) -> None:
        self.values = values
        self._ascending = np.sort(values)

    def top(self, count: int) -> Ints:
        """Positions of the largest values, best first."""
        if len(self.values) > count:
            least = self._ascending[-count]
            above = np.flatnonzero(self.values > least)
            level = np.flatnonzero(self.values == least)[: count - len(above)]
            positions = np.sort(np.concatenate([above, level]))
        else:
            positions = np.arange(len(self.values))
        order = np.argsort(-self.values[positions], kind="stable")[:count]
        return np.asarray(positions[order], dtype=np.intp)

    def reciprocal_ranks(self, positions: Ints) -> Floats:
        """``1 / (11 + rank)`` at these positions, ranks from 0 on (after Cormack et al., 2009)."""
        values = self.values[positions]
        upper = np.searchsorted(self._ascending, values, side="right")
        ties = upper - np.searchsorted(self._ascending, values, side="left")
        ranks = len(self.values) - upper
        tied = ties > 1
        for value in np.unique(values[tied]):
            level = np.flatnonzero(self.values == value)
            rows = np.flatnonzero(tied & (values == value))
            ranks[rows] += np.searchsorted(level, positions[rows])
        return np.asarray(1 / (_RANK_OFFSET + ranks.astype(np.float32)), dtype=np.float32)


def top(values: Floats, count: int) -> Ints:
    """Positions of the largest values, ties by position, best first."""
    return Order(values).top(count)


def best_of_group(values: Floats, groups: Ints) -> Floats:
    """For each value, the largest in its group; 0 if there is one group only: no evidence."""
    if len(groups) == 0 or (groups == groups[0]).all():
        return np.zeros(len(values), dtype=np.float32)
    best = np.full(int(groups.max()) + 1, -np.inf, dtype=np.float32)
    np.maximum.at(best, groups, values)
    return best[groups]


def best_of_tool(values: Floats, demo_of: Ints, tool_of: Ints, tools: int) -> Floats:
    """The largest value among each tool's demonstrations, at least 0: shape ``(tools,)``."""
    best = np.zeros(tools, dtype=np.float32)
    np.maximum.at(best, tool_of, values[demo_of].astype(np.float32))
    return best


def sums_of(rows: Floats, groups: Ints, count: int) -> Floats:
    """The sum of each group's rows: shape ``(count, dimensions)``; 0 for an empty group."""
    sums = np.zeros((count, rows.shape[1]), dtype=np.float32)
    if len(groups):
        # Adding neighbours is ten times as fast as adding each row to its place.
        order = np.argsort(groups, kind="stable")
        ordered = groups[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        sums[ordered[starts]] = np.add.reduceat(rows[order], starts, axis=0)
    return sums


def shares(discriminants: Floats) -> Floats:
    """The groups' posterior probabilities, as far as they can be trusted: shape ``(groups,)``."""
    shares = np.exp(_SURE * (discriminants - discriminants.max(initial=0)))
    return np.asarray(shares / max(float(shares.sum()), _TINY), dtype=np.float32)


def votes(
    values: Floats, demo_of: Ints, tool_of: Ints, tools: int, *, temperature: float
) -> Floats:
    """Nearest neighbours' votes for their tools, weighed by a softmax of their similarity.

    Each demonstration gives its whole weight to every tool that it uses, so a request's tools
    can all come near 1.
    """
    voters = top(values, _VOTERS)
    weight = np.zeros(len(values), dtype=np.float64)
    weight[voters] = np.exp((values[voters] - values[voters[0]]) / temperature)
    weight /= weight.sum()
    share = np.bincount(tool_of, weights=weight[demo_of], minlength=tools)
    return np.asarray(share, dtype=np.float32)
