"""Adapt the prior to the cosines of another embedder.

What a cosine means depends on the embedder: one gives unlike texts 0.1, another 0.8. The prior was
fitted with one embedder. A few requests, and tools of which each suits one of them, are the
yardstick by which another's cosines are read. An embedder that does not tell the tools of the
yardstick apart is not trusted to tell others apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from toolret.embedders import RoleEmbedder
from toolret.ranking.arrays import Floats
from toolret.ranking.evidence import FEATURES
from toolret.ranking.familiarity import Familiarity
from toolret.ranking.need import COSINES, Need
from toolret.ranking.weighing import Weights

_Cosine = TypeVar("_Cosine", float, Floats)

__all__ = [
    "DEFAULT_SCALE",
    "CosineScale",
    "measure_cosines",
    "rescale_familiarity",
    "rescale_need",
    "rescale_weights",
]

_YARDSTICK = (
    ("will I need an umbrella in Lisbon on Friday", "Get the weather forecast of a city"),
    ("wake me at half past six", "Set an alarm for a given time"),
    ("how much is 200 dollars in yen", "Convert an amount from one currency to another"),
    ("say 'good morning' in Polish", "Translate a text into another language"),
    (
        "find me something to eat with Thai noodles nearby",
        "Search restaurants by their cuisine",
    ),
    ("what did our shares close at yesterday", "Get the price of a stock on a date"),
    ("turn off the lamp in the bedroom", "Switch a smart home device on or off"),
    ("put on some calm piano pieces", "Play music by genre, artist or mood"),
    (
        "get me from Vienna to Graz by rail tomorrow",
        "Search train connections",
    ),
    ("let the team know by mail that I am ill", "Send an e-mail to one or more recipients"),
    ("why did the build of this branch break", "Get the log of a continuous integration job"),
    ("shrink this picture to 300 pixels", "Resize an image to a width and height"),
    ("who scored in the match last night", "Get the results of a football game"),
    (
        "we have run out of blue mugs, order more",
        "Create a purchase order to a supplier",
    ),
    ("what does 'ephemeral' mean", "Look up the definition of a word"),
    ("join these two reports into one file", "Merge several PDF documents"),
    ("I cannot log in, I forgot my secret word", "Reset the password of a user account"),
    ("which of our servers are short of memory", "List hosts by their resource usage"),
    ("solve x squared minus 5x plus 6 equals 0", "Find the roots of a polynomial equation"),
    ("book a table for a chat with Sam on Tuesday", "Create an event in a calendar"),
    ("a film with robots that children may watch", "Recommend movies by topic and age rating"),
    ("where is the parcel I sent to my aunt", "Track a shipment by its number"),
    ("how many customers live in Ohio", "Run a query against a database table"),
    ("remind me what we said about pricing", "Search notes by keyword"),
)
"""Requests in the words of users and the tools that suit them in the words of catalogs."""

_COSINES = (
    "dense",
    "dense_clause",
    "dense_aligned",
    "dense_aligned_clause",
    "neighbours",
    "demo_clause_nearest",
    "demo_any_nearest",
)
"""Features that are cosines."""

_DIFFERENCES = (
    "dense_gap",
    "dense_clause_gap",
    "dense_clause_own_gap",
    "dense_aligned_gap",
)
"""Features that are differences of cosines."""

_LEAST_SPREAD = 0.05
"""The least difference between the mean cosines of suited and other pairs that is taken as it is: a
smaller one is no scale."""

_UNTRUSTED = 0.65
"""The share of pairs told apart up to which an embedder is not trusted: vectors without meaning
reach it once in a hundred."""

_TRUSTED = 0.85
"""The share from which on it is fully trusted: every model made for search passes it."""


@dataclass(frozen=True, slots=True)
class CosineScale:
    """The scale by which an embedder's cosines are read.

    Attributes:
        typical: Mean cosine of a request and a tool for something else.
        near: Mean cosine of a request and a tool that suits it.
        trust: Degree to which cosines tell the two apart, 0 to 1.
    """

    typical: float
    near: float
    trust: float = 1.0

    @property
    def stretch(self) -> float:
        """The difference of cosines that corresponds to 1 with the default embedder."""
        return _spread(self) / _spread(DEFAULT_SCALE)

    def equivalent(self, cosine: _Cosine) -> _Cosine:
        """Return the cosine that corresponds to one of the default embedder."""
        return self.typical + (cosine - DEFAULT_SCALE.typical) * self.stretch

    def alike(self, cosine: float) -> float:
        """Return the cosine that corresponds to one of the default embedder, for near copies.

        This differs from ``equivalent``: whatever the cosines of requests and tools are, that of a
        text with itself is 1.
        """
        return 1 - (1 - cosine) * (1 - self.typical) / (1 - DEFAULT_SCALE.typical)


DEFAULT_SCALE = CosineScale(0.0121, 0.2842)
"""The scale of the default embedder, with which the prior was fitted and constants were chosen."""

_USUAL_NEAREST = 0.5
"""The default embedder's mean cosine of public requests with the demonstration nearest to each."""


def measure_cosines(embedder: RoleEmbedder) -> CosineScale:
    """Return the scale of an embedder's cosines, measured by the yardstick.

    Raises:
        EmbedderError: If the embedder fails.
    """
    requests, tools = zip(*_YARDSTICK, strict=True)
    cosines = embedder.embed(requests, "tool_request") @ embedder.embed(tools, "tool").T
    suited = np.eye(len(requests), dtype=np.bool_)
    # The share of pairs of a suited and another tool of one request that are in order: AUC.
    apart = (np.diag(cosines)[:, None] > cosines)[~suited].mean()
    trust = np.clip((apart - _UNTRUSTED) / (_TRUSTED - _UNTRUSTED), 0, 1)
    typical, near = cosines[~suited].mean(), cosines[suited].mean()
    return CosineScale(*(round(float(value), 4) for value in (typical, near, trust)))


def rescale_weights(weights: Weights, here: CosineScale) -> Weights:
    """Return weights of the default embedder for another embedder's scale."""
    mean, scale = weights.mean.copy(), weights.scale.copy()
    for column, name in enumerate(FEATURES):
        if name in _COSINES:
            mean[column] = here.equivalent(float(mean[column]))
            scale[column] *= here.stretch
        elif name in _DIFFERENCES:
            mean[column] *= here.stretch
            scale[column] *= here.stretch
    return replace(weights, mean=mean, scale=scale)


def rescale_need(need: Need, here: CosineScale) -> Need:
    """Return a model of need of the default embedder for another embedder's scale."""
    shift = DEFAULT_SCALE.typical - here.typical / here.stretch
    cosines, others = need.weights[:COSINES], need.weights[COSINES:]
    return replace(
        need,
        weights=(*(weight / here.stretch for weight in cosines), *others),
        intercept=need.intercept + shift * sum(cosines),
    )


def rescale_familiarity(familiarity: Familiarity, here: CosineScale) -> Familiarity:
    """Return a model of familiarity of the default embedder for another embedder's scale.

    To the degree that cosines are not trusted, the nearest demonstration counts as near as usual.
    """
    shift = DEFAULT_SCALE.typical - here.typical / here.stretch
    usual = here.trust * shift + (1 - here.trust) * _USUAL_NEAREST
    return replace(
        familiarity,
        nearest=here.trust * familiarity.nearest / here.stretch,
        intercept=familiarity.intercept + usual * familiarity.nearest,
    )


def _spread(scale: CosineScale) -> float:
    """Return the difference of the mean cosines of suited and other pairs."""
    return max(scale.near - scale.typical, _LEAST_SPREAD)
