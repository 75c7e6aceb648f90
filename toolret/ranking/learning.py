"""Find the fit of an index: the stored one, or a new one if the items have changed much since."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, TypeVar, get_args

import numpy as np

from toolret.embedders import Role
from toolret.errors import StoreError
from toolret.index import Snapshot, ToolIndex
from toolret.ranking.arrays import Floats
from toolret.ranking.comparer import Comparer
from toolret.ranking.cosines import (
    CosineScale,
    measure_cosines,
    rescale_familiarity,
    rescale_need,
    rescale_weights,
)
from toolret.ranking.evidence import FEATURES
from toolret.ranking.familiarity import Familiarity
from toolret.ranking.fitting import Fit, Prior, fit
from toolret.ranking.general import general_vectors
from toolret.ranking.need import Need
from toolret.ranking.weighing import Weights, blend
from toolret.stores.records import Store

__all__ = [
    "distant_pairs",
    "evenly_spaced",
    "fit_index",
    "prior_for",
    "weights_from_json",
    "weights_to_json",
]

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_EXAMPLES = 300
"""The most demonstrations that are asked. More change the public sets' figures by less than a
point, and each costs about as much as a request."""

_COMPOSITIONS = 100
"""The most pairs of demonstrations that are asked as one request besides."""

_STRANGE = 200
"""The most tools without demonstrations whose descriptions are asked as requests."""

_DRIFT = 0.1
"""The share of tools, or of demonstrations, that may change before the weights are fitted again.
New ones count as evidence at once; only what evidence is worth changes slowly."""


@dataclass(frozen=True, slots=True)
class _StoredFit:
    """The content of ``fit.json``: a fit, and what it was made from.

    Attributes:
        spaces: Identities of the vectors of all roles, and their length.
        cosines: Scale of the embedder's cosines.
        general: Mean vector of general requests.
        prior: Digest of the prior.
        changes: Numbers of changes to tools and to demonstrations that the index had seen.
        own: ``Fit.own``, as ``weights_to_json`` writes it.
        own_need: Fields of ``Fit.own_need``.
        familiarity: Fields of ``Fit.familiarity``.
        heard: Fields of ``Fit.heard``.
        related: ``Fit.related``.
    """

    spaces: list[str]
    cosines: CosineScale
    general: list[float]
    prior: str
    changes: tuple[int, int]
    own: dict[str, Any] | None
    own_need: dict[str, Any] | None
    familiarity: dict[str, float] | None
    heard: dict[str, float] | None
    related: float


def prior_for(cosines: CosineScale, general: Floats) -> Prior:
    """Return what was fitted on public data, adapted to the scale of an embedder's cosines.

    To the degree that these are not trusted, weights that were fitted without vectors take over.
    ``docs/ranking.md`` says how both were fitted.

    Args:
        cosines: The scale.
        general: Mean vector of general requests, shape ``(dimensions,)``.
    """
    stored = _public_prior()

    def weights(name: str) -> Weights:
        trusting, wary = (weights_from_json(stored[f"{name}{tail}"]) for tail in ("", "_by_words"))
        return rescale_weights(blend(trusting, wary, cosines.trust), cosines)

    def need(name: str) -> Need:
        return rescale_need(need_from_json(stored[name]), cosines)

    return Prior(
        text=weights("text"),
        demonstrated=weights("demonstrated"),
        text_need=need("text_need"),
        demonstrated_need=need("demonstrated_need"),
        familiarity=rescale_familiarity(Familiarity(**stored["familiarity"]), cosines),
        general=general,
        cosines=cosines,
    )


@cache
def _prior_text() -> bytes:
    """Return the file of the models that were fitted on public data."""
    return files("toolret.ranking").joinpath("prior.json").read_bytes()


@cache
def _public_prior() -> dict[str, Any]:
    """Return these models as JSON values."""
    stored: dict[str, Any] = json.loads(_prior_text())
    return stored


def _prior_digest() -> str:
    """Return a digest of the prior: a fit that started from another one does not hold."""
    return sha256(_prior_text()).hexdigest()


def fit_index(index: ToolIndex, comparer: Comparer) -> Fit:
    """Return the fit of an index: the stored one if it holds, else a new one, which is stored.

    Args:
        index: The index whose store and embedder are used.
        comparer: The comparer of the snapshot whose demonstrations are learnt from.

    Raises:
        EmbedderError: If the embedder fails.
    """
    snapshot = comparer.snapshot
    stored = _read_fit(index.store)
    spaces = [index.embedder.space(role) for role in get_args(Role)]
    spaces.append(f"{snapshot.tools.vectors.shape[1]} dimensions")
    if stored and stored.spaces != spaces:
        stored = None
    if stored:
        cosines, general = stored.cosines, stored.general
    else:
        cosines = measure_cosines(index.embedder)
        mean = general_vectors(index.embedder).mean(axis=0)
        general = [round(value, 6) for value in mean.tolist()]
    prior = prior_for(cosines, np.array(general, dtype=np.float32))
    if stored and _still_holds(stored, snapshot):
        return _restore(stored, prior)
    learnt = _learn(comparer, prior)
    fresh = _StoredFit(
        spaces=spaces,
        cosines=cosines,
        general=general,
        prior=_prior_digest(),
        changes=(snapshot.tools.changes, snapshot.demos.changes),
        own=weights_to_json(learnt.own) if learnt.own else None,
        own_need=asdict(learnt.own_need) if learnt.own_need else None,
        familiarity=asdict(learnt.familiarity) if learnt.familiarity else None,
        heard=asdict(learnt.heard) if learnt.heard else None,
        related=learnt.related,
    )
    _write_fit(index.store, fresh)
    # It is returned as it will be read, rounded for the file, so that the next process ranks alike.
    return _restore(fresh, prior)


def _still_holds(stored: _StoredFit, snapshot: Snapshot) -> bool:
    """Whether a fit started from the present prior, and few items have changed since."""
    tools, demos = snapshot.tools, snapshot.demos
    return (
        stored.prior == _prior_digest()
        and abs(tools.changes - stored.changes[0]) <= _DRIFT * len(tools.items)
        and abs(demos.changes - stored.changes[1]) <= _DRIFT * len(demos.items)
    )


def _restore(stored: _StoredFit, prior: Prior) -> Fit:
    """Return the fit that was stored."""
    return Fit(
        prior,
        own=weights_from_json(stored.own) if stored.own else None,
        own_need=need_from_json(stored.own_need) if stored.own_need else None,
        familiarity=Familiarity(**stored.familiarity) if stored.familiarity else None,
        heard=Familiarity(**stored.heard) if stored.heard else None,
        related=stored.related,
    )


def _learn(comparer: Comparer, prior: Prior) -> Fit:
    """Ask demonstrations and descriptions as requests, and fit the models to them."""
    demos = comparer.snapshot.demos
    tools = len(comparer.snapshot.tools.items)
    if not tools or not demos.items:
        return Fit(prior)
    using = np.unique(comparer.layout.demo_of)
    positions = evenly_spaced(using.tolist(), _EXAMPLES)
    idle = evenly_spaced(np.setdiff1d(np.arange(len(demos.items)), using).tolist(), _EXAMPLES)
    undemonstrated = np.setdiff1d(np.arange(tools), comparer.layout.tool_of)
    return fit(
        comparer.examples([[position] for position in positions], prior.general),
        prior,
        compositions=comparer.examples(distant_pairs(positions, _COMPOSITIONS), prior.general),
        strange=comparer.description_features(evenly_spaced(undemonstrated.tolist(), _STRANGE)),
        idle=comparer.examples([[position] for position in idle], prior.general),
        undemonstrated=len(undemonstrated) / tools,
    )


def evenly_spaced(items: Sequence[_T], count: int) -> list[_T]:
    """Return at most ``count`` of the items, evenly spaced: the same items give the same choice."""
    chosen = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[position] for position in chosen.tolist()]


def distant_pairs(positions: Sequence[int], count: int) -> list[tuple[int, int]]:
    """Return at most ``count`` pairs of positions, evenly spaced, the two of each far apart."""
    if len(positions) < 2:
        return []
    across = len(positions) // 2
    chosen = evenly_spaced(range(len(positions)), count)
    return [(positions[i], positions[(i + across) % len(positions)]) for i in chosen]


def weights_to_json(weights: Weights) -> dict[str, Any]:
    """Return weights as plain JSON, with each feature's mean, scale and weight under its name."""
    columns = zip(FEATURES, weights.mean, weights.scale, weights.weight, strict=True)
    return {
        "features": {
            name: [round(float(value), 6) for value in values] for name, *values in columns
        },
        "slope": weights.slope,
        "share": weights.share,
        "intercept": weights.intercept,
    }


def weights_from_json(data: dict[str, Any]) -> Weights:
    """Return the weights that ``weights_to_json`` wrote."""
    mean, scale, weight = np.array([data["features"][name] for name in FEATURES], np.float32).T
    return Weights(
        mean=mean,
        scale=scale,
        weight=weight,
        slope=data["slope"],
        share=data["share"],
        intercept=data["intercept"],
    )


def need_from_json(data: dict[str, Any]) -> Need:
    """Return the model of need whose fields these are, after JSON made its tuples lists."""
    return Need(
        weights=tuple(data["weights"]),
        intercept=data["intercept"],
        needing=tuple(data["needing"]),
        idle=tuple(data["idle"]),
    )


def _read_fit(store: Store) -> _StoredFit | None:
    """Return the stored fit; None if there is none or it cannot be read."""
    try:
        content = store.load_fit()
        return None if content is None else _from_json(json.loads(content))
    except (StoreError, ValueError) as error:
        _log.warning("%s: the fit cannot be read and is made again: %s", store.place, error)
        return None


def _from_json(data: dict[str, Any]) -> _StoredFit:
    """Return the stored fit whose fields these are.

    Raises:
        ValueError: If another version wrote them.
    """
    try:
        cosines, changes = CosineScale(**data["cosines"]), tuple(data["changes"])
        return _StoredFit(**{**data, "cosines": cosines, "changes": changes})
    except (KeyError, TypeError) as error:
        raise ValueError("another version of toolret wrote it") from error


def _write_fit(store: Store, stored: _StoredFit) -> None:
    """Store the fit if that is possible; without it, the next process fits again."""
    try:
        if store.exists():  # a fit alone would not pass for a new index
            store.keep_fit(json.dumps(asdict(stored)).encode())
    except StoreError as error:
        _log.warning("the fit cannot be kept: %s", error)
