"""Familiarity: the probability that demonstrations have anything to say about a request.

Demonstrations seldom show all of a catalog. A request for the rest of it may still find some that
are worded alike, and evidence that is right for other requests would bury its tools. Two inputs
tell: how near the nearest demonstration is, and which share of the tools that fit the request best
by their texts is demonstrated at all. How much each counts is learnt by logistic regression, which
needs requests of both kinds: familiar ones, which are the demonstrations themselves, each with
itself left out; and strange ones, which are the descriptions of the tools that no demonstration
uses. It starts from what public data taught, so that a few demonstrations are not heard where they
say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolret.ranking.arrays import Floats
from toolret.ranking.evidence import FEATURES
from toolret.ranking.logistic import fit_logistic

__all__ = ["Familiarity", "fit_familiarity"]

_STRENGTH = 1.0
"""Loss that one unit of distance from the prior costs, in requests; the inputs are between 0 and
1."""

_ANY_NEAREST = FEATURES.index("demo_any_nearest")
"""The column of the nearest demonstration's cosine."""

_COVERED = FEATURES.index("demo_covered")
"""The column of the share of the best tools by their texts that is demonstrated."""


@dataclass(frozen=True, slots=True)
class Familiarity:
    """A model of the log-odds that demonstrations speak of a request.

    Attributes:
        nearest: Log-odds for one unit of the nearest demonstration's cosine.
        covered: Log-odds for one unit of the share of the tools that fit the request best by their
            texts that is demonstrated.
        intercept: Log-odds of a request for which both inputs are 0.
    """

    nearest: float
    covered: float
    intercept: float

    def probability(self, features: Floats) -> float:
        """Return the familiarity, 0 to 1, of a request whose candidates have these features."""
        nearest, covered = _inputs(features)
        log_odds = self.nearest * nearest + self.covered * covered + self.intercept
        return float(1 / (1 + np.exp(-log_odds)))


def fit_familiarity(
    familiar: Sequence[Floats],
    strange: Sequence[Floats],
    *,
    undemonstrated: float,
    prior: Familiarity,
) -> Familiarity | None:
    """Learn to tell familiar requests from strange ones; None if no request is strange.

    Args:
        familiar: Features of the candidates of each request that demonstrations speak of.
        strange: Features of the candidates of each request that they do not speak of.
        undemonstrated: Share of the tools that no demonstration uses, 0 to 1. It is the weight of
            all strange requests together, where that of all familiar ones is 1.
        prior: Model to start from, and to stay near to.
    """
    if not strange:
        return None
    if not familiar:
        return prior
    rows = np.array([(*_inputs(features), 1.0) for features in (*familiar, *strange)])
    right = np.repeat([1.0, 0.0], [len(familiar), len(strange)])
    sample_weights = np.repeat(
        [1.0, undemonstrated * len(familiar) / len(strange)], [len(familiar), len(strange)]
    )
    start = np.array([prior.nearest, prior.covered, prior.intercept])
    return Familiarity(*map(float, fit_logistic(rows, right, sample_weights, start, _STRENGTH)))


def _inputs(features: Floats) -> tuple[float, float]:
    """Return the cosine of the nearest demonstration, and the covered share."""
    if len(features) == 0:
        return 0.0, 0.0
    return float(features[:, _ANY_NEAREST].max()), float(features[:, _COVERED].max())
