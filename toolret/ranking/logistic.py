"""Logistic regression with weights held near a prior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_logistic"]


def fit_logistic(
    rows: NDArray[np.float64],
    right: NDArray[np.float64],
    sample_weights: NDArray[np.float64],
    prior: NDArray[np.float64],
    strength: float,
) -> NDArray[np.float64]:
    """Return the weights that tell the right rows from the others, held near a prior.

    Minimises the logistic loss plus ``strength / 2`` times the squared distance to the prior: the
    maximum a posteriori under a Gaussian prior. Convex, hence deterministic.

    Args:
        rows: Inputs of each row, shape ``(rows, inputs)``; a column of ones gives an intercept.
        right: 1 for the right rows and 0 for the others, shape ``(rows,)``.
        sample_weights: Weight of each row in the loss, shape ``(rows,)``.
        prior: Weights to start from and to stay near to, shape ``(inputs,)``.
        strength: Loss that one unit of distance from the prior costs, in rows.
    """
    from scipy.optimize import minimize  # half a second, which only a fit is worth

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        log_odds = rows @ weights
        pull = strength * (weights - prior)
        losses = np.logaddexp(0, log_odds) - log_odds * right
        value = sample_weights @ losses + pull @ (weights - prior) / 2
        probabilities = 1 / (1 + np.exp(-log_odds))
        return float(value), rows.T @ (sample_weights * (probabilities - right)) + pull

    weights: NDArray[np.float64] = minimize(loss, prior, jac=True, method="L-BFGS-B").x
    return weights
