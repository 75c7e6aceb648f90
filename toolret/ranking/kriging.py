"""Kriging (Krige, 1951): prediction from the demonstrations nearest to a request.

This is kernel ridge regression on the nearest demonstrations alone, the mean of a local Gaussian
process (Gramacy and Apley, 2015). Like votes of nearest neighbours, its prediction is a weighted
sum over demonstrations, whatever they are to predict. Unlike votes, demonstrations that say the
same share one weight, and each counts only for what it tells beyond the others. What the nearest
leave unexplained of the request is left to the trend, in ``ridge``.

The kernel is the sum of two: likeness of meaning, which falls with distance, and words in common.
Its range follows from how near the nearest are, so it does not depend on an embedder's cosines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolret.ranking.arrays import Floats, Ints, products, top
from toolret.ranking.word_vectors import WordRows

__all__ = ["Nearest", "krige"]

_NEAREST = 64
"""The number of demonstrations in the regression: twice as many are no better on most sets."""

_ALIKE = 8
"""The number of these that may use the same set of tools, as long as there are others."""

_LOOKED_THROUGH = 4 * _NEAREST
"""The number of nearest demonstrations among which others are looked for."""

_FALL = 1.5
"""The exponent by which the kernel of meaning falls over the mean distance of the nearest, where a
distance is 1 less the cosine."""

_WORDS = 0.5
"""The kernel of words for the same words, where the kernel of meaning is 1 for the same meaning."""

_NOISE = 0.2
"""The variance in what demonstrations predict that does not depend on their text, relative to the
variance that does."""

_LEAST_DISTANCE = 1e-3
"""The least mean distance of the nearest: below it they are copies of the query, and dividing by
less would magnify rounding errors."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The demonstrations nearest to some queries, with their weights in predictions.

    Attributes:
        demos: Positions of the demonstrations, shape ``(queries, nearest)``.
        cosines: Their exact cosines with the query, same shape.
        weights: Their weights, some of which are negative, same shape.
        means: Weighted sums of their vectors, which are what they explain of each query: shape
            ``(queries, dimensions)``.
    """

    demos: Ints
    cosines: Floats
    weights: Floats
    means: Floats

    def add_to(self, weights: Floats) -> None:
        """Add these weights, in place, to weights of all demonstrations: ``(queries, demos)``."""
        for row, demos, added in zip(weights, self.demos, self.weights, strict=True):
            row[demos] += added


def krige(
    queries: Floats,
    cosines: Floats,
    word_cosines: Floats,
    vectors: Floats,
    demo_words: WordRows,
    sets: Ints,
    left_out: Ints | None = None,
) -> Nearest:
    """Find the demonstrations nearest to each query, and their weights in predictions for it.

    Where many of the nearest use the same tools, only a few of those are taken: otherwise they
    would leave no place for demonstrations of a second need that the query may have.

    Args:
        queries: Vectors of the queries, shape ``(queries, dimensions)``.
        cosines: Cosines of the queries with the demonstrations, shape ``(queries, demos)``, which
            may be approximate.
        word_cosines: Cosines of their words, same shape.
        vectors: Vectors of the demonstrations, shape ``(demos, dimensions)``.
        demo_words: Words of the demonstrations.
        sets: The set of tools that each demonstration uses, shape ``(demos,)``.
        left_out: Positions of demonstrations to treat as if they did not exist.
    """
    likeness = cosines + np.float32(_WORDS) * word_cosines
    count = min(_NEAREST, likeness.shape[1])
    if left_out is not None:
        likeness[:, left_out] = -np.inf
        count = min(count, likeness.shape[1] - len(left_out))
    if not (len(queries) and count):
        no_demos = np.empty((len(queries), 0), dtype=np.intp)
        no_values = no_demos.astype(np.float32)
        return Nearest(no_demos, no_values, no_values, np.zeros_like(queries))
    demos = np.stack([_nearest(row, sets, count) for row in likeness])
    members = vectors[demos]
    exact = np.matmul(members, queries[:, :, None])[..., 0]
    fall = _FALL / np.maximum(1 - exact.mean(axis=1, keepdims=True), _LEAST_DISTANCE)
    among = np.stack([products(nearest, nearest) for nearest in members])
    kernel = np.exp(fall[:, :, None] * (among - 1))
    kernel += np.float32(_WORDS) * np.stack([demo_words.likeness(nearest) for nearest in demos])
    kernel[:, range(count), range(count)] += np.float32(_NOISE * (1 + _WORDS))
    in_words = np.float32(_WORDS) * np.take_along_axis(word_cosines, demos, axis=1)
    to_query = np.exp(fall * (exact - 1)) + in_words
    weights = np.linalg.solve(kernel, to_query[:, :, None])[..., 0]
    return Nearest(demos, exact, weights, np.matmul(weights[:, None], members)[:, 0])


def _nearest(likeness: Floats, sets: Ints, count: int) -> Ints:
    """Return the ``count`` nearest, at most ``_ALIKE`` of one set if there are enough others."""
    near = top(likeness, min(_LOOKED_THROUGH, len(likeness)))
    if np.bincount(sets[near[:count]]).max() <= _ALIKE:
        return near[:count]
    near = near[likeness[near] > -np.inf]
    order = np.argsort(sets[near], kind="stable")
    used = sets[near][order]
    # The number of demonstrations of the same set that are nearer.
    nearer = np.empty_like(order)
    nearer[order] = np.arange(len(order)) - np.searchsorted(used, used)
    first = np.argsort(nearer >= _ALIKE, kind="stable")[:count]
    return np.asarray(near[first], dtype=np.intp)
