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
from toolret.ridge import Ridge, fit_ridge, ridge_weights, without
from toolret.signals import Floats, Ints, products, sums_of

__all__ = ["DemoMaps", "DemoModels", "Products", "Said"]

Products: TypeAlias = Callable[[Floats], Floats]
"""From queries, shape ``(queries, dimensions)``, to inner products: ``(queries, vectors)``."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the demonstrations say of a request.

    Attributes:
        cosines: Of each demonstration, shape ``(demos, queries)``.
        ridge: Of each tool, shape ``(tools, queries)``.
        aligned: The queries as the demonstrations' tools would have them: unit vectors, shape
            ``(queries, dimensions)``.
        sets: Discriminants of the sets of tools, shape ``(sets,)``.
        groups: Discriminants of the tools, shape ``(tools,)``.
    """

    cosines: Floats
    ridge: Floats
    aligned: Floats
    sets: Floats
    groups: Floats


@dataclass(frozen=True, slots=True)
class DemoMaps:
    """Small maps of a request, so that one product with the demonstrations' vectors says all.

    What takes time is to read those vectors; whatever else they are summed up to is linear in
    them, and comes of the sums of their products.

    Attributes:
        moments: Of the ridge regression: shape ``(dimensions, dimensions)``.
        shift: From a request to the tools that it needs: shape ``(dimensions, dimensions)``, a row
            for each dimension of what comes of it.
        sets: The sets of tools as groups.
        groups: The tools as groups.
    """

    moments: Floats
    shift: Floats
    sets: Gaussians
    groups: Gaussians

    def say(self, layout: Layout, scan: Products, as_tools: Floats, as_demos: Floats) -> Said:
        """Of a request.

        Args:
            layout: What is indexed.
            scan: From queries to their products with the demonstrations' vectors.
            as_tools: Vectors of the queries in search of tools.
            as_demos: The same in search of demonstrations.
        """
        whole, queries = as_demos[0], len(as_demos)
        to_sets, to_groups = self.sets.asked(whole), self.groups.asked(whole)
        asked = np.concatenate([as_demos, [to_sets], products(as_demos, self.moments), [to_groups]])
        said = scan(asked)
        # Every set is one of a demonstration at least.
        of_sets = np.bincount(layout.set_of_demo, weights=said[queries]).astype(np.float32)
        of_tools = layout.uses.sums(said[queries + 1 :])
        groups = self.groups.discriminants(to_groups, of_tools[queries])
        return Said(
            said[:queries].T,
            layout.uses.spread(of_tools[:queries]).T,
            _unit(as_tools + products(as_demos, self.shift)),
            self.sets.discriminants(to_sets, of_sets),
            layout.uses.spread(groups, empty=groups.min()),
        )

    def arrays(self) -> Arrays:
        """The same as arrays, to be kept in a file."""
        own: Arrays = {"moments": self.moments, "shift": self.shift}
        return nested(own=own, sets=asdict(self.sets), groups=asdict(self.groups))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> DemoMaps:
        """The inverse of ``arrays``."""
        return cls(
            **under(arrays, "own"),
            sets=Gaussians(**under(arrays, "sets")),
            groups=Gaussians(**under(arrays, "groups")),
        )


class DemoModels:
    """The models of which ``DemoMaps`` are made, and which can do without some demonstrations.

    Args:
        layout: What is indexed.
        vectors: Of the demonstrations, shape ``(demos, dimensions)``; at least one.
    """

    def __init__(self, layout: Layout, vectors: Floats) -> None:
        self._layout = layout
        self._vectors = vectors
        self._tools = len(layout.tool_vectors)

    def maps(self) -> DemoMaps:
        """For requests to which all demonstrations speak."""
        return DemoMaps(
            moments=self._ridge.moments,
            shift=np.asarray(self._to_tools.T @ self._ridge.solved, dtype=np.float32),
            sets=gaussians(self._sets),
            groups=gaussians(self._groups),
        )

    def say_without(self, as_tools: Floats, as_demos: Floats, left_out: Ints) -> Said:
        """As ``DemoMaps.say``, as if some demonstrations had not been there."""
        weights = without(self._ridge, ridge_weights(self._ridge, as_demos), left_out)

        def without_some(model: Discriminant) -> Floats:
            return discriminants(centroids(members_without(model, left_out)), as_demos[0])

        return Said(
            products(as_demos, self._vectors).T,
            sums_of(weights[self._layout.demo_of], self._layout.tool_of, self._tools),
            _unit(as_tools + weights.T @ self._to_tools),
            without_some(self._sets),
            without_some(self._groups),
        )

    @cached_property
    def _ridge(self) -> Ridge:
        return fit_ridge(self._vectors)

    @cached_property
    def _sets(self) -> Discriminant:
        of_demo = self._layout.set_of_demo
        demos, sets = np.arange(len(of_demo)), int(of_demo.max()) + 1
        return fit_discriminant(self._vectors, demos, of_demo, sets, covariance="within")

    @cached_property
    def _groups(self) -> Discriminant:
        uses = (self._layout.demo_of, self._layout.tool_of)
        return fit_discriminant(self._vectors, *uses, self._tools, covariance="all")

    @cached_property
    def _to_tools(self) -> Floats:
        """From each demonstration to the mean of its tools: shape ``(demos, dimensions)``."""
        layout, demos = self._layout, self._vectors
        sums = sums_of(layout.tool_vectors[layout.tool_of], layout.demo_of, len(demos))
        uses = np.bincount(layout.demo_of, minlength=len(demos))[:, None]
        return np.where(uses > 0, sums / np.maximum(uses, 1) - demos, 0).astype(np.float32)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-6), dtype=np.float32)
