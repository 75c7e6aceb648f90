"""Need: whether a request needs any of the tools, since no tool is an answer too.

A logistic model has eight inputs:

- five cosines: of the nearest tool with the request and with its best clause, of the nearest
  demonstration that uses tools, of the nearest that is labelled with none, and the mean cosine of
  the request with general ones;
- the largest share of the request's words that one tool's text says;
- the highest prediction for any tool by regression on the demonstrations;
- the log-odds of the likeliest tool in the ranking.

A request gets tools if its log-odds reach a threshold. That follows from a target which the user
sets: the share of requests needing tools that get some (recall), or of requests getting some that
need them (precision).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from toolret.ranking.arrays import Bools, Floats
from toolret.ranking.comparisons import Comparisons, Layout
from toolret.ranking.evidence import FEATURES
from toolret.ranking.logistic import fit_logistic
from toolret.text.lexical import rarity

__all__ = ["COSINES", "INPUTS", "Need", "fit_need", "need_inputs", "with_likeliest"]

INPUTS = 8
"""The number of inputs of the model: cosines first, and the likeliest tool's log-odds last."""

COSINES = 5
"""The number of inputs that are cosines, whose meaning depends on the embedder."""

_STRENGTH = 0.02
"""Loss that one unit of distance from the prior costs, in requests: little, since cosines that
differ by tenths need weights of tens."""

_QUANTILES = 101
"""The number of quantiles that are kept of the log-odds of known requests."""

_PRIOR_REQUESTS = 5.0
"""Weight of the prior's quantiles, in requests: the quantiles of only three requests say little."""

_MAXIMA = [FEATURES.index(n) for n in ("dense", "dense_clause", "lexical_log", "demo_kriged")]
"""Columns of the features of which the largest values are inputs."""

_UNLIKELY = -10.0
"""Log-odds of the likeliest tool where there is no candidate."""

_TINY = 1e-9
"""The least divisor, in the place of 0."""


@dataclass(frozen=True, slots=True)
class Need:
    """A model of the log-odds that a request needs a tool.

    Attributes:
        weights: Log-odds for one unit of each input, shape ``(INPUTS,)``.
        intercept: Log-odds of a request for which all inputs are 0.
        needing: Quantiles of the log-odds of known requests that need a tool, ascending.
        idle: Quantiles of the log-odds of known requests that need none, ascending.
    """

    weights: tuple[float, ...]
    intercept: float
    needing: tuple[float, ...]
    idle: tuple[float, ...]

    def log_odds(self, inputs: Floats) -> float:
        """Return the log-odds of a request with these inputs, shape ``(INPUTS,)``."""
        return float(np.asarray(self.weights) @ inputs + self.intercept)

    def threshold(self, recall: float, precision: float | None = None) -> float:
        """Return the log-odds from which on a request gets tools.

        By recall alone the threshold is 0 at most, so that a request which needs a tool more likely
        than not gets some: known requests may be more like each other than others are like them.

        Args:
            recall: Share of the known requests needing a tool that reach the threshold, 0 to 1. At
                1 all requests reach it, known or not.
            precision: Least share of requests needing a tool among those that reach the threshold,
                if both kinds were equally frequent. The threshold is raised until it holds, at the
                cost of recall.
        """
        return _threshold(self.needing, self.idle, recall, precision)


@lru_cache(maxsize=64)  # a retriever's targets seldom change, and sorting takes time
def _threshold(
    needing: tuple[float, ...], idle: tuple[float, ...], recall: float, precision: float | None
) -> float:
    """Return what ``Need.threshold`` returns, for these quantiles of known requests."""
    least = min(float(np.quantile(needing, 1 - recall)), 0.0) if recall < 1 else -np.inf
    if precision is None:
        return least
    needed, unneeded = np.array(needing), np.array(idle)
    for threshold in sorted({least, *(log_odds for log_odds in needing if log_odds > least)}):
        right, wrong = (needed >= threshold).mean(), (unneeded >= threshold).mean()
        if right >= precision * (right + wrong):
            return threshold
    return float(needed.max())


def need_inputs(
    layout: Layout,
    comparisons: Comparisons,
    features: Floats,
    general: Floats,
    *,
    heard: Bools | None = None,
) -> Floats:
    """Return all inputs except the last, which ``with_likeliest`` adds: ``(INPUTS - 1,)``.

    An input is 0 where there is no tool or demonstration of its kind.

    Args:
        layout: The vectors and uses of the index.
        comparisons: The comparisons of the request with the index.
        features: Features of the candidates, among which is the nearest tool of each kind.
        general: Mean vector of general requests, shape ``(dimensions,)``.
        heard: Whether each demonstration counts, shape ``(demos,)``; by default all do.
    """
    nearest, nearest_to_clause, lexical_log, kriged = features[:, _MAXIMA].max(axis=0, initial=0)
    demos, uses = comparisons.demo_dense[:, 0], layout.uses_tools
    queries = comparisons.query_vectors
    counted = np.ones(len(demos), dtype=np.bool_) if heard is None else heard
    # One word that no text has is added to the request's: a single word alone says little.
    most = comparisons.lexical_most[0] + rarity(0, len(layout.tool_vectors))
    return np.array(
        [
            nearest,
            nearest_to_clause,
            demos[counted & uses].max(initial=0),
            demos[counted & ~uses].max(initial=0),
            0 if queries is None else queries[0] @ general,
            np.expm1(lexical_log) / most,
            kriged,
        ],
        dtype=np.float32,
    )


def with_likeliest(inputs: Floats, log_odds: Floats) -> Floats:
    """Return all inputs, with that of the ranking at the end: shape ``(INPUTS,)``.

    Args:
        inputs: The other inputs, which ``need_inputs`` returned.
        log_odds: Log-odds of the candidates, shape ``(candidates,)``.
    """
    return np.append(inputs, log_odds.max(initial=_UNLIKELY))


def fit_need(
    needing: Sequence[Floats],
    idle: Sequence[Floats],
    prior: Need | None = None,
    *,
    sample_weights: Sequence[float] | None = None,
) -> Need:
    """Fit the model to requests of both kinds.

    Without requests of both kinds the prior's weights stay, and its quantiles stay for a kind that
    has no requests.

    Args:
        needing: Inputs of requests that need a tool.
        idle: Inputs of requests that need none.
        prior: Model to start from, and to stay near to; needed unless there are requests of both
            kinds.
        sample_weights: Weight of each request of ``needing`` in the quantiles; 1 by default.
    """
    if prior is None:
        prior = Need((0.0,) * INPUTS, 0.0, (), ())
    point = np.array([*prior.weights, prior.intercept])
    if needing and idle:
        rows = np.array([(*inputs, 1.0) for inputs in (*needing, *idle)])
        right = np.repeat([1.0, 0.0], [len(needing), len(idle)])
        # Both kinds count alike, whichever has more requests.
        balance = np.repeat([1.0, len(needing) / len(idle)], [len(needing), len(idle)])
        point = fit_logistic(rows, right, balance, point, _STRENGTH)
    *weights, intercept = (round(float(value), 6) for value in point)
    model = Need(tuple(weights), intercept, (), ())
    return replace(
        model,
        needing=_quantiles(
            [model.log_odds(inputs) for inputs in needing], prior.needing, sample_weights
        ),
        idle=_quantiles([model.log_odds(inputs) for inputs in idle], prior.idle),
    )


def _quantiles(
    log_odds: Sequence[float],
    prior: tuple[float, ...],
    sample_weights: Sequence[float] | None = None,
) -> tuple[float, ...]:
    """Return evenly spaced quantiles of log-odds, mixed with those of the prior if it has any.

    Args:
        log_odds: Log-odds of requests of one kind; without any, the prior's quantiles stay.
        prior: The prior's quantiles, which count as ``_PRIOR_REQUESTS`` requests.
        sample_weights: Weight of each request; 1 by default.
    """
    if not log_odds:
        return prior
    values = np.array(log_odds)
    order = np.argsort(values, kind="stable")
    weights = np.ones(len(values)) if sample_weights is None else np.array(sample_weights)[order]
    # Each request lies in the middle of its weight; then the first and the last get the ends.
    middle = np.cumsum(weights) - weights / 2
    places = (middle - middle[0]) / max(middle[-1] - middle[0], _TINY)
    quantiles = np.interp(np.linspace(0, 1, _QUANTILES), places, values[order])
    if prior:
        share = weights.sum() / (weights.sum() + _PRIOR_REQUESTS)
        quantiles = share * quantiles + (1 - share) * np.array(prior)
    return tuple(round(float(value), 6) for value in quantiles)
