"""Demonstrations as a request meets them: all that has to be computed of them only once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np

from toolret.forking import cached_property
from toolret.ranking.arrays import Floats, Ints, products, ranges, sums_of
from toolret.ranking.comparisons import Layout
from toolret.ranking.discriminant import (
    Discriminant,
    Gaussians,
    centroids,
    discriminants,
    fit_discriminant,
    gaussians,
)
from toolret.ranking.discriminant import without as members_without
from toolret.ranking.kriging import krige
from toolret.ranking.ridge import Ridge, fit_ridge, ridge_weights, without
from toolret.ranking.word_vectors import WordRows
from toolret.stores.derived import Arrays, nested, under

__all__ = ["DemoMaps", "DemoModels", "Products", "Said"]

Products: TypeAlias = Callable[[Floats], Floats]
"""From queries, shape ``(queries, dimensions)``, to inner products: ``(queries, vectors)``."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the demonstrations say of a request.

    Attributes:
        cosines: Of each demonstration, shape ``(demos, queries)``.
        kriged: Of each tool that is used, in the order of ``Layout.uses``, shape
            ``(used, queries)``.
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
    """Maps of a request, so that the demonstrations' vectors are read once for it.

    What takes time is to read those vectors; whatever else they are summed up to is linear in
    them, and comes of the sums of their products.

    Attributes:
        tools: What the ridge regression's answer for each tool that is used is a product with:
            shape ``(used, dimensions)``, in the order of ``Layout.uses``.
        shift: From a request to the tools that it needs: shape ``(dimensions, dimensions)``, a row
            for each dimension of what comes of it.
        sets: The sets of tools as groups.
    """

    tools: Floats
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
        near = krige(as_demos, cosines, words, layout.demo_vectors, rows, layout.set_of_demo)
        np.put_along_axis(cosines, near.demos, near.cosines, axis=1)
        rest = as_demos - near.means
        kriged = products(rest, self.tools)
        moved = as_tools + products(rest, self.shift)
        for row, (demos, weights) in enumerate(zip(near.demos, near.weights, strict=True)):
            starts, ends = layout.starts[demos], layout.starts[demos + 1]
            uses, counts = ranges(starts, ends), ends - starts
            of_uses = np.repeat(weights, counts)
            np.add.at(kriged[row], layout.column_of[uses], of_uses)
            # From each to the mean of its tools; one that uses none moves nothing.
            of_uses /= np.repeat(counts, counts)
            moved[row] += of_uses @ layout.tool_vectors[layout.tool_of[uses]] - near.means[row]
            if not counts.all():
                idle = counts == 0
                moved[row] += weights[idle] @ layout.demo_vectors[demos[idle]]
        return Said(
            cosines.T,
            kriged.T,
            _unit(moved),
            self.sets.discriminants(to_sets, of_sets),
        )

    def arrays(self) -> Arrays:
        """The same as arrays, to be kept in a file."""
        own: Arrays = {"tools": self.tools, "shift": self.shift}
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
        layout = self._layout
        of_uses = self._ridge.solved[layout.demo_of]
        return DemoMaps(
            tools=sums_of(of_uses, layout.column_of, len(layout.uses.filled)),
            shift=np.asarray(self._shifts.T @ self._ridge.solved, dtype=np.float32),
            sets=gaussians(self._sets),
        )

    def say_without(
        self, as_tools: Floats, as_demos: Floats, words: Floats, rows: WordRows, left_out: Ints
    ) -> Said:
        """As ``DemoMaps.say``, as if some demonstrations had not been there."""
        layout = self._layout
        cosines = products(as_demos, layout.demo_vectors)
        near = krige(
            as_demos, cosines, words, layout.demo_vectors, rows, layout.set_of_demo, left_out
        )
        rest = as_demos - near.means
        weights = without(self._ridge, ridge_weights(self._ridge, rest), left_out)
        near.add_to(weights.T)
        sets = centroids(members_without(self._sets, left_out))
        return Said(
            cosines.T,
            sums_of(weights[layout.demo_of], layout.column_of, len(layout.uses.filled)),
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
        """From each demonstration to the mean of its tools: shape ``(demos, dimensions)``."""
        layout, demos = self._layout, self._layout.demo_vectors
        sums = sums_of(layout.tool_vectors[layout.tool_of], layout.demo_of, len(demos))
        uses = np.bincount(layout.demo_of, minlength=len(demos))[:, None]
        return np.where(uses > 0, sums / np.maximum(uses, 1) - demos, 0).astype(np.float32)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-6), dtype=np.float32)
