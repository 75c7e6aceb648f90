"""Demonstrations as groups: linear discriminant analysis (Fisher, 1936; Rao, 1948).

Demonstrations are grouped by what they are of, and each group is taken for a Gaussian cloud; all
have one covariance. What varies within the groups, such as the names and dates that requests
mention, then counts little, and what tells the groups apart counts much. Nothing is trained: the
means and the covariance are all there is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolret.ranking.arrays import Bools, Floats, Ints, products, sums_of

__all__ = [
    "Centroids",
    "Discriminant",
    "Gaussians",
    "centroids",
    "discriminants",
    "fit_discriminant",
    "gaussians",
    "without",
]

_SHRINKAGE = 0.5
"""Of the covariance to a sphere: demonstrations' worth of it for each dimension, so that many
demonstrations outweigh it (the mean of an inverse Wishart posterior)."""

_PRIOR_COUNT = 0.5
"""Of each group's mean to the mean of all: how many demonstrations there that is worth."""


@dataclass(frozen=True, slots=True)
class Discriminant:
    """Groups of demonstrations in the space in which all groups are spheres.

    Attributes:
        centre: Mean of all demonstrations, shape ``(dimensions,)``.
        whitening: Into that space, shape ``(dimensions, dimensions)``.
        members: Whitened vectors of the demonstrations, shape ``(demos, dimensions)``.
        sums: Of each group's members, shape ``(groups, dimensions)``.
        counts: How many each group has, shape ``(groups,)``.
        member: For each membership, the demonstration; shape ``(memberships,)``.
        group: For the same memberships, the group.
    """

    centre: Floats
    whitening: Floats
    members: Floats
    sums: Floats
    counts: Floats
    member: Ints
    group: Ints


def fit_discriminant(vectors: Floats, member: Ints, group: Ints, groups: int) -> Discriminant:
    """The groups of some demonstrations.

    Args:
        vectors: Of the demonstrations, shape ``(demos, dimensions)``.
        member: For each membership, the demonstration; one may be in several groups.
        group: For each membership, the group.
        groups: How many groups there are; some may be empty.
    """
    dimensions = vectors.shape[1]
    centre = vectors.mean(axis=0)
    centred = vectors - centre
    counts = np.bincount(group, minlength=groups).astype(np.float32)
    sums = sums_of(centred[member], group, groups)
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
    """What of the groups a query is compared with.

    Attributes:
        centre: As in ``Discriminant``.
        whitening: As in ``Discriminant``.
        means: Of the groups that are not empty, shape ``(filled, dimensions)``.
        halves: Half the squared length of each mean, shape ``(filled,)``.
        filled: Which groups are not empty, shape ``(groups,)``.
    """

    centre: Floats
    whitening: Floats
    means: Floats
    halves: Floats
    filled: Bools


def centroids(model: Discriminant) -> Centroids:
    """The groups as a query is compared with them."""
    filled = model.counts > 0
    means = model.sums[filled] / (model.counts[filled] + _PRIOR_COUNT)[:, None]
    halves = 0.5 * np.einsum("ij,ij->i", means, means)
    return Centroids(model.centre, model.whitening, means, halves, filled)


def discriminants(groups: Centroids, query: Floats) -> Floats:
    """How well a query fits each group: shape ``(groups,)``.

    Logarithms of likelihoods up to a constant of the query, in units of their deviation among the
    groups: in hundreds of dimensions their own unit is far too sure of itself. An empty group fits
    like the worst of the others.

    Args:
        groups: The groups.
        query: Shape ``(dimensions,)``.
    """
    fits = np.zeros(len(groups.filled), dtype=np.float32)
    if groups.filled.any():
        whitened = (query - groups.centre) @ groups.whitening
        found = _in_deviations(groups.means @ whitened - groups.halves)
        fits[:] = found.min()
        fits[groups.filled] = found
    return fits


@dataclass(frozen=True, slots=True)
class Gaussians:
    """The groups without their members, to which a query is put instead.

    A mean's product with a query is the sum of its members' products, so nothing as large as the
    means has to be kept, nor read for each request.

    Attributes:
        centre: As in ``Discriminant``.
        precision: Inverse of the covariance, shape ``(dimensions, dimensions)``.
        counts: How many members each group has that is not empty, shape ``(filled,)``.
        halves: As in ``Centroids``.
    """

    centre: Floats
    precision: Floats
    counts: Floats
    halves: Floats

    def asked(self, query: Floats) -> Floats:
        """What the members' vectors are multiplied with: shape ``(dimensions,)``."""
        return np.asarray(products((query - self.centre)[None], self.precision)[0])

    def discriminants(self, asked: Floats, sums: Floats) -> Floats:
        """As ``discriminants`` of the groups that are not empty: shape ``(filled,)``.

        Args:
            asked: As ``asked`` gives it.
            sums: Of each group's members' products with that, shape ``(filled,)``.
        """
        centred = sums - self.counts * (self.centre @ asked)
        return _in_deviations(centred / (self.counts + np.float32(_PRIOR_COUNT)) - self.halves)


def gaussians(model: Discriminant) -> Gaussians:
    """The groups as a query is put to their members."""
    some = centroids(model)
    precision = model.whitening @ model.whitening.T
    return Gaussians(model.centre, precision, model.counts[some.filled], some.halves)


def _in_deviations(found: NDArray[Any]) -> Floats:
    """Less their mean, in units of their deviation."""
    return np.asarray((found - found.mean()) / (found.std() + 1e-6), dtype=np.float32)


def without(model: Discriminant, left_out: Ints) -> Discriminant:
    """The groups as if some demonstrations had not been there; the covariance stays."""
    gone = np.flatnonzero(np.isin(model.member, left_out))
    sums, counts = model.sums.copy(), model.counts.copy()
    np.subtract.at(sums, model.group[gone], model.members[model.member[gone]])
    np.subtract.at(counts, model.group[gone], 1)
    return replace(model, sums=sums, counts=counts)
