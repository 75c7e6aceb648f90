"""From scores to evidence: small functions on arrays, none of which knows what a tool is."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Bools",
    "Floats",
    "Grouping",
    "Ints",
    "Order",
    "best_of_group",
    "best_of_tool",
    "products",
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

_GROUP = 64
"""Values of which only the largest is looked at first: a tenth of the time of sorting them all."""

_AT_ONCE = 2**18
"""Multiplications that OpenBLAS does in the thread that asks: more are shared out among threads,
which is no faster where reading memory is what takes the time, costs twice the work, and has a
request wait for a busy core."""

_MOST_ROWS = 64
"""Vectors in one such piece: more gain nothing."""

_TINY = 1e-6


class Grouping:
    """Memberships in groups, in the order of the groups, so that those of a group are neighbours.

    Adding or comparing neighbours is ten times as fast as doing so in the group's place.

    Args:
        member: For each membership, the member.
        group: For the same, the group.
        groups: How many groups there are; some may be empty.
    """

    def __init__(self, member: Ints, group: Ints, groups: int) -> None:
        order = np.argsort(group, kind="stable")
        ordered = group[order]
        self._member = member[order]
        self._starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        self._filled = ordered[self._starts]
        self._groups = groups
        self.counts: Ints = np.bincount(group, minlength=groups)

    def sums(self, values: Floats) -> Floats:
        """From each member's value to each group's sum, 0 if it is empty: ``(..., groups)``."""
        return self._reduced(np.add, values)

    def best(self, values: Floats) -> Floats:
        """The largest of each group's members' values, at least 0: ``(..., groups)``."""
        return self._reduced(np.maximum, values).clip(min=0)

    def _reduced(self, reduce: np.ufunc, values: Floats) -> Floats:
        found = np.zeros((*values.shape[:-1], self._groups), dtype=values.dtype)
        if len(self._member):
            of_members = np.take(values, self._member, axis=-1)
            found[..., self._filled] = reduce.reduceat(of_members, self._starts, axis=-1)
        return found


def products(queries: Floats, vectors: Floats) -> Floats:
    """The inner products of a few queries with many vectors: shape ``(queries, vectors)``."""
    found = np.empty((len(queries), len(vectors)), dtype=np.float32)
    if len(vectors) and len(queries):
        rows = max(1, min(_MOST_ROWS, _AT_ONCE // queries.size))
        even = len(vectors) // rows * rows
        pieces = vectors[:even].reshape(-1, rows, vectors.shape[1]).transpose(0, 2, 1)
        places = found[:, :even].reshape(len(queries), -1, rows).transpose(1, 0, 2)
        np.matmul(queries, pieces, out=places)
        np.matmul(queries, vectors[even:].T, out=found[:, even:])
    return found


class Order:
    """The ranks of some values, largest first and ties by position.

    Args:
        values: Shape ``(values,)``.
    """

    def __init__(self, values: Floats) -> None:
        self.values = values

    def reciprocal_ranks(self, positions: Ints) -> Floats:
        """``1 / (11 + rank)`` at these positions, ranks from 0 on (after Cormack et al., 2009)."""
        ranks = self._few_above
        ranks = self._ranks(positions) if ranks is None else ranks[positions]
        return np.asarray(1 / (_RANK_OFFSET + ranks.astype(np.float32)), dtype=np.float32)

    @cached_property
    def _few_above(self) -> Ints | None:
        """The ranks of all, if most values are the same lowest one, such as no word in common."""
        above = np.flatnonzero(self.values > self.values.min())
        if len(above) > len(self.values) / 2:
            return None
        ranks = np.empty(len(self.values), dtype=np.intp)
        level = np.ones(len(self.values), dtype=np.bool_)
        level[above] = False
        ranks[level] = np.arange(len(above), len(self.values))
        ranks[above[np.argsort(-self.values[above], kind="stable")]] = np.arange(len(above))
        return ranks

    @cached_property
    def _ascending(self) -> Floats:
        return np.sort(self.values)

    def _ranks(self, positions: Ints) -> Ints:
        # Values are sorted ten times as fast as their positions, and ties are rare here.
        values = self.values[positions]
        upper = np.searchsorted(self._ascending, values, side="right")
        tied = upper - np.searchsorted(self._ascending, values, side="left") > 1
        ranks = len(self.values) - upper
        for value in np.unique(values[tied]):
            level = np.flatnonzero(self.values == value)
            rows = np.flatnonzero(tied & (values == value))
            ranks[rows] += np.searchsorted(level, positions[rows])
        return ranks


def top(values: Floats, count: int) -> Ints:
    """Positions of the largest values, ties by position, best first."""
    if len(values) > count:
        least = _reached(values, count)
        positions = np.flatnonzero(values > least)
        if (missing := count - len(positions)) > 0:
            level = np.flatnonzero(values == least)[:missing]
            positions = np.sort(np.concatenate([positions, level]))
    else:
        positions = np.arange(len(values))
    order = np.argsort(-values[positions], kind="stable")[:count]
    return np.asarray(positions[order], dtype=np.intp)


def _reached(values: Floats, count: int) -> np.float32:
    """A value that ``count`` of the values reach or exceed, and not many more.

    Of groups of the values, ``count`` have maxima that reach the ``count``-th of the maxima.
    """
    groups = len(values) // _GROUP
    if groups < count:
        return np.float32(np.partition(values, -count)[-count])
    maxima = values[: groups * _GROUP].reshape(_GROUP, groups).max(axis=0)
    return np.float32(np.partition(maxima, -count)[-count])


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
