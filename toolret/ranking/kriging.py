"""What the nearest demonstrations say of a request beyond the trend: kriging (Krige, 1951).

Kernel ridge regression on the nearest demonstrations alone, which is the mean of a Gaussian
process there (Gramacy and Apley, 2015). Like votes of nearest neighbours, its answer is a weighed
sum over demonstrations, whatever it is that they are to predict. Unlike votes, demonstrations that
say the same share one weight, and none counts more than it tells that the others do not.

The kernel adds up two: likeness of meaning, which falls off with distance, and words in common.
How far "near" reaches follows from how near the nearest are, so no embedder's cosines are assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolret.ranking.arrays import Floats, Ints, products, top
from toolret.ranking.word_vectors import WordRows

__all__ = ["Nearest", "krige"]

_NEAREST = 64
"""Demonstrations that are looked at: twice as many are no better on most public sets."""

_ALIKE = 8
"""Of those, that may use the same tools, as long as there are others."""

_LOOKED_THROUGH = 4 * _NEAREST
"""Demonstrations among which others are looked for."""

_FALL = 1.5
"""How often the kernel of meanings falls by e over the mean distance of the nearest, which is 1
less their cosine."""

_WORDS = 0.5
"""What the same words count, where the same meaning counts 1."""

_NOISE = 0.2
"""Variance of what a demonstration says that is no matter of its text, where the kernels' is 1."""

_LEAST_DISTANCE = 1e-3
"""Below it, the nearest are copies of the query, and dividing by less would magnify rounding
errors."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The demonstrations nearest to some queries, and what they count.

    Attributes:
        demos: Their positions, shape ``(queries, nearest)``.
        cosines: Their exact cosines with the query, same shape.
        weights: Same shape; some are negative.
        means: The demonstrations' vectors weighed and added up: shape ``(queries, dimensions)``.
    """

    demos: Ints
    cosines: Floats
    weights: Floats
    means: Floats

    def add_to(self, weights: Floats) -> None:
        """Add what they count to what all demonstrations count: shape ``(queries, demos)``."""
        for of_query, demos, more in zip(weights, self.demos, self.weights, strict=True):
            of_query[demos] += more


def krige(
    queries: Floats,
    cosines: Floats,
    words: Floats,
    vectors: Floats,
    rows: WordRows,
    sets: Ints,
    left_out: Ints | None = None,
) -> Nearest:
    """The demonstrations nearest to each query, weighed.

    Where many use the same tools, a few of those speak for all: a request with a second need would
    not hear of it otherwise.

    Args:
        queries: Their vectors, shape ``(queries, dimensions)``.
        cosines: Of the queries with the demonstrations, shape ``(queries, demos)``; they need
            not be exact.
        words: The same of their words.
        vectors: Of the demonstrations, shape ``(demos, dimensions)``.
        rows: Their words.
        sets: The set of tools that each uses, shape ``(demos,)``.
        left_out: Demonstrations that are as if not there.
    """
    likeness = cosines + np.float32(_WORDS) * words
    count = min(_NEAREST, likeness.shape[1])
    if left_out is not None:
        likeness[:, left_out] = -np.inf
        count = min(count, likeness.shape[1] - len(left_out))
    if not (len(queries) and count):
        none = np.empty((len(queries), 0), dtype=np.intp)
        nothing = none.astype(np.float32)
        return Nearest(none, nothing, nothing, np.zeros_like(queries))
    demos = np.stack([_nearest(of_query, sets, count) for of_query in likeness])
    members = vectors[demos]
    exact = np.matmul(members, queries[:, :, None])[..., 0]
    fall = _FALL / np.maximum(1 - exact.mean(axis=1, keepdims=True), _LEAST_DISTANCE)
    kernel = np.stack([products(some, some) for some in members])
    kernel = np.exp(fall[:, :, None] * (kernel - 1))
    kernel += np.float32(_WORDS) * np.stack([rows.likeness(near) for near in demos])
    kernel[:, range(count), range(count)] += np.float32(_NOISE * (1 + _WORDS))
    in_words = np.float32(_WORDS) * np.take_along_axis(words, demos, axis=1)
    asked = np.exp(fall * (exact - 1)) + in_words
    weights = np.linalg.solve(kernel, asked[:, :, None])[..., 0]
    return Nearest(demos, exact, weights, np.matmul(weights[:, None], members)[:, 0])


def _nearest(likeness: Floats, sets: Ints, count: int) -> Ints:
    """The ``count`` nearest, of which no more than some use the same tools if that can be."""
    near = top(likeness, min(_LOOKED_THROUGH, len(likeness)))
    if np.bincount(sets[near[:count]]).max() <= _ALIKE:
        return near[:count]
    near = near[likeness[near] > -np.inf]
    order = np.argsort(sets[near], kind="stable")
    used = sets[near][order]
    # How many of the same tools are nearer.
    nearer = np.empty_like(order)
    nearer[order] = np.arange(len(order)) - np.searchsorted(used, used)
    first = np.argsort(nearer >= _ALIKE, kind="stable")[:count]
    return np.asarray(near[first], dtype=np.intp)
