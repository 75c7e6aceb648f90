"""From scores to evidence: small functions on arrays, none of which knows what a tool is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Bools",
    "Floats",
    "Grouping",
    "Ints",
    "products",
    "ranges",
    "shares",
    "sums_of",
    "top",
    "union",
]

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

_Float = TypeVar("_Float", np.float32, np.float64)

_SURE = 3
"""What discriminants are multiplied with before they become shares by a softmax."""

_GROUP = 64
"""Values of which only the largest is looked at first, at most: a tenth of the time of sorting them
all."""

_GROUPS = 3
"""Groups for each value that is sought, at least: with fewer, groups hold several of them, and too
many of the rest reach what the groups do."""

_LEVEL = 8
"""Values for each one that is sought, beyond which those that are level are told apart first."""

_AT_ONCE = 2**18
"""Multiplications that OpenBLAS does in the thread that asks: more are shared out among threads,
which is no faster where reading memory is what takes the time, costs twice the work, and has a
request wait for a busy core."""

_MOST_ROWS = 64
"""Vectors in one such piece: more gain nothing."""

_TINY = 1e-6


class Grouping:
    """Memberships in groups, in the order of the groups, so that those of a group are neighbours.

    Adding or comparing neighbours is faster than doing so in the place of each one's group.

    Args:
        member: For each membership, the member.
        group: For the same, the group.
        groups: How many groups there are; some may be empty.

    Attributes:
        filled: The groups that are not empty, ascending.
        counts: How many members each of these has.
    """

    def __init__(self, member: Ints, group: Ints, groups: int) -> None:
        order = np.argsort(group, kind="stable")
        self._member = member[order]
        self._ordered = group[order]
        self._starts = np.flatnonzero(np.diff(self._ordered, prepend=-1))
        self._groups = groups
        self.filled: Ints = self._ordered[self._starts]
        self.counts: Ints = np.diff(self._starts, append=len(order))

    def sums(self, values: NDArray[_Float]) -> NDArray[_Float]:
        """From the members' values to the sums of the filled groups: shape ``(..., filled)``."""
        return self._reduced(np.add, values)

    def best(self, values: Floats) -> Floats:
        """The same for the largest values, at least 0."""
        return self._reduced(np.maximum, values).clip(min=0)

    def members(self, groups: Ints) -> Ints:
        """Who is in any of some groups, of which there is one at least: ascending, each once."""
        starts = np.searchsorted(self._ordered, groups)
        ends = np.searchsorted(self._ordered, groups, side="right")
        bounds = zip(starts.tolist(), ends.tolist(), strict=True)
        return np.unique(np.concatenate([self._member[start:end] for start, end in bounds]))

    def spread(self, of_filled: NDArray[_Float]) -> NDArray[_Float]:
        """The same values for all groups, 0 for the empty ones: shape ``(..., groups)``."""
        found = np.zeros((*of_filled.shape[:-1], self._groups), dtype=of_filled.dtype)
        found[..., self.filled] = of_filled
        return found

    def _reduced(self, reduce: np.ufunc, values: NDArray[_Float]) -> NDArray[_Float]:
        if not len(self.filled):
            return np.empty((*values.shape[:-1], 0), dtype=values.dtype)
        of_members = np.take(values, self._member, axis=-1)
        found: NDArray[_Float] = reduce.reduceat(of_members, self._starts, axis=-1)
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


def ranges(starts: Ints, ends: Ints) -> Ints:
    """The whole numbers of some ranges, one range after the other."""
    counts = ends - starts
    return np.arange(counts.sum()) + np.repeat(ends - np.cumsum(counts), counts)


def union(some: Iterable[Ints], count: int) -> Ints:
    """The positions that are in any of some lists, of ``count`` that there are: ascending."""
    there = np.zeros(count, dtype=np.bool_)
    for positions in some:
        there[positions] = True
    return np.flatnonzero(there)


def top(values: Floats, count: int) -> Ints:
    """Positions of the largest values, ties by position, best first."""
    if len(values) > count:
        least = _reached(values, count)
        positions = (values >= least).nonzero()[0]
        if len(positions) > _LEVEL * count:  # Many are level: they are not worth sorting.
            above = (values > least).nonzero()[0]
            level = (values == least).nonzero()[0][: max(0, count - len(above))]
            positions = np.sort(np.concatenate([above, level]))
    else:
        positions = np.arange(len(values))
    order = (-values[positions]).argsort(kind="stable")[:count]
    found: Ints = positions[order]
    return found


def _reached(values: Floats, count: int) -> np.float32:
    """A value that ``count`` of the values reach or exceed, and not many more.

    Of groups of the values, ``count`` have maxima that reach the ``count``-th of the maxima.
    """
    size = min(_GROUP, len(values) // (_GROUPS * count))
    if size < 2:
        return np.float32(np.partition(values, -count)[-count])
    groups = len(values) // size
    maxima = values[: groups * size].reshape(size, groups).max(axis=0)
    return np.float32(np.partition(maxima, -count)[-count])


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
