"""Confidence intervals and paired tests, from ``scipy.stats``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Comparison", "compare", "confidence_interval"]

_RESAMPLES = 1_000
"""The number of bootstrap samples, and of permutations in a test."""

_SEED = 0
"""The seed of the resampling: fixed, so that the same run gives the same report."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of this run's mean with another's, on the same requests.

    Attributes:
        difference: This run's mean minus the other's.
        interval: The 95 % bootstrap confidence interval of the difference.
        p_value: The p-value of the two-sided paired randomisation test: how often randomly swapping
            the two runs per request gives a difference at least as large.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float


def confidence_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean (Efron, 1979)."""
    from scipy.stats import bootstrap

    if len(set(values)) < 2:  # Nothing varies, so there is nothing to resample.
        only = float(values[0])
        return only, only
    interval = bootstrap(
        (np.asarray(values),),
        np.mean,
        n_resamples=_RESAMPLES,
        batch=100,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def compare(ours: Mapping[str, float], theirs: Mapping[str, float]) -> Comparison:
    """Compare a metric, by request id, between two runs, tested as in Smucker et al. (2007).

    Raises:
        KeyError: If a request in ``ours`` is missing from ``theirs``.
    """
    from scipy.stats import permutation_test

    differences = [value - theirs[id_] for id_, value in ours.items()]
    # Swapping equal values changes nothing, and the fewer there are to swap, the likelier all ways
    # can be tried.
    unequal = [difference for difference in differences if difference]
    p_value = 1.0
    if len(unequal) > 1:  # one request allows no test
        p_value = permutation_test(
            (np.array(unequal),),
            np.mean,
            permutation_type="samples",
            n_resamples=_RESAMPLES,
            batch=100,
            rng=np.random.default_rng(_SEED),
        ).pvalue
    return Comparison(float(np.mean(differences)), confidence_interval(differences), float(p_value))
