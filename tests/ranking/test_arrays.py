"""Fast operations on arrays give the same values as plain ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolret.ranking.arrays import Grouping, products


@pytest.mark.parametrize("vectors", [0, 1, 63, 64, 65, 1_000])
@pytest.mark.parametrize(
    ("queries", "dimensions"), [(1, 8), (4, 384), (17, 384), (2, 5_000), (9, 0)]
)
def test_products_by_pieces_are_the_product(vectors: int, queries: int, dimensions: int) -> None:
    rng = np.random.default_rng(vectors)
    asked = rng.normal(size=(queries, dimensions)).astype(np.float32)
    known = rng.normal(size=(vectors, dimensions)).astype(np.float32)
    found = products(asked, known)
    assert found.shape == (queries, vectors)
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, asked @ known.T, atol=1e-3)


def test_products_of_nothing_are_none() -> None:
    none = np.empty((0, 0), dtype=np.float32)
    assert products(np.ones((2, 3), dtype=np.float32), none).shape == (2, 0)


@given(seed=st.integers(0, 2**32), memberships=st.integers(0, 60), groups=st.integers(1, 20))
def test_groups_are_summed_and_compared(seed: int, memberships: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    member, group = rng.integers(0, 30, memberships), rng.integers(0, groups, memberships)
    values = rng.normal(size=(2, 30)).astype(np.float32)
    sums, best = np.zeros((2, groups), np.float32), np.zeros((2, groups), np.float32)
    for m, g in zip(member, group, strict=True):
        sums[:, g] += values[:, m]
        best[:, g] = np.maximum(best[:, g], values[:, m])
    made = Grouping(member, group, groups)
    assert made.filled.tolist() == sorted(set(group.tolist()))
    assert made.counts.tolist() == [group.tolist().count(g) for g in made.filled]
    np.testing.assert_allclose(made.spread(made.sums(values)), sums, atol=1e-5)
    assert made.spread(made.best(values)).tolist() == best.tolist()
    some = np.array([0, groups - 1])
    assert made.members(some).tolist() == sorted(set(member[np.isin(group, some)].tolist()))
