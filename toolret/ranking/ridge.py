"""Ridge regression on the demonstrations' vectors (Hoerl and Kennard, 1970): the trend.

Whatever is regressed on the demonstrations, be it which tools they use or what those tools' texts
are like, the prediction for a request is a weighted sum over the demonstrations, with the same
weights. So only the weights are computed. Unlike those of nearest neighbours they may be negative,
and demonstrations that say the same share one weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolret.ranking.arrays import Floats, Ints

__all__ = ["Ridge", "fit_ridge", "ridge_weights", "ridge_weights_without"]

_PENALTY = 0.2
"""The penalty of the regression, in demonstrations in each direction; on the public sets 0.2 is as
good as or better than 1 and 5."""


@dataclass(frozen=True, slots=True)
class Ridge:
    """A regression on demonstrations, whatever they are to predict.

    Attributes:
        vectors: Vectors of the demonstrations, shape ``(demos, dimensions)``.
        solved: These vectors times the inverse of their penalised second moments, same shape.
    """

    vectors: Floats
    solved: Floats


def fit_ridge(vectors: Floats) -> Ridge:
    """Fit the regression on demonstrations with these vectors, shape ``(demos, dimensions)``."""
    moments = (vectors.T @ vectors).astype(np.float64)
    moments[np.diag_indices_from(moments)] += _PENALTY
    return Ridge(vectors, np.asarray(vectors @ np.linalg.inv(moments), dtype=np.float32))


def ridge_weights(ridge: Ridge, queries: Floats) -> Floats:
    """Return the weight of each demonstration for each query: shape ``(demos, queries)``.

    Args:
        ridge: The regression.
        queries: Vectors of the queries, shape ``(queries, dimensions)``.
    """
    return np.asarray(ridge.solved @ queries.T, dtype=np.float32)


def ridge_weights_without(ridge: Ridge, weights: Floats, left_out: Ints) -> Floats:
    """Return the weights as if some demonstrations did not exist; theirs become 0.

    This is exact, by the Sherman-Morrison-Woodbury identity. It takes solving as many equations as
    there are demonstrations left out, or dimensions if these are fewer.

    Args:
        ridge: The regression.
        weights: The weights with all demonstrations, shape ``(demos, queries)``.
        left_out: Positions of the demonstrations to leave out.
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
