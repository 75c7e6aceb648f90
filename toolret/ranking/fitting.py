"""Learn how to weigh the evidence, from demonstrations that are asked as requests.

Each demonstration is a request whose tools are known. Asked with itself left out of the index,
it shows what every signal is worth in this catalog. But it shows the catalog through the
demonstrations: where they cover one part only, the weights are wrong for the rest. Two things
correct for that. The weights start from a prior fitted on public data, and move away from it only
as far as the demonstrations make them. And they are used for a request only in proportion to its
familiarity; for the rest, it is ranked by the tools' texts alone, as if there were no
demonstrations.
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

__all__ = ["Example", "Fit", "Prior", "example_of", "fit", "fit_weights", "need_inputs_of"]

_RELATED = 0.05
"""A demonstration is near enough to a request to be shown if their cosine reaches this quantile of
the demonstrations' cosines, each with the nearest other one."""

_STRENGTH = 20.0
"""Loss that one unit of distance from the prior costs, in examples. With 7 a catalog whose
demonstrations need one tool each learns that all requests do. 7, 14 and 28 were measured on eight
public sets, each with a prior to which it had given nothing: this lies between the better two."""

_CALIBRATION_STRENGTH = 7.0
"""Loss that one unit of distance costs, in examples, for the three parameters that turn scores into
log-odds, which are learnt from few examples."""

_BOUNDS = [(None if name in CONTEXT else 0.0, None) for name in FEATURES]
"""Lower and upper bounds of the weights. What fits better must not count against a tool: without
bounds, features that are nearly the same get large weights of opposite signs, which hold for
requests like the demonstrations and for no others."""

_HEARD = 2.0
"""Log-odds that the ranking adds to the prior of familiarity. Using the weights for demonstrations
loses little where these say little, whereas using those for texts loses much where demonstrations
say all. Between 1.5 and 3 makes no difference on public sets with 10 to 3,000 demonstrations; with
3 of them, 3 costs some sets half a point."""

_ANY = FEATURES.index("demo_any")
"""The column that says whether a demonstration uses the tool."""

_ANY_NEAREST = FEATURES.index("demo_any_nearest")
"""The column of the nearest demonstration's cosine."""


@dataclass(frozen=True, slots=True)
class Example:
    """A request with known tools, as the ranking sees it.

    Attributes:
        features: Features of its candidates, shape ``(candidates, len(FEATURES))``.
        right: Whether the request needs each candidate, shape ``(candidates,)``.
        need: Inputs of the model of need that ``need_inputs`` returned, shape ``(INPUTS - 1,)``.
    """

    features: Floats
    right: NDArray[np.bool_]
    need: Floats


@dataclass(frozen=True, slots=True)
class Prior:
    """The models that were fitted on public data, for one embedder.

    Attributes:
        text: Weights for the tools' texts alone: those of demonstrations are 0.
        demonstrated: Weights for requests that demonstrations speak of.
        text_need: Model of need by the tools' texts alone.
        demonstrated_need: Model of need for requests that demonstrations speak of.
        familiarity: Model of whether demonstrations speak of a request.
        general: Mean vector of general requests, shape ``(dimensions,)``.
        cosines: Scale of the embedder's cosines.
    """

    text: Weights
    demonstrated: Weights
    text_need: Need
    demonstrated_need: Need
    familiarity: Familiarity
    general: Floats
    cosines: CosineScale = DEFAULT_SCALE


@dataclass(frozen=True, slots=True)
class Fit:
    """The models that were fitted to the demonstrations of an index.

    Attributes:
        prior: Models for a request that demonstrations do not speak of, which is ranked as if there
            were none.
        own: Weights for a request that they speak of; None without demonstrations.
        own_need: Model of need for a request that they speak of; None without demonstrations.
        familiarity: Model of whether demonstrations speak of a request; None if they speak of all.
        heard: Model of the share of ``own`` in a request's weights, which is larger than its
            familiarity; None if demonstrations speak of all requests.
        related: Least cosine of a request with a demonstration that may be shown for it.
    """

    prior: Prior
    own: Weights | None = None
    own_need: Need | None = None
    familiarity: Familiarity | None = None
    heard: Familiarity | None = None
    related: float = 0.0

    def weights(self, features: Floats) -> Weights:
        """Return the weights for a request whose candidates have these features.

        They are a mixture, so that no threshold divides requests.
        """
        if self.own is None:
            return self.prior.text
        if self.heard is None:
            return self.own
        return blend(self.own, self.prior.text, self.heard.probability(features))

    def need(
        self, features: Floats, inputs: Floats, *, recall: float, precision: float | None
    ) -> tuple[float, float]:
        """Return the log-odds that a request needs a tool, and those from which on it gets tools.

        Both are mixtures by familiarity of what the own models and the prior's say.

        Args:
            features: Features of the request's candidates.
            inputs: Inputs of the request, which ``need_inputs`` returned.
            recall: Share of the requests needing a tool that are to get tools, as
                ``Need.threshold`` takes it.
            precision: Least share of requests needing a tool among those that get tools, as
                ``Need.threshold`` takes it; None if there is no such target.
        """

        def judge(weights: Weights, model: Need) -> tuple[float, float]:
            likeliest = with_likeliest(inputs, log_odds(features, weights))
            return model.log_odds(likeliest), model.threshold(recall, precision)

        if self.own is None or self.own_need is None:
            return judge(self.prior.text, self.prior.text_need)
        share = 1.0 if self.familiarity is None else self.familiarity.probability(features)
        if share == 1:
            return judge(self.own, self.own_need)
        by_prior, threshold = judge(self.prior.text, self.prior.text_need)
        if share == 0:  # where 0 times an infinite threshold would be no number
            return by_prior, threshold
        by_own, own_threshold = judge(self.own, self.own_need)
        return (
            share * by_own + (1 - share) * by_prior,
            share * own_threshold + (1 - share) * threshold,
        )


def need_inputs_of(example: Example, weights: Weights) -> Floats:
    """Return all inputs of the model of need for an example that is ranked by these weights."""
    return with_likeliest(example.need, log_odds(example.features, weights))


def example_of(
    layout: Layout, comparisons: Comparisons, asked: Ints, left_out: Ints, general: Floats
) -> Example:
    """Return the example of some demonstrations that are asked together as one request.

    Args:
        layout: The vectors and uses of the index.
        comparisons: The comparisons of the request with the index, without those left out.
        asked: Positions of the demonstrations that make up the request.
        left_out: Positions of these and of their copies, which would give the answer away.
        general: Mean vector of general requests, shape ``(dimensions,)``.
    """
    heard = np.ones(len(comparisons.demo_lexical), dtype=np.bool_)
    heard[left_out] = False
    candidates = gather(layout, comparisons, heard=heard)
    gold = layout.tool_of[np.isin(layout.demo_of, asked)]
    return Example(
        candidates.features,
        np.isin(candidates.tools, gold),
        need_inputs(layout, comparisons, candidates.features, general, heard=heard),
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
    """Fit the models to demonstrations that were asked; without any, the prior holds.

    Args:
        examples: Examples of single demonstrations.
        prior: Models to start from, and to stay near to.
        compositions: Examples of two demonstrations that were asked as one request. Demonstrations
            of one need each would otherwise teach that a request has one need.
        strange: Features of the candidates of each request for a tool that no demonstration uses.
        idle: Examples of single demonstrations that are labelled with no tool.
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
    # The others do not speak of a demonstration that is the only one of its tool.
    familiar = [e.features for e in needing if e.features[e.right, _ANY].all()]

    def fitted(start: Familiarity) -> Familiarity | None:
        return fit_familiarity(familiar, strange, undemonstrated=undemonstrated, prior=start)

    familiarity = fitted(prior.familiarity)
    sooner = replace(prior.familiarity, intercept=prior.familiarity.intercept + _HEARD)
    return Fit(
        prior,
        own=own,
        own_need=fit_need(
            [need_inputs_of(example, own) for example in needing],
            [need_inputs_of(example, own) for example in idle],
            prior.demonstrated_need,
            sample_weights=[
                familiarity.probability(e.features) if familiarity else 1.0 for e in needing
            ],
        ),
        familiarity=familiarity,
        heard=fitted(sooner),
        related=float(np.quantile([e.features[:, _ANY_NEAREST].max() for e in needing], _RELATED)),
    )


def _orphan_weight(examples: Sequence[Example], undemonstrated: float) -> float:
    """Return the weight of an orphan: a right tool that only the asked demonstration uses.

    Leaving that demonstration out leaves the tool undemonstrated. So where demonstrations were
    written to cover the catalog, one or two for each tool, they seem to say that requests need the
    undemonstrated tools. But if requests prefer demonstrated tools at all, the share of requests
    that need others can be no more than the share of tools that no demonstration uses; orphans
    beyond that share are weighed down.
    """
    orphans = requests = 0.0
    for example in examples:
        if example.right.any():
            orphans += float((example.features[example.right, _ANY] == 0).mean())
            requests += 1
    others = requests - orphans
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
    """Return the weights that put the right tools first, held near the prior.

    Minimises the listwise softmax loss (the top-one form of Cao et al., 2007, of each right tool
    against all wrong ones) plus ``strength / 2`` times the squared distance to the prior: the
    maximum a posteriori under a Gaussian prior, with no weight below 0 of a feature that says how
    well a tool fits. Convex, hence deterministic.

    Args:
        examples: Requests with known tools; those without a right or a wrong candidate tell
            nothing and are skipped.
        prior: Weights to start from and to stay near to; returned as they are if no example tells
            anything.
        strength: Loss that one unit of distance from the prior costs, in examples.
        orphan_weight: Weight of a right tool that no demonstration uses, 0 to 1.
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
    weight = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=_BOUNDS).x
    weights = replace(prior, weight=weight.astype(np.float32))
    return _calibrate(telling, weights, orphan_weight)


def _calibrate(examples: Sequence[Example], weights: Weights, orphan_weight: float) -> Weights:
    """Return weights whose log-odds are calibrated (Platt, 1999), held near those given."""
    scores = [listwise_scores(example.features, weights) for example in examples]
    inputs = np.stack(
        [
            np.concatenate(scores),
            np.concatenate([log_shares(example_scores) for example_scores in scores]),
            np.ones(sum(map(len, scores))),
        ],
        axis=1,
    ).astype(np.float64)
    right = np.concatenate([example.right for example in examples]).astype(np.float64)
    # All candidates of an example have one weight: its wrong tools weigh what its right ones do.
    sample_weights = np.concatenate(
        [
            np.full(len(e.right), _right_weights(e.features[e.right], orphan_weight).mean())
            for e in examples
        ]
    )
    start = np.array([weights.slope, weights.share, weights.intercept])
    point = fit_logistic(inputs, right, sample_weights, start, _CALIBRATION_STRENGTH)
    slope, share, intercept = map(float, point)
    return replace(weights, slope=slope, share=share, intercept=intercept)


def _right_weights(right: NDArray[Any], orphan_weight: float) -> NDArray[np.float64]:
    """Return the weight of each right tool, given by its features: shape ``(right,)``."""
    return np.where(right[:, _ANY] == 0, orphan_weight, 1.0)


@dataclass(frozen=True, slots=True)
class _Batch:
    """All examples' candidates in one array, example after example.

    Attributes:
        features: Standardised features of the candidates, shape ``(candidates, len(FEATURES))``.
        right: Whether each candidate is a right tool, shape ``(candidates,)``.
        starts: Position of each example's first candidate, shape ``(examples,)``.
        example: The example of each candidate, shape ``(candidates,)``.
        share: Weight of each right tool, shape ``(right,)``: those of an example add up to 1, or to
            less if there are orphans among them.
    """

    features: NDArray[np.float64]
    right: NDArray[np.bool_]
    starts: NDArray[np.intp]
    example: NDArray[np.intp]
    share: NDArray[np.float64]

    @classmethod
    def of(cls, examples: Sequence[Example], weights: Weights, orphan_weight: float) -> _Batch:
        """Return the batch of some examples, their features standardised as by ``weights``."""
        stacked = np.concatenate([example.features for example in examples]).astype(np.float64)
        lengths = [len(example.right) for example in examples]
        right = np.concatenate([example.right for example in examples])
        example_of_row = np.repeat(np.arange(len(lengths)), lengths)
        example_of_right = example_of_row[right]
        return cls(
            features=(stacked - weights.mean) / weights.scale,
            right=right,
            starts=np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.intp),
            example=example_of_row,
            share=_right_weights(stacked[right], orphan_weight)
            / np.bincount(example_of_right)[example_of_right],
        )

    def loss(self, weight: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the sum over examples of the mean loss of their right tools, and its gradient."""
        scores = self.features @ weight
        scores -= np.maximum.reduceat(scores, self.starts)[self.example]
        exponentials = np.exp(scores)
        wrong_sums = np.add.reduceat(np.where(self.right, 0, exponentials), self.starts)
        example_of_right = self.example[self.right]
        normaliser = wrong_sums[example_of_right] + exponentials[self.right]
        value = float(self.share @ (np.log(normaliser) - scores[self.right]))
        # The factor of each candidate's features in the gradient: a wrong one is in the normaliser
        # of each right one; a right one is in its own normaliser, less one.
        pull = (
            np.bincount(example_of_right, weights=self.share / normaliser)[self.example]
            * exponentials
        )
        pull[self.right] = self.share * (exponentials[self.right] / normaliser - 1)
        return value, pull @ self.features
