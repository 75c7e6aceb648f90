"""From features to scores, log-odds and probabilities: a linear model whose parts add up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from toolret.ranking.arrays import Floats

__all__ = [
    "Weights",
    "blend",
    "contributions",
    "explained",
    "listwise_scores",
    "log_odds",
    "log_shares",
    "probabilities",
]


@dataclass(frozen=True, slots=True)
class Weights:
    """How the features are weighed.

    A tool's log-odds are linear in its own score (Platt, 1999) and in its share of all candidates':
    a middling tool is likely if the rest are worse.

    Attributes:
        mean: Of each feature, over the requests that the weights were fitted on.
        scale: Its standard deviation there.
        weight: Of each standardised feature, in units of the listwise score.
        slope: Log-odds for one unit of score.
        share: Log-odds for one unit of the logarithm of the score's share among the candidates.
        intercept: Log-odds of a tool whose score and share are 0.
    """

    mean: Floats
    scale: Floats
    weight: Floats
    slope: float
    share: float
    intercept: float


def blend(one: Weights, other: Weights, share: float) -> Weights:
    """A share of the one and the rest of the other, 0 to 1; both standardise alike."""
    return replace(
        one,
        **{
            name: share * getattr(one, name) + (1 - share) * getattr(other, name)
            for name in ("weight", "slope", "share", "intercept")
        },
    )


def listwise_scores(features: Floats, weights: Weights) -> Floats:
    """The weighed sums of the standardised features: shape ``(candidates,)``."""
    return np.asarray(contributions(features, weights).sum(axis=1), dtype=np.float32)


def contributions(features: Floats, weights: Weights) -> Floats:
    """What each feature adds to the listwise score: shape ``(candidates, len(FEATURES))``."""
    standardised = (features - weights.mean) / weights.scale
    return np.asarray(standardised * weights.weight, dtype=np.float32)


def explained(features: Floats, weights: Weights) -> tuple[Floats, Floats]:
    """Return the parts that the log-odds add up from.

    What all candidates share tells none apart, so parts are beyond the average candidate's.

    Returns:
        What each feature adds, shape ``(candidates, len(FEATURES))``, and the rest: what comes of a
        candidate's share of all scores, and of the average candidate; shape ``(candidates,)``.
    """
    added = contributions(features, weights)
    parts = added * weights.slope
    average = parts.mean(axis=0, keepdims=True) if len(parts) else parts
    rest = weights.share * log_shares(added.sum(axis=1)) + weights.intercept + average.sum()
    return parts - average, rest


def log_shares(scores: Floats) -> Floats:
    """Logarithm of the softmax of the scores: shape ``(candidates,)``."""
    if len(scores) == 0:
        return scores
    shifted = scores - scores.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()), dtype=np.float32)


def log_odds(features: Floats, weights: Weights) -> Floats:
    """The log-odds of each candidate, of which ``contributions`` tell the parts."""
    scores = listwise_scores(features, weights)
    found = weights.slope * scores + weights.share * log_shares(scores) + weights.intercept
    return np.asarray(found, dtype=np.float32)


def probabilities(log_odds: Floats) -> Floats:
    """Logistic function of log-odds."""
    return np.asarray(1 / (1 + np.exp(-log_odds.astype(np.float64))), dtype=np.float32)
