"""Small operations on arrays, which know nothing of tools and demonstrations."""

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
    "softmax_shares",
    "top",
    "union",
]

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

_Float = TypeVar("_Float", np.float32, np.float64)

_SHARPNESS = 3
"""The factor of discriminants in their softmax."""

_BLOCK_SIZE = 64
"""The most values in a block of which ``top`` first looks only at the largest: this takes a tenth
of the time of sorting all values."""

_BLOCKS_PER_VALUE = 3
"""The least number of blocks for each value that ``top`` is to return: with fewer, blocks hold
several of these values, and too many others reach the bound that the blocks give."""

_MANY_TIES = 8
"""The number of candidates, for each value that ``top`` is to return, beyond which ties are cut
before sorting."""

_SERIAL_PRODUCTS = 2**18
"""The most multiplications that OpenBLAS does in the calling thread. It shares out more of them
among threads, which is no faster where reading memory is what takes the time, costs twice the work,
and has a request wait for a busy core."""

_MOST_ROWS = 64
"""The most vectors in one piece of a product of many queries: more gain nothing."""

_FEW = 4
"""The most queries that are multiplied one by one. BLAS copies the vectors to multiply several
queries at once, which takes longer than reading them again as long as these are so few."""

_TINY = 1e-6
"""The least divisor, in the place of 0."""


class Grouping:
    """Groups and their members, both given by positions; a member may be in several groups.

    Memberships are kept in the order of the groups: adding up neighbours is ten times as fast as
    adding each value to the place of its group.

    Args:
        member: The member of each membership, shape ``(memberships,)``.
        group: The group of each membership, shape ``(memberships,)``.
        groups: The number of groups, some of which may be empty.

    Attributes:
        filled: Positions of the groups that are not empty, ascending, shape ``(filled,)``.
        counts: The number of members of each of these, shape ``(filled,)``.
    """

    def __init__(self, member: Ints, group: Ints, groups: int) -> None:
        order = np.argsort(group, kind="stable")
        self._member = member[order]
        self._ordered = group[order]
        self._starts = np.flatnonzero(np.diff(self._ordered, prepend=-1))
        self._groups = groups
        self.filled: Ints = self._ordered[self._starts]
        self.counts: Ints = np.diff(self._starts, append=len(order))

    def sums(self, values: NDArray[_Float], axis: int = -1) -> NDArray[_Float]:
        """Return the sums of the members' values in each filled group.

        Args:
            values: The values, with one entry for each member along ``axis``.
            axis: The axis of the members; in what is returned, that of the filled groups.
        """
        return self._reduce(np.add, values, axis)

    def best(self, values: Floats) -> Floats:
        """Return the largest value in each filled group, at least 0: shape ``(..., filled)``."""
        return self._reduce(np.maximum, values, -1).clip(min=0)

    def members(self, groups: Ints) -> Ints:
        """Return the members of any of some groups, at least one: ascending, each once."""
        starts = np.searchsorted(self._ordered, groups)
        ends = np.searchsorted(self._ordered, groups, side="right")
        bounds = zip(starts.tolist(), ends.tolist(), strict=True)
        return np.unique(np.concatenate([self._member[start:end] for start, end in bounds]))

    def spread(self, filled_values: NDArray[_Float]) -> NDArray[_Float]:
        """Return values of the filled groups with 0 for the others: shape ``(..., groups)``."""
        group_values = np.zeros(
            (*filled_values.shape[:-1], self._groups), dtype=filled_values.dtype
        )
        group_values[..., self.filled] = filled_values
        return group_values

    def _reduce(self, reduce: np.ufunc, values: NDArray[_Float], axis: int) -> NDArray[_Float]:
        member_values = np.take(values, self._member, axis=axis)
        if not len(self.filled):
            return member_values
        filled_values: NDArray[_Float] = reduce.reduceat(member_values, self._starts, axis=axis)
        return filled_values


def products(queries: Floats, vectors: Floats) -> Floats:
    """Return the inner products of a few queries with many vectors: ``(queries, vectors)``."""
    inner = np.zeros((len(queries), len(vectors)), dtype=np.float32)
    if len(queries) <= _FEW:
        # Each piece stays in the processor's cache until it was multiplied with all queries.
        rows = max(1, _SERIAL_PRODUCTS // max(1, vectors.shape[1]))
        for start in range(0, len(vectors), rows):
            piece = slice(start, start + rows)
            np.matmul(vectors[piece], queries[:, :, None], out=inner[:, piece, None])
    elif queries.size and len(vectors):
        rows = max(1, min(_MOST_ROWS, _SERIAL_PRODUCTS // queries.size))
        even = len(vectors) // rows * rows
        pieces = vectors[:even].reshape(-1, rows, vectors.shape[1]).transpose(0, 2, 1)
        places = inner[:, :even].reshape(len(queries), -1, rows).transpose(1, 0, 2)
        np.matmul(queries, pieces, out=places)
        np.matmul(queries, vectors[even:].T, out=inner[:, even:])
    return inner


def ranges(starts: Ints, ends: Ints) -> Ints:
    """Return the whole numbers from each start up to its end, one range after the other."""
    counts = ends - starts
    return np.arange(counts.sum()) + np.repeat(ends - np.cumsum(counts), counts)


def union(lists: Iterable[Ints], count: int) -> Ints:
    """Return the positions below ``count`` that are in any of some lists: ascending."""
    included = np.zeros(count, dtype=np.bool_)
    for positions in lists:
        included[positions] = True
    return np.flatnonzero(included)


def top(values: Floats, count: int) -> Ints:
    """Return the positions of the ``count`` largest values, best first, ties by position."""
    if len(values) > count:
        least = _bound(values, count)
        positions = (values >= least).nonzero()[0]
        if len(positions) > _MANY_TIES * count:  # they are not worth sorting
            above = (values > least).nonzero()[0]
            ties = (values == least).nonzero()[0][: max(0, count - len(above))]
            positions = np.sort(np.concatenate([above, ties]))
    else:
        positions = np.arange(len(values))
    order = (-values[positions]).argsort(kind="stable")[:count]
    first: Ints = positions[order]
    return first


def _bound(values: Floats, count: int) -> np.float32:
    """Return a bound that at least ``count`` of the values reach, and not many more.

    It is the ``count``-th largest of the maxima of blocks of the values: ``count`` blocks have a
    value that reaches it.
    """
    size = min(_BLOCK_SIZE, len(values) // (_BLOCKS_PER_VALUE * count))
    if size < 2:
        return np.float32(np.partition(values, -count)[-count])
    blocks = len(values) // size
    maxima = values[: blocks * size].reshape(size, blocks).max(axis=0)
    return np.float32(np.partition(maxima, -count)[-count])


def softmax_shares(discriminants: Floats) -> Floats:
    """Return a softmax of groups' discriminants, as rough probabilities: shape ``(groups,)``."""
    shares = np.exp(_SHARPNESS * (discriminants - discriminants.max(initial=0)))
    return np.asarray(shares / max(float(shares.sum()), _TINY), dtype=np.float32)
