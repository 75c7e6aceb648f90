from __future__ import annotations

import numpy as np
import pytest

from toolret.evaluation.statistics import compare, confidence_interval


def test_an_interval_holds_the_mean_and_narrows_with_more_requests() -> None:
    rng = np.random.default_rng(3)
    few, many = (rng.random(n).tolist() for n in (30, 3_000))
    wide, narrow = confidence_interval(few), confidence_interval(many)
    assert wide[0] < np.mean(few) < wide[1]
    # Of uniform values: 1.96 / sqrt(12 n) to each side.
    assert narrow[1] - narrow[0] == pytest.approx(2 * 1.96 / np.sqrt(12 * 3_000), rel=0.15)
    assert wide[1] - wide[0] > 5 * (narrow[1] - narrow[0])
    assert confidence_interval([1.0, 1.0]) == (1.0, 1.0)
    assert confidence_interval(few) == wide


def test_a_paired_test_finds_a_small_steady_difference_and_no_chance_one() -> None:
    rng = np.random.default_rng(4)
    theirs = {str(i): float(value) for i, value in enumerate(rng.random(200))}
    steady = {id_: value + 0.02 + 0.01 * rng.random() for id_, value in theirs.items()}
    chance = {id_: value + float(rng.normal()) * 0.1 for id_, value in theirs.items()}
    assert compare(steady, theirs).p_value < 0.01
    assert compare(steady, theirs).interval[0] > 0
    found = compare(chance, theirs)
    assert found.p_value > 0.05
    assert found.interval[0] < 0 < found.interval[1]
    assert compare(theirs, theirs).p_value == 1
    assert compare(theirs, theirs).difference == 0


@pytest.mark.parametrize("requests", [9, 10, 150])
def test_where_few_requests_differ_all_ways_to_swap_them_are_tried(requests: int) -> None:
    theirs = {str(i): 0.0 for i in range(requests)}
    for better in range(1, 10):
        ours = {id_: float(int(id_) < better) for id_ in theirs}
        assert compare(ours, theirs).p_value == 2 / 2**better
