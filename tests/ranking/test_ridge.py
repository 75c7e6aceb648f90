from __future__ import annotations

import numpy as np
import pytest

from tests.ranking.vectors import unit
from toolret.ranking.ridge import fit_ridge, ridge_weights, ridge_weights_without


def test_the_weights_predict_what_is_linear_in_the_vectors() -> None:
    demos, queries = unit(400, 8, seed=0), unit(5, 8, seed=1)
    truth = np.arange(8, dtype=np.float32)
    predicted = (demos @ truth) @ ridge_weights(fit_ridge(demos), queries)
    assert predicted == pytest.approx(queries @ truth, abs=0.05)


@pytest.mark.parametrize("left_out", [[3, 17, 18], list(range(0, 40, 3)), list(range(40))])
def test_leaving_demonstrations_out_is_the_same_as_fitting_without_them(
    left_out: list[int],
) -> None:
    demos, queries = unit(40, 8, seed=0), unit(5, 8, seed=1)
    ridge = fit_ridge(demos)
    changed = ridge_weights_without(ridge, ridge_weights(ridge, queries), np.array(left_out))
    kept = np.setdiff1d(np.arange(40), left_out)
    assert not changed[left_out].any()
    assert changed[kept] == pytest.approx(ridge_weights(fit_ridge(demos[kept]), queries), abs=1e-4)


def test_copies_share_one_vote() -> None:
    one, other = np.eye(8, dtype=np.float32)[:2]
    demos = np.stack([one, one, one, other])
    weights = ridge_weights(fit_ridge(demos), np.stack([one, other]))
    assert weights[:3, 0].sum() == pytest.approx(weights[3, 1], abs=0.12)
