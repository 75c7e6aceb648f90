from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from toolret.ranking.comparisons import Comparisons, Layout
from toolret.ranking.evidence import DEMO_FEATURES, FEATURES, SIGNALS, gather
from toolret.ranking.familiarity import Familiarity, fit_familiarity
from toolret.ranking.fitting import Example, Fit, Prior, example_of, fit, fit_weights
from toolret.ranking.need import INPUTS, Need
from toolret.ranking.weighing import (
    Weights,
    contributions,
    listwise_scores,
    log_shares,
    probabilities,
)

Array = NDArray[np.float32]


def floats(*rows: list[float] | float) -> Array:
    return np.array(rows, dtype=np.float32)


def column(features: Array, name: str) -> list[float]:
    return [round(float(value), 4) for value in features[:, FEATURES.index(name)]]


LAYOUT = Layout(
    tool_vectors=np.eye(4, dtype=np.float32),
    demo_vectors=np.eye(3, 4, dtype=np.float32),
    demo_of=np.array([0, 1, 1, 2]),
    tool_of=np.array([0, 0, 1, 2]),
    set_of=np.array([0, 1, 1, 2]),
    tool_of_set=np.array([0, 0, 1, 2]),
    set_of_demo=np.array([0, 1, 2]),
)
"""Four tools; three demonstrations, the middle one with two tools."""

GENERAL = floats(0.1, 0.0, 0.5, 0.2)
"""The mean vector of general requests."""

REQUEST = Comparisons(
    dense=floats([0.1, 0.2], [0.4, 0.1], [0.3, 0.9], [0.0, 0.0]),
    aligned=floats([0.1, 0.2], [0.5, 0.1], [0.3, 0.8], [0.0, 0.0]),
    lexical=floats([0.0, 0.0], [6.0, 1.0], [3.0, 2.0], [0.0, 0.0]),
    lexical_cosine=floats([0.0, 0.0], [0.6, 0.2], [0.3, 0.4], [0.0, 0.0]),
    lexical_most=floats(12.0, 8.0),
    names=floats(0.0, 0.5, 0.0, 0.0),
    namespace_names=floats(0.0, 0.0, 1.0, 1.0),
    demo_dense=floats([0.9, 0.2], [0.6, 0.1], [0.1, 0.8]),
    demo_kriged=floats([1.1, -0.1], [0.3, -0.1], [-0.1, 0.7]),
    demo_sets=floats(1.0, 0.0, -1.0),
    demo_lexical=floats(0.8, 0.4, 0.0),
    query_vectors=floats(
        [0.1, 0.4, 0.3, 0], [0.2, 0.1, 0.9, 0], [0.1, 0.5, 0.3, 0], [0.2, 0.1, 0.8, 0]
    ),
)


def plain(**weights: float) -> Weights:
    """Weights of 1 to 1: the score is the weighed sum of the raw features."""
    weight = np.zeros(len(FEATURES), dtype=np.float32)
    for name, value in weights.items():
        weight[FEATURES.index(name)] = value
    zeros, ones = np.zeros_like(weight), np.ones_like(weight)
    return Weights(zeros, ones, weight, slope=1.0, share=0.0, intercept=0.0)


def test_every_feature_belongs_to_one_signal() -> None:
    grouped = sorted(position for positions in SIGNALS.values() for position in positions)
    assert grouped == list(range(len(FEATURES)))


def test_text_features() -> None:
    features = gather(LAYOUT, REQUEST).features
    assert column(features, "dense") == [0.1, 0.4, 0.3, 0.0]
    assert column(features, "dense_clause") == [0.2, 0.4, 0.9, 0.0]
    assert column(features, "dense_gap") == [-0.3, 0.0, -0.1, -0.4]
    # The first has half of what BM25 could give the request, and a quarter for the clause.
    assert column(features, "lexical_trusted") == [0.0, 0.5, 0.125, 0.0]
    assert column(features, "lexical_clause_squared") == [0.0, 1.0, 1.0, 0.0]
    assert column(features, "lexical_clause_cosine") == [0.0, 0.6, 0.4, 0.0]
    assert column(features, "name") == [0.0, 0.5, 0.0, 0.0]
    assert column(features, "name_whole") == [0.0, 0.0, 0.0, 0.0]
    assert column(features, "dense_clause_own_gap") == [-0.3, 0.0, 0.0, -0.4]
    # Who is as far away as any is no one's fourth.
    assert column(features, "dense_clause_own_first") == [0.5, 1.0, 1.0, 0.0]
    assert column(features, "dense_aligned_clause") == [0.2, 0.5, 0.8, 0.0]
    assert column(features, "lexical_clause_own_first") == [0.0, 1.0, 1.0, 0.0]
    assert column(features, "lexical_clause_own_trusted") == [0.0, 0.5, 0.25, 0.0]
    assert column(features, "namespace_name") == [0.0, 0.0, 1.0, 1.0]
    assert column(features, "neighbours") == [0.3333, 0.3333, 0.3333, 0.0]


def test_demonstration_features() -> None:
    features = gather(LAYOUT, REQUEST).features
    assert column(features, "demo_clause_nearest") == [0.9, 0.6, 0.8, 0.0]
    # Shares of 1, e^-3 and e^-6, the first two of which both use the first tool.
    assert column(features, "demo_set_share") == [-0.0014, -3.03, -5.6971, 0.0]
    assert column(features, "demo_kriged") == [1.1, 0.3, -0.1, 0.0]
    # What is said against a tool is no more than nothing for it: the logarithm of a thousandth.
    assert column(features, "demo_kriged_log") == [0.0962, -1.2006, -6.9078, 0.0]
    assert column(features, "demo_kriged_clause") == [1.1, 0.3, 0.7, 0.0]
    assert column(features, "demo_count") == [1.0986, 0.6931, 0.6931, 0.0]
    assert column(features, "demo_any_nearest") == [0.9, 0.9, 0.9, 0.0]
    assert column(features, "demo_covered") == [0.75, 0.75, 0.75, 0.0]
    assert column(features, "demo_lexical_nearest") == [0.8, 0.4, 0.0, 0.0]


def test_a_tool_without_demonstrations_has_no_demonstration_features() -> None:
    features = gather(LAYOUT, REQUEST).features
    assert not features[3, -len(DEMO_FEATURES) :].any()


def test_demonstrations_that_are_not_heard_count_as_not_indexed() -> None:
    heard = np.array([False, True, True])
    features = gather(LAYOUT, REQUEST, heard=heard).features
    assert column(features, "demo_clause_nearest") == [0.6, 0.6, 0.8, 0.0]
    assert column(features, "demo_count") == [0.6931, 0.6931, 0.6931, 0.0]
    silent = gather(LAYOUT, REQUEST, heard=np.zeros(3, dtype=np.bool_)).features
    assert not silent[:, -len(DEMO_FEATURES) :].any()


def test_tools_that_are_not_allowed_count_as_not_indexed() -> None:
    candidates = gather(LAYOUT, REQUEST, allowed=np.array([True, False, True, False]))
    assert candidates.tools.tolist() == [0, 2]
    assert column(candidates.features, "dense_gap") == [-0.2, 0.0]
    assert column(candidates.features, "lexical_trusted") == [0.0, 0.25]


def test_no_tool_is_found_if_none_is_allowed() -> None:
    candidates = gather(LAYOUT, REQUEST, allowed=np.zeros(4, dtype=np.bool_))
    assert candidates.features.shape == (0, len(FEATURES))
    assert listwise_scores(candidates.features, plain()).shape == (0,)


def test_a_name_that_is_said_in_full_counts_besides_its_share() -> None:
    said = replace(REQUEST, names=floats(0.9, 1.0, 0.0, 0.0))
    assert column(gather(LAYOUT, said).features, "name_whole") == [0.0, 1.0, 0.0, 0.0]


def test_contributions_add_up_to_the_score() -> None:
    features = gather(LAYOUT, REQUEST).features
    weights = plain(dense=2, demo_clause_nearest=3, name=-1)
    assert np.allclose(
        contributions(features, weights).sum(axis=1), listwise_scores(features, weights)
    )


def test_scores_become_shares_and_log_odds_become_probabilities() -> None:
    assert log_shares(floats(0.0, 0.0)).tolist() == pytest.approx([-np.log(2)] * 2)
    assert probabilities(floats(0.0, 100.0, -100.0)).tolist() == pytest.approx([0.5, 1, 0])


NEED = Need((1.0,) + (0.0,) * (INPUTS - 1), 0.0, needing=(0.0,) * 101, idle=(-1.0, 0.5))


def random_examples(count: int, seed: int = 0) -> list[Example]:
    """Requests for which ``dense`` tells the right tool and all else is noise."""
    rng = np.random.default_rng(seed)
    examples = []
    for _ in range(count):
        features = rng.normal(size=(20, len(FEATURES))).astype(np.float32)
        right = np.zeros(20, dtype=np.bool_)
        right[features[:, FEATURES.index("dense")].argmax()] = True
        examples.append(Example(features, right, rng.normal(size=INPUTS - 1).astype(np.float32)))
    return examples


def test_a_fit_finds_the_feature_that_tells_right_tools_from_wrong_ones() -> None:
    weights = fit_weights(random_examples(1000), plain())
    assert int(weights.weight.argmax()) == FEATURES.index("dense")
    fresh = random_examples(100, seed=1)
    right = [e.right[listwise_scores(e.features, weights).argmax()] for e in fresh]
    assert np.mean(right) > 0.9


def test_a_fit_is_deterministic() -> None:
    first, again = (fit_weights(random_examples(50), plain()) for _ in range(2))
    assert np.array_equal(first.weight, again.weight)
    assert (first.slope, first.share, first.intercept) == (
        again.slope,
        again.share,
        again.intercept,
    )


def test_no_examples_leave_the_prior_and_few_hardly_move_it() -> None:
    prior = plain(lexical_trusted=2)
    useless = Example(
        np.zeros((3, len(FEATURES)), np.float32),
        np.zeros(3, np.bool_),
        np.zeros(INPUTS - 1, np.float32),
    )
    assert fit_weights([], prior) is prior
    assert fit_weights([useless], prior) is prior
    moved = [
        float(np.linalg.norm(fit_weights(random_examples(n), prior).weight - prior.weight))
        for n in (1, 10, 100)
    ]
    assert 0 < moved[0] < moved[1] < moved[2]


def test_probabilities_are_calibrated() -> None:
    weights = fit_weights(random_examples(300), plain())
    fresh = random_examples(300, seed=1)
    scores = [listwise_scores(each.features, weights) for each in fresh]
    log_odds = [weights.slope * some + weights.share * log_shares(some) for some in scores]
    likely = probabilities(np.concatenate(log_odds) + np.float32(weights.intercept))
    right = np.concatenate([e.right for e in fresh])
    assert likely.mean() == pytest.approx(right.mean(), rel=0.1)
    sure = likely > 0.5
    assert likely[sure].mean() == pytest.approx(right[sure].mean(), abs=0.1)


def test_demonstrations_are_asked_without_themselves_and_their_copies() -> None:
    example = example_of(LAYOUT, REQUEST, np.array([0]), np.array([0, 1]), GENERAL)
    assert example.right.tolist() == [True, False, False, False]
    assert column(example.features, "demo_clause_nearest") == [0.0, 0.0, 0.8, 0.0]
    pair = example_of(LAYOUT, REQUEST, np.array([0, 2]), np.array([0, 2]), GENERAL)
    assert pair.right.tolist() == [True, False, True, False]
    assert column(pair.features, "demo_clause_nearest") == [0.6, 0.6, 0.0, 0.0]


UNTAUGHT = Familiarity(0.0, 0.0, 0.0)


def request(nearest: float, covered: float) -> Array:
    features = np.zeros((2, len(FEATURES)), dtype=np.float32)
    features[0, FEATURES.index("demo_any_nearest")] = nearest
    features[0, FEATURES.index("demo_covered")] = covered
    return features


def test_an_unfamiliar_request_is_ranked_by_the_tools_texts() -> None:
    prior = Prior(plain(dense=2), plain(), NEED, NEED, UNTAUGHT, GENERAL)
    learnt = Fit(prior, plain(dense=4), NEED, heard=Familiarity(20.0, 20.0, -20.0))

    def weight_at(nearest: float, covered: float) -> float:
        weights = learnt.weights(request(nearest, covered))
        return round(float(weights.weight[FEATURES.index("dense")]), 2)

    assert [weight_at(0.1, 0.0), weight_at(0.5, 0.5), weight_at(0.9, 0.9)] == [2, 3, 4]
    assert weight_at(0.9, 0.0) < 2.5
    assert learnt.weights(np.empty((0, len(FEATURES)), np.float32)).weight.max() == pytest.approx(2)


def test_fitting_nothing_gives_the_prior() -> None:
    prior = Prior(plain(), plain(dense=1), NEED, NEED, UNTAUGHT, GENERAL)
    assert fit([], prior, undemonstrated=0.5) == Fit(prior)
    assert Fit(prior).weights(request(0.9, 0.9)) is prior.text


def test_familiarity_tells_demonstrations_from_descriptions_of_other_tools() -> None:
    near = [request(0.6 + i / 1000, 0.3) for i in range(300)]
    far = [request(0.1 + i / 1000, 0.1) for i in range(300)]
    learnt = fit_familiarity(near, far, undemonstrated=0.9, prior=UNTAUGHT)
    assert learnt is not None
    assert learnt.probability(request(0.8, 0.3)) > 0.85
    assert learnt.probability(request(0.1, 0.0)) < 0.15
    # The less there is that demonstrations do not show, the less often a request is about it.
    sure = fit_familiarity(near, far, undemonstrated=0.05, prior=UNTAUGHT)
    assert sure is not None
    assert sure.probability(request(0.4, 0.2)) > learnt.probability(request(0.4, 0.2))


def test_a_few_demonstrations_hardly_move_what_public_data_taught() -> None:
    prior = Familiarity(4.0, 4.0, -4.0)
    alike = [request(0.2, 0.0)] * 3  # of each other, when each is asked without itself
    learnt = fit_familiarity(alike, [request(0.1, 0.0)] * 50, undemonstrated=0.9, prior=prior)
    assert learnt is not None
    assert learnt.probability(request(0.1, 0.0)) < 0.25
    assert learnt.probability(request(0.8, 0.2)) > 0.5


def test_the_ranking_uses_demonstrations_at_lower_familiarity_than_need_does() -> None:
    prior = Prior(plain(), plain(), NEED, NEED, Familiarity(4.0, 4.0, -4.0), GENERAL)
    strange = [request(0.1, 0.0)] * 20
    learnt = fit(random_examples(3), prior, strange=strange, undemonstrated=0.9)
    assert learnt.familiarity is not None
    assert learnt.heard is not None
    here = request(0.5, 0.15)
    assert learnt.familiarity.probability(here) < 0.5 < learnt.heard.probability(here)


def test_where_every_tool_is_demonstrated_every_request_is_familiar() -> None:
    learnt = fit(
        random_examples(20),
        Prior(plain(), plain(), NEED, NEED, UNTAUGHT, GENERAL),
        undemonstrated=0.0,
    )
    assert learnt.familiarity is None
    assert learnt.heard is None
    assert learnt.weights(request(0.0, 0.0)) is learnt.own
