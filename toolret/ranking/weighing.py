"""Turn features into scores, log-odds and probabilities, by a linear model whose parts add up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from toolret.ranking.arrays import Floats

__all__ = [
    "Weights",
    "blend",
    "contributions",
    "listwise_scores",
    "log_odds",
    "log_odds_parts",
    "log_shares",
    "probabilities",
]


@dataclass(frozen=True, slots=True)
class Weights:
    """The parameters that turn features into log-odds.

    A tool's log-odds are linear in its own score (Platt, 1999) and in the logarithm of the score's
    share, its softmax over all candidates: a middling tool is likely if the rest are worse.

    Attributes:
        mean: Mean of each feature over the requests that the weights were fitted on, shape
            ``(len(FEATURES),)``.
        scale: Standard deviation of each feature there, same shape.
        weight: Weight of each standardised feature in the score, same shape.
        slope: Log-odds for one unit of score.
        share: Log-odds for one unit of the logarithm of the score's share.
        intercept: Log-odds of a tool for which score and logarithm are 0.
    """

    mean: Floats
    scale: Floats
    weight: Floats
    slope: float
    share: float
    intercept: float


def blend(one: Weights, other: Weights, share: float) -> Weights:
    """Return a mixture of weights that standardise alike.

    Args:
        one: Weights that the share is for.
        other: Weights that the rest is for.
        share: Share of the first, 0 to 1.
    """
    return replace(
        one,
        **{
            name: share * getattr(one, name) + (1 - share) * getattr(other, name)
            for name in ("weight", "slope", "share", "intercept")
        },
    )


def listwise_scores(features: Floats, weights: Weights) -> Floats:
    """Return the weighted sums of the standardised features: shape ``(candidates,)``."""
    return np.asarray(contributions(features, weights).sum(axis=1), dtype=np.float32)


def contributions(features: Floats, weights: Weights) -> Floats:
    """Return what each feature adds to the score: shape ``(candidates, len(FEATURES))``."""
    standardised = (features - weights.mean) / weights.scale
    return np.asarray(standardised * weights.weight, dtype=np.float32)


def log_odds_parts(features: Floats, weights: Weights) -> tuple[Floats, Floats]:
    """Return the parts that add up to the log-odds of each candidate.

    What all candidates have in common tells none apart, so each feature's part is what it adds
    beyond the average candidate's.

    Returns:
        The part of each feature, shape ``(candidates, len(FEATURES))``, and the rest, shape
        ``(candidates,)``: what the score's share, the intercept and the average candidate add.
    """
    added = contributions(features, weights)
    parts = added * weights.slope
    average = parts.mean(axis=0, keepdims=True) if len(parts) else parts
    rest = weights.share * log_shares(added.sum(axis=1)) + weights.intercept + average.sum()
    return parts - average, rest


def log_shares(scores: Floats) -> Floats:
    """Return the logarithms of the scores' shares, their softmax: shape ``(candidates,)``."""
    if len(scores) == 0:
        return scores
    shifted = scores - scores.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()), dtype=np.float32)


def log_odds(features: Floats, weights: Weights) -> Floats:
    """Return the log-odds of each candidate, shape ``(candidates,)``."""
    scores = listwise_scores(features, weights)
    from_scores = weights.slope * scores + weights.share * log_shares(scores)
    return np.asarray(from_scores + weights.intercept, dtype=np.float32)


def probabilities(log_odds: Floats) -> Floats:
    """Return the probabilities that log-odds stand for."""
    return np.asarray(1 / (1 + np.exp(-log_odds.astype(np.float64))), dtype=np.float32)
