from __future__ import annotations

import numpy as np
import pytest

from toolret.ranking.arrays import Floats, Ints
from toolret.ranking.discriminant import (
    centroids,
    discriminant_without,
    discriminants,
    fit_discriminant,
)


def clouds(seed: int = 0) -> tuple[Floats, Ints]:
    """Three groups that differ in one direction and vary thirty times as much in another."""
    rng = np.random.default_rng(seed)
    group = np.repeat([0, 1, 2], 200)
    points = rng.normal(size=(600, 6)) * [0.1, 3, 0.1, 0.1, 0.1, 0.1]
    points[:, 0] += group * 0.5
    return points.astype(np.float32), group


def test_differences_within_groups_count_little() -> None:
    points, group = clouds()
    demos = np.arange(len(points))
    model = fit_discriminant(points, demos, group, 3)
    fresh, truth = clouds(seed=1)
    found = np.array([discriminants(centroids(model), point).argmax() for point in fresh])
    assert (found == truth).mean() > 0.95
    means = np.stack([points[group == i].mean(axis=0) for i in range(3)])
    nearest = ((fresh[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == truth).mean() < 0.75


def test_leaving_out_takes_members_from_their_groups() -> None:
    points, group = clouds()
    model = fit_discriminant(points, np.arange(600), group, 3)
    less = discriminant_without(model, np.array([0, 1, 599]))
    assert less.counts.tolist() == [198, 200, 199]
    kept = (points[2:200] - model.centre) @ model.whitening
    assert less.sums[0] == pytest.approx(kept.sum(axis=0), abs=0.02)
    assert model.counts.tolist() == [200, 200, 200]


def test_an_empty_group_fits_like_the_worst() -> None:
    points, group = clouds()
    model = fit_discriminant(points, np.arange(600), group * 2, 5)
    fits = discriminants(centroids(model), points[0])
    assert fits[1] == fits[3] == fits.min()
    nobody = discriminant_without(model, np.arange(600))
    assert discriminants(centroids(nobody), points[0]).tolist() == [0] * 5


def test_one_demonstration_a_group_and_copies_of_one_do_no_harm() -> None:
    one = np.ones((3, 4), dtype=np.float32)
    model = fit_discriminant(one, np.arange(3), np.arange(3), 3)
    assert np.isfinite(discriminants(centroids(model), one[0])).all()
