"""What demonstrations say by one product is what the models say of which it is made."""

from __future__ import annotations

from dataclasses import astuple
from functools import partial

import numpy as np
import pytest

from toolret.comparisons import Layout
from toolret.demo_maps import DemoMaps, DemoModels, Said
from toolret.signals import Floats, products


def unit(*shape: int, seed: int) -> Floats:
    vectors = np.random.default_rng(seed).normal(size=shape)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def catalog(demos: int = 300) -> tuple[Layout, Floats, DemoModels]:
    """Some demonstrations use one tool, some two, some none; some tools are used by none."""
    uses = [[i % 23] if i % 3 else sorted({i % 7, 10 + i % 5}) for i in range(demos)]
    uses[::10] = [[] for _ in uses[::10]]
    sets = {some: i for i, some in enumerate(dict.fromkeys(map(tuple, uses)))}
    layout = Layout(
        tool_vectors=unit(40, 12, seed=1),
        demo_of=np.repeat(np.arange(demos), [len(some) for some in uses]),
        tool_of=np.array([tool for some in uses for tool in some]),
        set_of=np.array([i for i, some in enumerate(sets) for _ in some]),
        tool_of_set=np.array([tool for some in sets for tool in some]),
        set_of_demo=np.array([sets[tuple(some)] for some in uses]),
    )
    vectors = unit(demos, 12, seed=2)
    return layout, vectors, DemoModels(layout, vectors)


def same(one: Said, other: Said) -> None:
    for found, expected in zip(astuple(one), astuple(other), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("queries", [1, 3])
def test_the_maps_say_what_the_models_say_when_none_is_left_out(queries: int) -> None:
    layout, vectors, models = catalog()
    as_tools, as_demos = unit(queries, 12, seed=3), unit(queries, 12, seed=4)
    said = models.maps().say(layout, partial(products, vectors=vectors), as_tools, as_demos)
    same(said, models.say_without(as_tools, as_demos, np.empty(0, dtype=np.intp)))
    np.testing.assert_allclose(said.cosines, vectors @ as_demos.T, atol=1e-5)
    used = np.unique(layout.tool_of)
    assert not np.delete(said.ridge, used, axis=0).any()
    assert (np.delete(said.groups, used) == said.groups.min()).all()


def test_the_maps_are_kept_as_arrays() -> None:
    layout, vectors, models = catalog()
    as_tools, as_demos = unit(2, 12, seed=3), unit(2, 12, seed=4)
    kept = DemoMaps.from_arrays(models.maps().arrays())
    scan = partial(products, vectors=vectors)
    same(
        kept.say(layout, scan, as_tools, as_demos),
        models.maps().say(layout, scan, as_tools, as_demos),
    )
