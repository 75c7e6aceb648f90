"""Whether demonstrations have anything to say of a request.

Demonstrations seldom show all of a catalog. A request for the rest of it may still find some that
are worded alike, and evidence that is right for other requests would bury its tools. Two things
tell: how near the nearest demonstration is, and whether the tools that the request is about by
their texts are demonstrated at all. How much each counts is learnt by logistic regression, which
needs requests of both kinds: the demonstrations themselves, each with itself left out; and, for
the rest of the catalog, the descriptions of the tools that no demonstration uses. It starts from
what public data taught, so that a few demonstrations are not heard where they say nothing.
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
"""Requests' worth of loss that one unit of distance from the prior costs, with inputs between 0
and 1."""

_ANY_NEAREST = FEATURES.index("demo_any_nearest")
_COVERED = FEATURES.index("demo_covered")


@dataclass(frozen=True, slots=True)
class Familiarity:
    """The log-odds that demonstrations speak of a request.

    Attributes:
        nearest: For one unit of the nearest demonstration's cosine.
        covered: For one unit of the share of the tools that the request is about by their texts
            which are demonstrated.
        intercept: Of a request for which both are 0.
    """

    nearest: float
    covered: float
    intercept: float

    def of(self, features: Floats) -> float:
        """How far demonstrations speak of a request with these features, 0 to 1."""
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
    """Learn to tell the two kinds of requests apart; None if no request is strange.

    Args:
        familiar: Features of requests that demonstrations speak of.
        strange: Features of requests that they do not speak of.
        undemonstrated: Share of the tools that no demonstration uses, 0 to 1: what the strange
            requests count, together, if the familiar ones count 1 together.
        prior: Where the weights start.
    """
    if not strange:
        return None
    if not familiar:
        return prior
    rows = np.array([(*_inputs(each), 1.0) for each in (*familiar, *strange)])
    right = np.repeat([1.0, 0.0], [len(familiar), len(strange)])
    counts = np.repeat(
        [1.0, undemonstrated * len(familiar) / len(strange)], [len(familiar), len(strange)]
    )
    start = np.array([prior.nearest, prior.covered, prior.intercept])
    found = fit_logistic(rows, right, counts, start, _STRENGTH)
    return Familiarity(*map(float, found))


def _inputs(features: Floats) -> tuple[float, float]:
    """The nearest demonstration's cosine and the covered share."""
    if len(features) == 0:
        return 0.0, 0.0
    return float(features[:, _ANY_NEAREST].max()), float(features[:, _COVERED].max())
