"""The fast form of the ranking gives what its plain form gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ranking import plain_ranking
from toolret.ranking.arrays import Floats, top
from toolret.ranking.comparisons import Comparisons, Layout
from toolret.ranking.evidence import FEATURES, Candidates, gather


def random_request(
    seed: int, *, tools: int, demos: int, queries: int
) -> tuple[Layout, Comparisons]:
    """Cosines with many ties, as copies of tools have them, and words that few tools share."""
    rng = np.random.default_rng(seed)

    def values(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).round(rng.integers(1, 4)).astype(np.float32)

    def words(*shape: int) -> np.ndarray:
        return (values(*shape).clip(0) * (rng.random(shape) < 0.2)).astype(np.float32)

    vectors = values(tools, 8)
    uses = rng.integers(0, tools, size=(demos, 2))
    sets, set_of_demo = np.unique(np.sort(uses, axis=1), axis=0, return_inverse=True)
    layout = Layout(
        tool_vectors=vectors,
        demo_vectors=values(demos, 8),
        demo_of=np.repeat(np.arange(demos), 2),
        tool_of=uses.ravel(),
        set_of=np.repeat(np.arange(len(sets)), 2),
        tool_of_set=sets.ravel(),
        set_of_demo=set_of_demo,
    )
    return layout, Comparisons(
        dense=values(tools, queries),
        aligned=values(tools, queries),
        lexical=words(tools, queries),
        lexical_cosine=words(tools, queries),
        lexical_most=rng.uniform(5, 30, queries).astype(np.float32),
        names=rng.choice(np.array([0, 0.5, 1], np.float32), tools, p=[0.9, 0.09, 0.01]),
        namespace_names=rng.random(tools, dtype=np.float32).round(1),
        demo_dense=values(demos, queries),
        demo_kriged=values(len(np.unique(uses)), queries),
        demo_sets=values(len(sets)),
        demo_lexical=words(demos),
    )


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    tools=st.integers(1, 700),
    demos=st.integers(0, 200),
    queries=st.integers(1, 4),
    some_allowed=st.booleans(),
    some_heard=st.booleans(),
)
def test_the_evidence_is_that_of_the_plain_form(
    seed: int, tools: int, demos: int, queries: int, some_allowed: bool, some_heard: bool
) -> None:
    layout, comparisons = random_request(seed, tools=tools, demos=demos, queries=queries)
    rng = np.random.default_rng(seed)
    allowed = rng.random(tools) < 0.6 if some_allowed else None
    heard = rng.random(demos) < 0.6 if some_heard else None
    found = gather(layout, comparisons, allowed=allowed, heard=heard)
    plain = plain_ranking.gather(layout, comparisons, allowed=allowed, heard=heard)
    assert found.tools.tolist() == plain.tools.tolist()
    np.testing.assert_allclose(found.features, plain.features, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("some_allowed", [False, True])
@pytest.mark.parametrize("queries", [1, 3])
def test_rough_cosines_give_the_evidence_of_exact_ones(queries: int, some_allowed: bool) -> None:
    """Which tools are put forward may differ; what is said of them does not."""
    tools = 2_000
    layout, comparisons = random_request(7, tools=tools, demos=20, queries=queries)
    rng = np.random.default_rng(1)
    asked = rng.normal(size=(2 * queries, 8)).astype(np.float32)
    exact = layout.tool_vectors @ asked.T
    rough = exact + rng.normal(scale=0.02, size=exact.shape).astype(np.float32)
    assert top(rough[:, 0], 20).tolist() != top(exact[:, 0], 20).tolist()
    allowed = rng.random(tools) < 0.6 if some_allowed else None

    def evidence(cosines: Floats, asked: Floats | None) -> Candidates:
        dense, aligned = cosines[:, :queries], cosines[:, queries:]
        some = replace(comparisons, dense=dense, aligned=aligned, query_vectors=asked)
        return gather(layout, some, allowed=allowed)

    one, other = evidence(exact, None), evidence(rough, asked)
    common = np.intersect1d(one.tools, other.tools)
    assert len(common) > 0.95 * len(one.tools)
    differences = np.abs(
        one.features[np.isin(one.tools, common)] - other.features[np.isin(other.tools, common)]
    ).max(axis=0)
    # The first 60 of a query are ranked: whose rank is the 60th, and has 1/60, may differ.
    assert differences[FEATURES.index("dense_clause_own_first")] <= 1 / 58
    assert np.delete(differences, FEATURES.index("dense_clause_own_first")).max() < 1e-4


@pytest.mark.parametrize("size", [1, 40, 300, 5_000])
@pytest.mark.parametrize("levels", [1, 9, 10_000])
@pytest.mark.parametrize("empty", [0, 0.8])
def test_the_first_of_equals_is_the_first_by_position(size: int, levels: int, empty: float) -> None:
    rng = np.random.default_rng(size)
    values = rng.integers(0, levels, size).astype(np.float32) * (rng.random(size) >= empty)
    values = values.astype(np.float32)
    order = np.argsort(-values, kind="stable")
    for count in (1, 5, 40):
        assert top(values, count).tolist() == order[:count].tolist()
