"""Whether a request needs any of the tools: no tool is an answer too.

A logistic model of four cosines: of the nearest tool with the request and with its best clause, of
the nearest demonstration that uses tools, and of the nearest that is labelled with none; of how
much of the request's words one tool's text says; of what regression on the demonstrations says of
the likeliest tool; and of the likeliest tool's log-odds in the ranking. From which log-odds on
tools are given is a threshold for a target that the user sets: the share of requests needing tools
that get some (recall), or of requests getting some that need them (precision).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from toolret.ranking.arrays import Bools, Floats
from toolret.ranking.comparisons import Comparisons, Layout
from toolret.ranking.evidence import FEATURES
from toolret.ranking.logistic import fit_logistic
from toolret.text.lexical import rarity

__all__ = ["COSINES", "INPUTS", "Need", "fit_need", "need_inputs", "with_likeliest"]

INPUTS = 7
"""Of the model, of which the first are cosines, and the last is the likeliest tool's log-odds."""

COSINES = 4
"""How many those are: what they mean depends on the embedder."""

_STRENGTH = 0.02
"""Requests' worth of loss that one unit of distance from the prior costs: little, for cosines that
differ by tenths need weights of tens."""

_QUANTILES = 101
"""That many of the known requests' log-odds are kept, evenly spaced."""

_KNOWN = 5.0
"""Requests' worth that the prior's quantiles count: the lowest of three says little of the rest."""

_READ = [FEATURES.index(n) for n in ("dense", "dense_clause", "lexical_log", "demo_kriged")]

_TINY = 1e-9
"""In the place of a length of 0."""


@dataclass(frozen=True, slots=True)
class Need:
    """The log-odds that a request needs a tool.

    Attributes:
        weights: Of the inputs, shape ``(INPUTS,)``.
        intercept: Of a request for which all are 0.
        needing: Quantiles of the log-odds of known requests that need a tool, ascending.
        idle: The same of known requests that need none.
    """

    weights: tuple[float, ...]
    intercept: float
    needing: tuple[float, ...]
    idle: tuple[float, ...]

    def log_odds(self, inputs: Floats) -> float:
        """The log-odds for a request with these inputs, as ``need_inputs`` gives them."""
        return float(np.asarray(self.weights) @ inputs + self.intercept)

    def threshold(self, recall: float, precision: float | None = None) -> float:
        """The log-odds from which on tools are given.

        Args:
            recall: Share of the known requests needing a tool that reach it, 0 to 1; 1 is for
                unknown ones too: all reach it. So does one that needs a tool more likely than not:
                known requests may be more like each other than unknown ones are like them.
            precision: If given, the least share of requests needing a tool among those that
                reach it, were both kinds equally frequent; the threshold is raised until it
                holds, at the cost of recall.
        """
        return _threshold(self.needing, self.idle, recall, precision)


@lru_cache(maxsize=64)  # a retriever's targets seldom change, and sorting takes time
def _threshold(
    needing: tuple[float, ...], idle: tuple[float, ...], recall: float, precision: float | None
) -> float:
    least = min(float(np.quantile(needing, 1 - recall)), 0.0) if recall < 1 else -np.inf
    if precision is None:
        return least
    needed, unneeded = np.array(needing), np.array(idle)
    for candidate in sorted({least, *(log_odds for log_odds in needing if log_odds > least)}):
        right, wrong = (needed >= candidate).mean(), (unneeded >= candidate).mean()
        if right >= precision * (right + wrong):
            return candidate
    return float(needed.max())


def need_inputs(
    layout: Layout, comparisons: Comparisons, features: Floats, *, heard: Bools | None = None
) -> Floats:
    """What the model reads but for the last, shape ``(INPUTS - 1,)``; 0 for what there is none of.

    Args:
        layout: What is indexed.
        comparisons: The request against it.
        features: Of the tools that were put forward, among which are the nearest of each kind.
        heard: Demonstrations that count, shape ``(demos,)``.
    """
    nearest, of_clause, saying, kriged = features[:, _READ].max(axis=0, initial=0)
    demos, uses = comparisons.demo_dense[:, 0], layout.uses_tools
    counts = np.ones(len(demos), dtype=np.bool_) if heard is None else heard
    # As if the request had one word more, which is nowhere: one word alone says little.
    most = comparisons.lexical_most[0] + rarity(0, len(layout.tool_vectors))
    return np.array(
        [
            nearest,
            of_clause,
            demos[counts & uses].max(initial=0),
            demos[counts & ~uses].max(initial=0),
            np.expm1(saying) / most,
            kriged,
        ],
        dtype=np.float32,
    )


_UNLIKELY = -10.0
"""Log-odds of the likeliest tool where there is none."""


def with_likeliest(inputs: Floats, log_odds: Floats) -> Floats:
    """The inputs with what comes of the ranking, shape ``(INPUTS,)``.

    Args:
        inputs: From ``need_inputs``.
        log_odds: Log-odds of the candidates, shape ``(candidates,)``.
    """
    return np.append(inputs, log_odds.max(initial=_UNLIKELY))


def fit_need(
    needing: Sequence[Floats],
    idle: Sequence[Floats],
    prior: Need | None = None,
    *,
    counts: Sequence[float] | None = None,
) -> Need:
    """Learn from requests of both kinds, starting from a prior.

    Args:
        needing: Inputs of requests that need a tool.
        idle: Inputs of requests that need none. Where there are none, the prior's weights stay;
            its quantiles stay for a kind of which there are no requests.
        prior: Where the weights start; needed unless there are requests of both kinds.
        counts: What each of those that need a tool counts among the quantiles; 1 by default.
    """
    if prior is None:
        prior = Need((0.0,) * INPUTS, 0.0, (), ())
    point = np.array([*prior.weights, prior.intercept])
    if needing and idle:
        rows = np.array([(*each, 1.0) for each in (*needing, *idle)])
        right = np.repeat([1.0, 0.0], [len(needing), len(idle)])
        # Both kinds count alike, whatever there are more of.
        worth = np.repeat([1.0, len(needing) / len(idle)], [len(needing), len(idle)])
        point = fit_logistic(rows, right, worth, point, _STRENGTH)
    *weights, intercept = (round(float(value), 6) for value in point)
    made = Need(tuple(weights), intercept, (), ())

    def quantiles(
        inputs: Sequence[Floats], known: tuple[float, ...], counts: Sequence[float] | None = None
    ) -> tuple[float, ...]:
        if not inputs:
            return known
        log_odds = np.array([made.log_odds(each) for each in inputs])
        order = np.argsort(log_odds, kind="stable")
        count = np.ones(len(log_odds)) if counts is None else np.array(counts)[order]
        # Each stands in the middle of what it counts, the first and the last at the ends.
        middle = np.cumsum(count) - count / 2
        places = (middle - middle[0]) / max(middle[-1] - middle[0], _TINY)
        told = np.interp(np.linspace(0, 1, _QUANTILES), places, log_odds[order])
        if known:
            share = count.sum() / (count.sum() + _KNOWN)
            told = share * told + (1 - share) * np.array(known)
        return tuple(round(float(value), 6) for value in told)

    return Need(
        made.weights,
        made.intercept,
        quantiles(needing, prior.needing, counts),
        quantiles(idle, prior.idle),
    )
