"""The maps of demonstrations give the same comparison as the models that they are made of."""

from __future__ import annotations

from dataclasses import astuple, replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.ranking.vectors import unit
from toolret.ranking.arrays import Floats, products
from toolret.ranking.comparisons import Layout
from toolret.ranking.demo_maps import DemoComparison, DemoMaps, DemoModels
from toolret.ranking.word_vectors import WordRows, WordVectors, tf_idf


def catalog(demos: int = 300) -> tuple[Layout, DemoModels, WordVectors]:
    """Some demonstrations use one tool, some two, some none; some tools are used by none."""
    uses = [[i % 23] if i % 3 else sorted({i % 7, 10 + i % 5}) for i in range(demos)]
    uses[::10] = [[] for _ in uses[::10]]
    sets = {some: i for i, some in enumerate(dict.fromkeys(map(tuple, uses)))}
    layout = Layout(
        tool_vectors=unit(40, 12, seed=1),
        demo_vectors=unit(demos, 12, seed=2),
        demo_of=np.repeat(np.arange(demos), [len(some) for some in uses]),
        tool_of=np.array([tool for some in uses for tool in some]),
        set_of=np.array([i for i, some in enumerate(sets) for _ in some]),
        tool_of_set=np.array([tool for some in sets for tool in some]),
        set_of_demo=np.array([sets[tuple(some)] for some in uses]),
    )
    words = tf_idf([[f"w{i % 11}", f"w{i % 13}"] for i in range(demos)])
    return layout, DemoModels(layout), words


def asked(words: WordVectors, queries: int) -> tuple[Floats, Floats, Floats, WordRows]:
    """Some queries' vectors in search of tools and of demonstrations, and their words."""
    of_words = words.cosines([[f"w{i}", "w12"] for i in range(queries)])
    return unit(queries, 12, seed=3), unit(queries, 12, seed=4), of_words, words.rows()


def compare(maps: DemoMaps, layout: Layout, *request: Any) -> DemoComparison:
    return maps.compare(layout, partial(products, vectors=layout.demo_vectors), *request)


def same(one: DemoComparison, other: DemoComparison) -> None:
    for found, expected in zip(astuple(one), astuple(other), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("demos", [2, 30, 300])
def test_maps_and_models_agree_when_no_demonstration_is_left_out(queries: int, demos: int) -> None:
    layout, models, words = catalog(demos)
    request = asked(words, queries)
    said = compare(models.maps(), layout, *request)
    same(said, models.compare_without(*request, np.empty(0, dtype=np.intp)))
    np.testing.assert_allclose(said.cosines, layout.demo_vectors @ request[1].T, atol=1e-5)
    assert len(said.kriged) == len(np.unique(layout.tool_of))


def test_demonstrations_left_out_have_no_influence() -> None:
    layout, models, words = catalog(300)
    as_tools, as_demos, of_words, rows = asked(words, 2)
    kept, gone = np.arange(240), np.arange(240, 300)  # whose sets are all among the others'
    some = layout.demo_of < 240
    less = replace(
        layout,
        demo_vectors=layout.demo_vectors[kept],
        demo_of=layout.demo_of[some],
        tool_of=layout.tool_of[some],
        set_of_demo=layout.set_of_demo[kept],
    )
    found = models.compare_without(as_tools, as_demos, of_words, rows, gone)
    there = compare(DemoModels(less).maps(), less, as_tools, as_demos, of_words[:, kept], rows)
    np.testing.assert_allclose(found.kriged, there.kriged, atol=2e-4)
    np.testing.assert_allclose(found.aligned, there.aligned, atol=2e-4)


def test_maps_survive_being_stored_as_arrays() -> None:
    layout, models, words = catalog()
    request = asked(words, 2)
    kept = DemoMaps.from_arrays(models.maps().arrays())
    same(compare(kept, layout, *request), compare(models.maps(), layout, *request))
