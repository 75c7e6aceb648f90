"""Demonstrations as a linear map: ridge regression on their vectors (Hoerl and Kennard, 1970).

Whatever is regressed on the demonstrations, be it which tools they use or what those tools' texts
are like, the answer for a request is a weighed sum over the demonstrations, with the same weights.
So the weights are all that is computed. Unlike those of nearest neighbours they may be negative,
and demonstrations that say the same share one vote.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolret.ranking.arrays import Floats, Ints

__all__ = ["Ridge", "fit_ridge", "ridge_weights", "without"]

_PENALTY = 0.2
"""In demonstrations' worth of evidence for one direction; on the public sets 0.2 is as good as or
better than 1 and 5."""


@dataclass(frozen=True, slots=True)
class Ridge:
    """A regression on demonstrations, whatever it is that they are to predict.

    Attributes:
        vectors: Of the demonstrations, shape ``(demos, dimensions)``.
        solved: The vectors times the inverse of their penalised second moments, same shape.
    """

    vectors: Floats
    solved: Floats


def fit_ridge(vectors: Floats) -> Ridge:
    """The regression on demonstrations with these vectors."""
    moments = (vectors.T @ vectors).astype(np.float64)
    moments[np.diag_indices_from(moments)] += _PENALTY
    return Ridge(vectors, np.asarray(vectors @ np.linalg.inv(moments), dtype=np.float32))


def ridge_weights(ridge: Ridge, queries: Floats) -> Floats:
    """What each demonstration counts for each query: shape ``(demos, queries)``.

    Args:
        ridge: The regression.
        queries: Shape ``(queries, dimensions)``.
    """
    return np.asarray(ridge.solved @ queries.T, dtype=np.float32)


def without(ridge: Ridge, weights: Floats, left_out: Ints) -> Floats:
    """The weights as they were if some demonstrations had not been there; theirs are 0.

    Exact, by the Sherman-Morrison-Woodbury identity, at the cost of those that are left out or, if
    they are more than that, of the dimensions.
    """
    vectors, solved, theirs = ridge.vectors[left_out], ridge.solved, weights[left_out]
    if len(left_out) <= vectors.shape[1]:
        reach = solved @ vectors.T
        rest = np.eye(len(left_out)) - reach[left_out]
        changed = weights + reach @ np.linalg.solve(rest, theirs)
    else:
        rest = np.eye(vectors.shape[1]) - vectors.T @ solved[left_out]
        changed = weights + solved @ np.linalg.solve(rest, vectors.T @ theirs)
    changed[left_out] = 0
    return np.asarray(changed, dtype=np.float32)
