"""Linear discriminant analysis of groups of demonstrations (Fisher, 1936; Rao, 1948).

Each group is modelled by a Gaussian distribution, and all groups share one covariance. What varies
within the groups, such as the names and dates that requests mention, then counts little, and what
tells the groups apart counts much. The model is in closed form: it consists of the groups' means
and the covariance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolret.ranking.arrays import Bools, Floats, Grouping, Ints, products

__all__ = [
    "Centroids",
    "Discriminant",
    "Gaussians",
    "centroids",
    "discriminant_without",
    "discriminants",
    "fit_discriminant",
    "gaussians",
]

_SHRINKAGE = 0.5
"""Shrinkage of the covariance to a sphere, in demonstrations that it counts per dimension, so that
many demonstrations outweigh it (the mean of an inverse Wishart posterior)."""

_PRIOR_COUNT = 0.5
"""Shrinkage of each group's mean to the mean of all, in demonstrations at that place."""


@dataclass(frozen=True, slots=True)
class Discriminant:
    """The fitted model, with all groups' members in the space where the groups are spheres.

    Attributes:
        centre: Mean of all demonstrations, shape ``(dimensions,)``.
        whitening: Map into that space, of centred vectors as rows: shape
            ``(dimensions, dimensions)``.
        members: Whitened vectors of the demonstrations, shape ``(demos, dimensions)``.
        sums: Sums of each group's whitened members, shape ``(groups, dimensions)``.
        counts: The number of members of each group, shape ``(groups,)``.
        member: The demonstration of each membership, shape ``(memberships,)``.
        group: The group of each membership, shape ``(memberships,)``.
    """

    centre: Floats
    whitening: Floats
    members: Floats
    sums: Floats
    counts: Floats
    member: Ints
    group: Ints


def fit_discriminant(vectors: Floats, member: Ints, group: Ints, groups: int) -> Discriminant:
    """Fit the model to groups of demonstrations.

    Args:
        vectors: Vectors of the demonstrations, shape ``(demos, dimensions)``.
        member: The demonstration of each membership, shape ``(memberships,)``; one may be in
            several groups.
        group: The group of each membership, shape ``(memberships,)``.
        groups: The number of groups, some of which may be empty.
    """
    dimensions = vectors.shape[1]
    centre = vectors.mean(axis=0)
    centred = vectors - centre
    counts = np.bincount(group, minlength=groups).astype(np.float32)
    grouping = Grouping(member, group, groups)
    sums = np.zeros((groups, dimensions), dtype=np.float32)
    sums[grouping.filled] = grouping.sums(centred, axis=0)
    spread = centred[member] - (sums / np.maximum(counts, 1)[:, None])[group]
    freedom = len(member) - int(np.count_nonzero(counts))
    scatter = (spread.T @ spread).astype(np.float64)
    sphere = np.trace(scatter) / max(freedom, 1) / dimensions or 1.0
    scatter[np.diag_indices_from(scatter)] += _SHRINKAGE * dimensions * sphere
    precision = np.linalg.inv(scatter / (freedom + _SHRINKAGE * dimensions))
    whitening = np.linalg.cholesky(precision).astype(np.float32)
    return Discriminant(
        centre, whitening, centred @ whitening, sums @ whitening, counts, member, group
    )


@dataclass(frozen=True, slots=True)
class Centroids:
    """The groups by their means, to compare queries with.

    Attributes:
        centre: Mean of all demonstrations, shape ``(dimensions,)``.
        whitening: Map into the space where the groups are spheres, of centred vectors as rows:
            shape ``(dimensions, dimensions)``.
        means: Shrunk means of the groups that are not empty, shape ``(filled, dimensions)``.
        halves: Half the squared length of each mean, shape ``(filled,)``.
        filled: Whether each group has a member, shape ``(groups,)``.
    """

    centre: Floats
    whitening: Floats
    means: Floats
    halves: Floats
    filled: Bools


def centroids(model: Discriminant) -> Centroids:
    """Return the means of a model's groups."""
    filled = model.counts > 0
    means = model.sums[filled] / (model.counts[filled] + _PRIOR_COUNT)[:, None]
    halves = 0.5 * np.einsum("ij,ij->i", means, means)
    return Centroids(model.centre, model.whitening, means, halves, filled)


def discriminants(groups: Centroids, query: Floats) -> Floats:
    """Return how well a query fits each group: shape ``(groups,)``.

    Discriminants are logarithms of likelihoods, up to a constant of the query, and standardised
    over the groups: as they are, they would be far too confident in hundreds of dimensions. An
    empty group fits like the worst of the others.

    Args:
        groups: The groups.
        query: Vector of the query, shape ``(dimensions,)``.
    """
    fits = np.zeros(len(groups.filled), dtype=np.float32)
    if groups.filled.any():
        whitened = (query - groups.centre) @ groups.whitening
        filled_fits = _standardise(groups.means @ whitened - groups.halves)
        fits[:] = filled_fits.min()
        fits[groups.filled] = filled_fits
    return fits


@dataclass(frozen=True, slots=True)
class Gaussians:
    """The groups without their means, to compare queries by products with the groups' members.

    A mean's product with a query follows from the sum of its members' products. So nothing as large
    as the means has to be stored, or read for each request.

    Attributes:
        centre: Mean of all demonstrations, shape ``(dimensions,)``.
        precision: Inverse of the covariance, shape ``(dimensions, dimensions)``.
        counts: The number of members of each group that is not empty, shape ``(filled,)``.
        halves: Half the squared length of each of these groups' shrunk means, shape ``(filled,)``.
    """

    centre: Floats
    precision: Floats
    counts: Floats
    halves: Floats

    def probe(self, query: Floats) -> Floats:
        """Return the vector to multiply the members with for a query: ``(dimensions,)``."""
        return np.asarray(products((query - self.centre)[None], self.precision)[0])

    def discriminants(self, probe: Floats, sums: Floats) -> Floats:
        """Return what ``discriminants`` returns for the groups that are not empty: ``(filled,)``.

        Args:
            probe: The vector that ``probe`` returned for the query.
            sums: Sums of the products of each group's members with it, shape ``(filled,)``.
        """
        centred = sums - self.counts * (self.centre @ probe)
        return _standardise(centred / (self.counts + np.float32(_PRIOR_COUNT)) - self.halves)


def gaussians(model: Discriminant) -> Gaussians:
    """Return a model's groups without their means."""
    groups = centroids(model)
    precision = model.whitening @ model.whitening.T
    return Gaussians(model.centre, precision, model.counts[groups.filled], groups.halves)


def _standardise(values: NDArray[Any]) -> Floats:
    """Return values less their mean, in units of their standard deviation."""
    return np.asarray((values - values.mean()) / (values.std() + 1e-6), dtype=np.float32)


def discriminant_without(model: Discriminant, left_out: Ints) -> Discriminant:
    """Return a model as if some demonstrations did not exist, but with the same covariance."""
    gone = np.flatnonzero(np.isin(model.member, left_out))
    sums, counts = model.sums.copy(), model.counts.copy()
    np.subtract.at(sums, model.group[gone], model.members[model.member[gone]])
    np.subtract.at(counts, model.group[gone], 1)
    return replace(model, sums=sums, counts=counts)
