"""Weights for the evidence, learnt from demonstrations that are asked again.

Each demonstration is a request whose tools are known. Asked with itself left out of the index,
it shows what every signal is worth in this catalog. But it shows the catalog through the
demonstrations: where they cover one part only, the weights are wrong for the rest. Two things
keep that view honest. The weights start from a prior fitted on public data, and move away from
it only as far as the demonstrations make them. And they are used for a request only as far as
it is familiar: a model says how far, from how near the nearest demonstration is and how many of
the tools that the request is about by their texts are demonstrated. As far as it is not, it is
ranked by the tools' texts alone, as if there were no demonstrations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolret.ranking.arrays import Floats, Ints
from toolret.ranking.comparisons import Comparisons, Layout
from toolret.ranking.cosines import DEFAULT_SCALE, CosineScale
from toolret.ranking.evidence import CONTEXT, FEATURES, gather
from toolret.ranking.familiarity import Familiarity, fit_familiarity
from toolret.ranking.logistic import fit_logistic
from toolret.ranking.need import Need, fit_need, need_inputs, with_likeliest
from toolret.ranking.weighing import Weights, blend, listwise_scores, log_odds, log_shares

__all__ = ["Example", "Fit", "Prior", "fit", "fit_weights", "leave_out", "needed"]

_RELATED = 0.05
"""Quantile of the demonstrations' own nearness to each other, below which one is not shown."""

_STRENGTH = 20.0
"""Examples' worth of loss that one unit of distance from the prior costs. With 7 a catalog whose
demonstrations need one tool each learns that all requests do. 7, 14 and 28 were measured on eight
public sets, each with a prior to which it had given nothing: this lies between the better two."""

_CALIBRATION_STRENGTH = 7.0
"""The same for the three figures that make scores log-odds, which are learnt of few."""

_BOUNDS = [(None if name in CONTEXT else 0.0, None) for name in FEATURES]
"""Of the weights. What fits better must not count against a tool: without bounds, features that
are nearly the same get large weights of opposite signs, which hold for requests like the
demonstrations and for no others."""

_HEARD = 2.0
"""Log-odds by which the ranking hears demonstrations sooner than it is likely that they speak of a
request: weights for them lose little where they say little, and those for texts much where they
say all. Between 1.5 and 3 makes no difference on public sets with 10 to 3,000 demonstrations; with
3 of them, 3 costs some sets half a point."""

_ANY = FEATURES.index("demo_any")
_ANY_NEAREST = FEATURES.index("demo_any_nearest")


@dataclass(frozen=True, slots=True)
class Example:
    """A request with known tools, as the ranking sees it.

    Attributes:
        features: Shape ``(candidates, len(FEATURES))``.
        right: Which candidates the request needs, shape ``(candidates,)``.
        need: What ``need_inputs`` says of it.
    """

    features: Floats
    right: NDArray[np.bool_]
    need: Floats


@dataclass(frozen=True, slots=True)
class Prior:
    """What public data taught.

    Attributes:
        text: Weights for the tools' texts alone: those of demonstrations are 0.
        demonstrated: Weights where demonstrations say something too.
        text_need: Whether a request needs a tool, by the tools' texts alone.
        demonstrated_need: The same where demonstrations say something too.
        familiarity: Whether demonstrations speak of a request.
        cosines: The embedder for which all this holds.
    """

    text: Weights
    demonstrated: Weights
    text_need: Need
    demonstrated_need: Need
    familiarity: Familiarity
    cosines: CosineScale = DEFAULT_SCALE


@dataclass(frozen=True, slots=True)
class Fit:
    """What the demonstrations taught.

    Attributes:
        prior: What holds for a request that demonstrations do not speak of: it is ranked as if
            there were none.
        own: The weights for one that they speak of; None without demonstrations.
        own_need: Whether one that they speak of needs a tool; None without demonstrations.
        familiarity: Which of the two it is; None if demonstrations speak of all tools.
        heard: How far the ranking hears them; None likewise.
        related: The cosine from which a demonstration is like a request.
    """

    prior: Prior
    own: Weights | None = None
    own_need: Need | None = None
    familiarity: Familiarity | None = None
    heard: Familiarity | None = None
    related: float = 0.0

    def weights(self, features: Floats) -> Weights:
        """The weights for a request with these features: a blend, so that there is no cliff."""
        if self.own is None:
            return self.prior.text
        if self.heard is None:
            return self.own
        return blend(self.own, self.prior.text, self.heard.of(features))

    def need(
        self, features: Floats, inputs: Floats, *, recall: float, precision: float | None
    ) -> tuple[float, float]:
        """The log-odds that a request needs a tool, and those from which on tools are given."""
        share = 0.0 if self.own is None else 1.0
        if self.own is not None and self.familiarity is not None:
            share = self.familiarity.of(features)
        likely = threshold = 0.0
        of_text = (self.prior.text, self.prior.text_need, 1 - share)
        for weights, model, part in ((self.own, self.own_need, share), of_text):
            if weights is not None and model is not None and part:
                likely += part * model.log_odds(with_likeliest(inputs, log_odds(features, weights)))
                threshold += part * model.threshold(recall, precision)
        return likely, threshold


def needed(example: Example, weights: Weights) -> Floats:
    """What the model of need reads of an example that is ranked by these weights."""
    return with_likeliest(example.need, log_odds(example.features, weights))


def leave_out(layout: Layout, comparisons: Comparisons, asked: Ints, left_out: Ints) -> Example:
    """Some demonstrations asked together as one request.

    Args:
        layout: What is indexed.
        comparisons: The request against it, its regressions without those left out.
        asked: Positions of the demonstrations that make the request.
        left_out: Those and their copies, which would give the answer away.
    """
    heard = np.ones(len(comparisons.demo_lexical), dtype=np.bool_)
    heard[left_out] = False
    candidates = gather(layout, comparisons, heard=heard)
    gold = layout.tool_of[np.isin(layout.demo_of, asked)]
    return Example(
        candidates.features,
        np.isin(candidates.tools, gold),
        need_inputs(layout, comparisons, candidates.features, heard=heard),
    )


def fit(
    examples: Sequence[Example],
    prior: Prior,
    *,
    compositions: Sequence[Example] = (),
    strange: Sequence[Floats] = (),
    idle: Sequence[Example] = (),
    undemonstrated: float,
) -> Fit:
    """Learn from demonstrations that were asked again; without any, the prior's text.

    Args:
        examples: What they showed.
        prior: Where the weights start.
        compositions: What two of them showed that were asked as one request. Demonstrations of
            one need each would otherwise teach that a request has one need.
        strange: Features of requests for tools that no demonstration uses.
        idle: What demonstrations showed that are labelled with no tool.
        undemonstrated: Share of the tools that no demonstration uses, 0 to 1.
    """
    needing = [example for example in examples if example.right.any()]
    if not needing:
        return Fit(prior)
    own = fit_weights(
        [*needing, *compositions],
        prior.demonstrated,
        orphan_weight=_orphan_weight(needing, undemonstrated),
    )
    # Of one that has the only demonstration of its tool, the others do not speak.
    spoken_of = [e.features for e in needing if e.features[e.right, _ANY].all()]

    def learnt(start: Familiarity) -> Familiarity | None:
        return fit_familiarity(spoken_of, strange, undemonstrated=undemonstrated, prior=start)

    familiarity = learnt(prior.familiarity)
    sooner = replace(prior.familiarity, intercept=prior.familiarity.intercept + _HEARD)
    return Fit(
        prior,
        own=own,
        own_need=fit_need(
            [needed(example, own) for example in needing],
            [needed(example, own) for example in idle],
            prior.demonstrated_need,
            counts=[familiarity.of(e.features) if familiarity else 1.0 for e in needing],
        ),
        familiarity=familiarity,
        heard=learnt(sooner),
        related=float(np.quantile([e.features[:, _ANY_NEAREST].max() for e in needing], _RELATED)),
    )


def _orphan_weight(examples: Sequence[Example], undemonstrated: float) -> float:
    """What a right tool counts of which only the demonstration that is asked knows.

    Left out, it leaves the tool undemonstrated. Demonstrations that were written to cover the
    catalog, one or two a tool, so seem to say that it is the undemonstrated tools that requests
    need. But no more of them can be than the share of tools that no demonstration uses, if
    requests prefer the demonstrated ones at all; orphans beyond that share are weighed down.
    """
    orphans = needed = 0.0
    for example in examples:
        if example.right.any():
            orphans += float((example.features[example.right, _ANY] == 0).mean())
            needed += 1
    others = needed - orphans
    if orphans == 0 or undemonstrated >= 1:
        return 1.0
    return min(1.0, undemonstrated / (1 - undemonstrated) * others / orphans)


def fit_weights(
    examples: Sequence[Example],
    prior: Weights,
    *,
    strength: float = _STRENGTH,
    orphan_weight: float = 1.0,
) -> Weights:
    """The weights that put the right tools first, held near the prior.

    Minimises the listwise softmax loss (the top-one form of Cao et al., 2007, of each right tool
    against all wrong ones) plus ``strength / 2`` times the squared distance to the prior: the
    maximum a posteriori under a Gaussian prior, with no weight below 0 of a feature that says how
    well a tool fits. Convex, hence deterministic.

    Args:
        examples: Requests with known tools; those without a right or a wrong candidate say
            nothing and are passed over.
        prior: Returned as it is if no example says anything.
        strength: How many examples' worth of loss one unit of distance costs.
        orphan_weight: What a right tool that no demonstration uses counts, 0 to 1.
    """
    from scipy.optimize import minimize  # half a second, which only a fit is worth

    telling = [e for e in examples if e.right.any() and not e.right.all()]
    if not telling:
        return prior
    batch = _Batch.of(telling, prior, orphan_weight)

    def loss(weight: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        distance = weight - prior.weight
        value, gradient = batch.loss(weight)
        return value + strength / 2 * float(distance @ distance), gradient + strength * distance

    start = prior.weight.astype(np.float64)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=_BOUNDS)
    weights = replace(prior, weight=found.x.astype(np.float32))
    return _calibrate(telling, weights, orphan_weight)


def _calibrate(examples: Sequence[Example], weights: Weights, orphan_weight: float) -> Weights:
    """Turn the listwise scores into log-odds (Platt, 1999), held near what ``weights`` says."""
    scores = [listwise_scores(example.features, weights) for example in examples]
    inputs = np.stack(
        [
            np.concatenate(scores),
            np.concatenate([log_shares(some) for some in scores]),
            np.ones(sum(map(len, scores))),
        ],
        axis=1,
    ).astype(np.float64)
    right = np.concatenate([example.right for example in examples]).astype(np.float64)
    # An example counts as a whole: its wrong tools with its right ones.
    counts = np.concatenate(
        [
            np.full(len(e.right), _counts(e.features[e.right], orphan_weight).mean())
            for e in examples
        ]
    )
    start = np.array([weights.slope, weights.share, weights.intercept])

    point = fit_logistic(inputs, right, counts, start, _CALIBRATION_STRENGTH)
    slope, share, intercept = map(float, point)
    return replace(weights, slope=slope, share=share, intercept=intercept)


def _counts(right: NDArray[Any], orphan_weight: float) -> NDArray[np.float64]:
    """What each right tool counts, from its features: shape ``(right,)``."""
    return np.where(right[:, _ANY] == 0, orphan_weight, 1.0)


@dataclass(frozen=True, slots=True)
class _Batch:
    """All examples' candidates in one array, example after example."""

    features: NDArray[np.float64]
    right: NDArray[np.bool_]
    starts: NDArray[np.intp]
    example: NDArray[np.intp]
    share: NDArray[np.float64]
    """What each right tool counts: those of an example together 1, less where it is an orphan."""

    @classmethod
    def of(cls, examples: Sequence[Example], weights: Weights, orphan_weight: float) -> _Batch:
        stacked = np.concatenate([example.features for example in examples]).astype(np.float64)
        lengths = [len(example.right) for example in examples]
        right = np.concatenate([example.right for example in examples])
        of_example = np.repeat(np.arange(len(lengths)), lengths)
        of_right = of_example[right]
        return cls(
            features=(stacked - weights.mean) / weights.scale,
            right=right,
            starts=np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.intp),
            example=of_example,
            share=_counts(stacked[right], orphan_weight) / np.bincount(of_right)[of_right],
        )

    def loss(self, weight: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Sum over the examples of the mean over their right tools, and its gradient."""
        scores = self.features @ weight
        scores -= np.maximum.reduceat(scores, self.starts)[self.example]
        exponentials = np.exp(scores)
        wrong_sums = np.add.reduceat(np.where(self.right, 0, exponentials), self.starts)
        of_right = self.example[self.right]
        normaliser = wrong_sums[of_right] + exponentials[self.right]
        value = float(self.share @ (np.log(normaliser) - scores[self.right]))
        # Of each candidate's feature row in the gradient: as a wrong one, in the normaliser of
        # each right one; as a right one, in its own normaliser, less one.
        pull = np.bincount(of_right, weights=self.share / normaliser)[self.example] * exponentials
        pull[self.right] = self.share * (exponentials[self.right] / normaliser - 1)
        return value, pull @ self.features
