"""Compare a request with the demonstrations, by maps that are computed from them once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np

from toolret.embedders.unit_vectors import unit
from toolret.forking import cached_property
from toolret.ranking.arrays import Floats, Grouping, Ints, products, ranges
from toolret.ranking.comparisons import Layout
from toolret.ranking.discriminant import (
    Discriminant,
    Gaussians,
    centroids,
    discriminant_without,
    discriminants,
    fit_discriminant,
    gaussians,
)
from toolret.ranking.kriging import Nearest, krige
from toolret.ranking.ridge import Ridge, fit_ridge, ridge_weights, ridge_weights_without
from toolret.ranking.word_vectors import WordRows
from toolret.stores.derived import Arrays, nested, under

__all__ = ["DemoComparison", "DemoMaps", "DemoModels", "Products"]

Products: TypeAlias = Callable[[Floats], Floats]
"""A function from queries, shape ``(queries, dimensions)``, to their inner products with certain
vectors, shape ``(queries, vectors)``."""


@dataclass(frozen=True, slots=True)
class DemoComparison:
    """A request compared with the demonstrations.

    Attributes:
        cosines: Cosines of the demonstrations with the queries, shape ``(demos, queries)``.
        kriged: Prediction for each tool that is used, near 1 if a query needs it and near 0 if not:
            shape ``(used, queries)``, in the order of ``Layout.uses.filled``.
        aligned: Unit vectors of the queries, moved to where the demonstrations suggest that their
            tools lie: shape ``(queries, dimensions)``.
        sets: Discriminants of the sets of tools, shape ``(sets,)``.
    """

    cosines: Floats
    kriged: Floats
    aligned: Floats
    sets: Floats


@dataclass(frozen=True, slots=True)
class DemoMaps:
    """Linear maps with which a request reads the demonstrations' vectors only once.

    Reading those vectors is what takes time. All that the models compute beyond their products
    with the request is linear in them, so it is either one of these maps or a sum of products.

    Attributes:
        tools: Trend of each tool that is used, as a vector whose product with a query is the
            prediction: shape ``(used, dimensions)``, in the order of ``Layout.uses.filled``.
        shift: Trend of the way from a query to its tools, as a matrix with a row for each
            dimension of the outcome: shape ``(dimensions, dimensions)``.
        sets: The sets of tools, as groups of demonstrations.
    """

    tools: Floats
    shift: Floats
    sets: Gaussians

    def compare(
        self,
        layout: Layout,
        scan: Products,
        as_tools: Floats,
        as_demos: Floats,
        word_cosines: Floats,
        demo_words: WordRows,
    ) -> DemoComparison:
        """Compare a request with all demonstrations.

        Args:
            layout: The vectors and uses of the index.
            scan: The products of queries with the demonstrations' vectors.
            as_tools: Vectors of the queries to compare with tools, ``(queries, dimensions)``.
            as_demos: Vectors of the queries to compare with demonstrations, same shape.
            word_cosines: Cosines of the queries' words with the demonstrations', shape
                ``(queries, demos)``.
            demo_words: The demonstrations' words.
        """
        probe = self.sets.probe(as_demos[0])
        multiplied = scan(np.concatenate([as_demos, [probe]]))
        cosines = multiplied[:-1]
        # Every set is that of at least one demonstration.
        set_sums = np.bincount(layout.set_of_demo, weights=multiplied[-1]).astype(np.float32)
        near = krige(
            as_demos, cosines, word_cosines, layout.demo_vectors, demo_words, layout.set_of_demo
        )
        np.put_along_axis(cosines, near.demos, near.cosines, axis=1)
        # What the nearest leave unexplained goes to the trend.
        rest = as_demos - near.means
        kriged = products(rest, self.tools)
        moved = as_tools + products(rest, self.shift)
        _add_nearest(layout, near, kriged, moved)
        return DemoComparison(
            cosines.T, kriged.T, unit(moved), self.sets.discriminants(probe, set_sums)
        )

    def arrays(self) -> Arrays:
        """Return the maps as arrays, to be stored in a file."""
        own: Arrays = {"tools": self.tools, "shift": self.shift}
        return nested(own=own, sets=asdict(self.sets))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> DemoMaps:
        """Return the maps whose ``arrays`` these are."""
        return cls(**under(arrays, "own"), sets=Gaussians(**under(arrays, "sets")))


class DemoModels:
    """Models of the demonstrations, from which some can be left out; ``DemoMaps`` are made of them.

    Args:
        layout: The vectors and uses of the index, with at least one demonstration.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def maps(self) -> DemoMaps:
        """Return the maps for requests that are compared with all demonstrations."""
        return DemoMaps(
            tools=self._layout.uses.sums(self._ridge.solved, axis=0),
            shift=np.asarray(self._shifts.T @ self._ridge.solved, dtype=np.float32),
            sets=gaussians(self._sets),
        )

    def compare_without(
        self,
        as_tools: Floats,
        as_demos: Floats,
        word_cosines: Floats,
        demo_words: WordRows,
        left_out: Ints,
    ) -> DemoComparison:
        """Compare a request as ``DemoMaps.compare`` does, as if some demonstrations did not exist.

        Args:
            as_tools: Vectors of the queries to compare with tools, ``(queries, dimensions)``.
            as_demos: Vectors of the queries to compare with demonstrations, same shape.
            word_cosines: Cosines of the queries' words with the demonstrations', shape
                ``(queries, demos)``.
            demo_words: The demonstrations' words.
            left_out: Positions of the demonstrations that are left out.
        """
        layout = self._layout
        cosines = products(as_demos, layout.demo_vectors)
        near = krige(
            as_demos,
            cosines,
            word_cosines,
            layout.demo_vectors,
            demo_words,
            layout.set_of_demo,
            left_out,
        )
        rest = as_demos - near.means
        weights = ridge_weights(self._ridge, rest)
        weights = ridge_weights_without(self._ridge, weights, left_out)
        near.add_to(weights.T)
        sets = centroids(discriminant_without(self._sets, left_out))
        return DemoComparison(
            cosines.T,
            layout.uses.sums(weights, axis=0),
            unit(as_tools + weights.T @ self._shifts),
            discriminants(sets, as_demos[0]),
        )

    @cached_property
    def _ridge(self) -> Ridge:
        """The trend of the demonstrations."""
        return fit_ridge(self._layout.demo_vectors)

    @cached_property
    def _sets(self) -> Discriminant:
        """The sets of tools, as groups of demonstrations."""
        sets_of_demos = self._layout.set_of_demo
        demos, sets = np.arange(len(sets_of_demos)), int(sets_of_demos.max()) + 1
        return fit_discriminant(self._layout.demo_vectors, demos, sets_of_demos, sets)

    @cached_property
    def _shifts(self) -> Floats:
        """The way from each demonstration to the mean of its tools: shape ``(demos, dimensions)``.

        It is 0 for a demonstration that uses no tool.
        """
        layout, demos = self._layout, self._layout.demo_vectors
        tools = Grouping(layout.tool_of, layout.demo_of, len(demos))
        means = tools.sums(layout.tool_vectors, axis=0) / tools.counts[:, None]
        shifts = np.zeros(demos.shape, dtype=np.float32)
        shifts[tools.filled] = means - demos[tools.filled]
        return shifts


def _add_nearest(layout: Layout, near: Nearest, kriged: Floats, moved: Floats) -> None:
    """Add, in place, the predictions of the nearest demonstrations to those of the trend.

    Args:
        layout: The vectors and uses of the index.
        near: The demonstrations nearest to each query.
        kriged: Predictions for the tools that are used, shape ``(queries, used)``.
        moved: Vectors of the queries on their way to their tools, ``(queries, dimensions)``.
    """
    for row, (demos, weights) in enumerate(zip(near.demos, near.weights, strict=True)):
        starts, ends = layout.starts[demos], layout.starts[demos + 1]
        uses, counts = ranges(starts, ends), ends - starts
        use_weights = np.repeat(weights, counts)
        np.add.at(kriged[row], layout.column_of[uses], use_weights)
        # From each demonstration to the mean of its tools; one that uses none moves nothing.
        use_weights /= np.repeat(counts, counts)
        moved[row] += use_weights @ layout.tool_vectors[layout.tool_of[uses]] - near.means[row]
        if not counts.all():
            idle = counts == 0
            moved[row] += weights[idle] @ layout.demo_vectors[demos[idle]]
