"""Whether a request needs a tool at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ranking.test_evidence import GENERAL, LAYOUT, REQUEST
from toolret.ranking.arrays import Floats
from toolret.ranking.evidence import gather
from toolret.ranking.need import INPUTS, Need, fit_need, need_inputs, with_likeliest


def inputs(rng: np.random.Generator, nearest: float, idle: float) -> Floats:
    noise = rng.normal(scale=0.05, size=INPUTS)
    return (np.array([0.5, 0.5, nearest, idle, 0.1, 0.4, 0.8, -1.0]) + noise).astype(np.float32)


def both_kinds(count: int, seed: int = 0) -> tuple[list[Floats], list[Floats]]:
    rng = np.random.default_rng(seed)
    needing = [inputs(rng, 0.8, 0.3) for _ in range(count)]
    return needing, [inputs(rng, 0.5, 0.6) for _ in range(count)]


def asked_of(**limits: Any) -> Floats:
    features = gather(LAYOUT, REQUEST, **limits).features
    return need_inputs(LAYOUT, REQUEST, features, GENERAL, heard=limits.get("heard"))


def test_the_inputs_are_the_largest_values_of_each_kind() -> None:
    found = asked_of()
    assert found[0] == REQUEST.dense[:, 0].max()
    assert found[1] == REQUEST.dense.max()
    uses = np.unique(LAYOUT.demo_of)
    assert found[2] == REQUEST.demo_dense[uses, 0].max()
    assert found[4] == pytest.approx(0.1 * 0.1 + 0.3 * 0.5)
    # 12 is what the request's words could give, and log(10) another that none of four texts has.
    assert found[5] == pytest.approx(6 / (12 + np.log(10)))
    assert found[6] == REQUEST.demo_kriged[:, 0].max()
    one_allowed = asked_of(allowed=np.array([False, False, True, False]))
    assert one_allowed[[0, 1, 6]].tolist() == pytest.approx([0.3, 0.9, 0])
    assert one_allowed[5] == pytest.approx(found[5] / 2)
    nothing_allowed = asked_of(allowed=np.zeros(4, np.bool_))
    assert nothing_allowed[[0, 1, 5, 6]].tolist() == [0, 0, 0, 0]
    unheard = asked_of(heard=np.zeros(len(REQUEST.demo_dense), np.bool_))
    assert unheard[2:4].tolist() == [0, 0]


def test_need_is_learnt_from_requests_of_both_kinds() -> None:
    learnt = fit_need(*both_kinds(50))
    needing, idle = both_kinds(50, seed=1)
    least = learnt.threshold(recall=0.95)
    assert np.mean([learnt.log_odds(each) >= least for each in needing]) > 0.85
    assert np.mean([learnt.log_odds(each) >= least for each in idle]) < 0.05


def test_without_requests_of_both_kinds_the_prior_stays() -> None:
    known = tuple(np.linspace(-4, 0, 101).tolist())
    prior = Need((1.0, 2.0, 3.0, 0.0, 1.0, 1.0, 1.0, 1.0), -9.0, needing=known, idle=(-1.0, 0.5))
    assert fit_need([], [], prior) == prior
    needing, _ = both_kinds(95)
    learnt = fit_need(needing, [], prior)
    assert (learnt.weights, learnt.intercept, learnt.idle) == (prior.weights, -9.0, prior.idle)
    # The threshold is that of the requests at hand, among which the prior's count as five.
    own = np.median([learnt.log_odds(each) for each in needing])
    assert learnt.threshold(recall=0.5) == pytest.approx(0.95 * own + 0.05 * -2, abs=1e-5)


def test_a_few_requests_hardly_move_the_threshold() -> None:
    known = tuple(np.linspace(-4, 0, 101).tolist())
    prior = Need((0.0,) * (INPUTS - 1) + (1.0,), 0.0, needing=known, idle=())
    alone = [with_likeliest(np.zeros(INPUTS - 1, np.float32), np.array([-9.0], np.float32))] * 3
    assert fit_need(alone, [], prior).threshold(recall=1 - 1e-9) > -6
    # Those of which other demonstrations do not speak count less.
    strange = fit_need(alone, [], prior, sample_weights=[0.1] * 3)
    assert strange.threshold(recall=1 - 1e-9) == pytest.approx((0.3 * -9 + 5 * -4) / 5.3)
    many = fit_need(
        [*alone, *(with_likeliest(a[:-1], np.ones(1, np.float32)) for a in alone * 99)], [], prior
    )
    assert many.threshold(recall=0.98) == pytest.approx((300 * 0 + 5 * -3.92) / 305, abs=1)


def test_the_likeliest_tools_log_odds_are_an_input() -> None:
    inputs = np.zeros(INPUTS - 1, np.float32)
    assert with_likeliest(inputs, np.array([-1.0, 2.0, 0.5], np.float32))[-1] == 2
    assert with_likeliest(inputs, np.empty(0, np.float32))[-1] == -10


def test_a_precision_target_raises_the_threshold_until_it_holds() -> None:
    need = Need(
        (1.0,) + (0.0,) * (INPUTS - 1),
        0.0,
        needing=tuple(np.linspace(-1, 0, 101).tolist()),
        idle=tuple(np.linspace(-1.5, -0.5, 101).tolist()),
    )
    assert need.threshold(recall=1.0) < -1e9
    assert need.threshold(recall=0.9) == pytest.approx(-0.9)
    # At -0.9 there are 0.90 needing to 0.41 idle; at -0.6, 0.60 to 0.10.
    assert need.threshold(recall=0.9, precision=0.68) == pytest.approx(-0.9)
    assert need.threshold(recall=0.9, precision=0.85) == pytest.approx(-0.6, abs=0.02)
    assert need.threshold(recall=0.9, precision=1.0) == pytest.approx(-0.49, abs=0.02)


def test_a_request_more_likely_in_need_than_not_is_refused_for_precision_only() -> None:
    need = Need(
        (1.0,) + (0.0,) * (INPUTS - 1),
        0.0,
        needing=tuple(np.linspace(2, 3, 101).tolist()),
        idle=tuple(np.linspace(0, 2.5, 101).tolist()),
    )
    assert need.threshold(recall=0.99) == 0
    assert need.threshold(recall=0.99, precision=0.8) == pytest.approx(2.0, abs=0.02)
