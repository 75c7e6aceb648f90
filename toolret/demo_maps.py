"""Demonstrations as a request meets them: all that has to be computed of them only once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from toolret.comparisons import Layout
from toolret.derived import Arrays, nested, under
from toolret.discriminant import (
    Discriminant,
    Gaussians,
    centroids,
    discriminants,
    fit_discriminant,
    gaussians,
)
from toolret.discriminant import without as members_without
from toolret.kriging import krige
from toolret.ridge import Ridge, fit_ridge, ridge_weights, without
from toolret.signals import Floats, Ints, products, sums_of
from toolret.word_vectors import WordRows

__all__ = ["DemoMaps", "DemoModels", "Products", "Said"]

Products: TypeAlias = Callable[[Floats], Floats]
"""From queries, shape ``(queries, dimensions)``, to inner products: ``(queries, vectors)``."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the demonstrations say of a request.

    Attributes:
        cosines: Of each demonstration, shape ``(demos, queries)``.
        kriged: Of each tool, shape ``(tools, queries)``.
        aligned: The queries as the demonstrations' tools would have them: unit vectors, shape
            ``(queries, dimensions)``.
        sets: Discriminants of the sets of tools, shape ``(sets,)``.
    """

    cosines: Floats
    kriged: Floats
    aligned: Floats
    sets: Floats


@dataclass(frozen=True, slots=True)
class DemoMaps:
    """Small maps of a request, so that products with the demonstrations' vectors say all.

    What takes time is to read those vectors; whatever else they are summed up to is linear in
    them, and comes of the sums of their products.

    Attributes:
        moments: Of the ridge regression: shape ``(dimensions, dimensions)``.
        shift: From a request to the tools that it needs: shape ``(dimensions, dimensions)``, a row
            for each dimension of what comes of it.
        sets: The sets of tools as groups.
    """

    moments: Floats
    shift: Floats
    sets: Gaussians

    def say(
        self,
        layout: Layout,
        scan: Products,
        as_tools: Floats,
        as_demos: Floats,
        words: Floats,
        rows: WordRows,
    ) -> Said:
        """Of a request.

        Args:
            layout: What is indexed.
            scan: From queries to their products with the demonstrations' vectors.
            as_tools: Vectors of the queries in search of tools.
            as_demos: The same in search of demonstrations.
            words: Cosines of the queries' words with the demonstrations', shape
                ``(queries, demos)``.
            rows: The demonstrations' words.
        """
        to_sets = self.sets.asked(as_demos[0])
        said = scan(np.concatenate([as_demos, [to_sets]]))
        cosines = said[:-1]
        # Every set is one of a demonstration at least.
        of_sets = np.bincount(layout.set_of_demo, weights=said[-1]).astype(np.float32)
        near = krige(cosines, words, layout.demo_vectors, rows)
        rest = as_demos - near.means
        weights = scan(products(rest, self.moments))
        near.add_to(weights)
        to_tools = _to_tools(layout, near.demos.ravel()).reshape(*near.demos.shape, -1)
        moved = np.einsum("ij,ijk->ik", near.weights, to_tools)
        return Said(
            cosines.T,
            layout.uses.spread(layout.uses.sums(weights)).T,
            _unit(as_tools + products(rest, self.shift) + moved),
            self.sets.discriminants(to_sets, of_sets),
        )

    def arrays(self) -> Arrays:
        """The same as arrays, to be kept in a file."""
        own: Arrays = {"moments": self.moments, "shift": self.shift}
        return nested(own=own, sets=asdict(self.sets))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> DemoMaps:
        """The inverse of ``arrays``."""
        return cls(**under(arrays, "own"), sets=Gaussians(**under(arrays, "sets")))


class DemoModels:
    """The models of which ``DemoMaps`` are made, and which can do without some demonstrations.

    Args:
        layout: What is indexed, with one demonstration at least.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def maps(self) -> DemoMaps:
        """For requests to which all demonstrations speak."""
        return DemoMaps(
            moments=self._ridge.moments,
            shift=np.asarray(self._shifts.T @ self._ridge.solved, dtype=np.float32),
            sets=gaussians(self._sets),
        )

    def say_without(
        self, as_tools: Floats, as_demos: Floats, words: Floats, rows: WordRows, left_out: Ints
    ) -> Said:
        """As ``DemoMaps.say``, as if some demonstrations had not been there."""
        layout = self._layout
        cosines = products(as_demos, layout.demo_vectors)
        near = krige(cosines, words, layout.demo_vectors, rows, left_out)
        rest = as_demos - near.means
        weights = without(self._ridge, ridge_weights(self._ridge, rest), left_out)
        near.add_to(weights.T)
        sets = centroids(members_without(self._sets, left_out))
        return Said(
            cosines.T,
            sums_of(weights[layout.demo_of], layout.tool_of, len(layout.tool_vectors)),
            _unit(as_tools + weights.T @ self._shifts),
            discriminants(sets, as_demos[0]),
        )

    @cached_property
    def _ridge(self) -> Ridge:
        return fit_ridge(self._layout.demo_vectors)

    @cached_property
    def _sets(self) -> Discriminant:
        of_demo = self._layout.set_of_demo
        demos, sets = np.arange(len(of_demo)), int(of_demo.max()) + 1
        return fit_discriminant(self._layout.demo_vectors, demos, of_demo, sets)

    @cached_property
    def _shifts(self) -> Floats:
        return _to_tools(self._layout, np.arange(len(self._layout.demo_vectors)))


def _to_tools(layout: Layout, demos: Ints) -> Floats:
    """From each of some demonstrations to the mean of its tools: shape ``(demos, dimensions)``."""
    starts, ends = (np.searchsorted(layout.demo_of, demos, side) for side in ("left", "right"))
    counts = ends - starts
    which = np.repeat(np.arange(len(demos)), counts)
    uses = np.arange(len(which)) + np.repeat(ends - np.cumsum(counts), counts)
    sums = sums_of(layout.tool_vectors[layout.tool_of[uses]], which, len(demos))
    means = sums / np.maximum(counts, 1)[:, None]
    moved = np.where(counts[:, None] > 0, means - layout.demo_vectors[demos], 0)
    return np.asarray(moved, dtype=np.float32)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-6), dtype=np.float32)
