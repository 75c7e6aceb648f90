"""Chooses the demonstrations that the planner is shown: pure functions of similarities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from toolret.ranking.arrays import products
from toolret.types import Demo, DemoHit

__all__ = ["CONFUSABLE", "NEAR_COPY", "DemoPool", "Likeness", "OfferedTools", "choose_demos"]

NEAR_COPY = 0.95
"""Cosine from which two demonstrations teach the same; MiniLM gives paraphrases 0.8 to 0.9."""

CONFUSABLE = 0.85
"""Cosine from which two tools are nearly the same; a cosine of MiniLM, like ``NEAR_COPY``."""

_REDUNDANCY_WEIGHT = 0.3
"""What likeness to a chosen demonstration costs, as a share of it: enough to prefer another one
of nearly the same relevance, too little to prefer an irrelevant one (maximal marginal relevance,
Carbonell and Goldstein, 1998)."""

_MAX_CANDIDATES = 300
"""How many of the most relevant demonstrations are compared with each other, to bound the time."""


@dataclass(frozen=True, slots=True)
class DemoPool:
    """The demonstrations to choose from, and how similar each is to the request.

    Attributes:
        demos: All demonstrations.
        vectors: Their unit vectors, shape ``(demos, dimensions)``.
        similarities: Cosine of each to the nearest query of the request, shape ``(demos,)``.
        using_offered: Positions, ascending, of all demonstrations that use an offered tool; None if
            they are not known.
    """

    demos: Sequence[Demo]
    vectors: NDArray[np.float32]
    similarities: NDArray[np.float32]
    using_offered: NDArray[np.intp] | None = None


@dataclass(frozen=True, slots=True)
class OfferedTools:
    """The tools that the planner will see.

    Attributes:
        chances: Their probabilities, by their ids.
        cosines: Cosines between them, in the same order, shape ``(tools, tools)``.
    """

    chances: Mapping[str, float]
    cosines: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Likeness:
    """The cosines from which two items are taken for the same.

    Attributes:
        near_copy: The cosine from which two demonstrations are the same.
        confusable: The cosine from which two tools are nearly the same.
    """

    near_copy: float = NEAR_COPY
    confusable: float = CONFUSABLE


def choose_demos(
    pool: DemoPool,
    offered: OfferedTools,
    *,
    most: int,
    related: float,
    likeness: Likeness = Likeness(),
    may_show: Callable[[Demo], bool] | None = None,
) -> tuple[DemoHit, ...]:
    """Choose demonstrations that are like the request, show the likely tools, and differ.

    They are chosen one by one, by similarity to the request, plus the probabilities of the offered
    tools that the demonstration is the first to show, as a share of the tools it uses, less its
    likeness to those chosen. Of tools that are nearly the same each counts as likely as the
    likeliest of them: examples of both are what tells the planner which is which (the aim of
    TPTU-v2's demo selector, Kong et al., 2023).

    Args:
        pool: The demonstrations. One that uses none of the offered tools is left out.
        offered: The tools that the planner will see.
        most: How many demonstrations to choose at most.
        related: The least that a demonstration must be worth, apart from its likeness to others: a
            cosine.
        likeness: The cosines from which items are taken for the same.
        may_show: Whether the caller may be shown a demonstration; None if it may be shown all.

    Returns:
        The chosen demonstrations, best first.
    """
    rivals = _rivals(list(offered.chances), offered.cosines, likeness.confusable)
    chances = {
        tool: max([chance, *(offered.chances[rival] for rival in rivals[tool])])
        for tool, chance in offered.chances.items()
    }
    candidates = _candidates(pool, chances, may_show)
    hits: list[DemoHit] = []
    shown: set[str] = set()
    for i in _choose_greedily(
        pool, candidates, chances, most=most, related=related, near_copy=likeness.near_copy
    ):
        demo = pool.demos[i]
        new = [tool for tool in demo.tools if tool in chances and tool not in shown]
        hits.append(DemoHit(demo, float(pool.similarities[i]), _reason(new, rivals)))
        shown.update(demo.tools)
    return tuple(hits)


def _candidates(
    pool: DemoPool, offered: Mapping[str, float], may_show: Callable[[Demo], bool] | None
) -> list[int]:
    """Return the positions of the most similar demonstrations that may be shown, best first."""
    positions = np.arange(len(pool.demos)) if pool.using_offered is None else pool.using_offered
    by_similarity = positions[np.argsort(-pool.similarities[positions], kind="stable")].tolist()

    def is_candidate(demo: Demo) -> bool:
        return not offered.keys().isdisjoint(demo.tools) and (may_show is None or may_show(demo))

    return list(islice((i for i in by_similarity if is_candidate(pool.demos[i])), _MAX_CANDIDATES))


def _choose_greedily(
    pool: DemoPool,
    candidates: list[int],
    chances: Mapping[str, float],
    *,
    most: int,
    related: float,
    near_copy: float,
) -> list[int]:
    """Return the positions of the chosen demonstrations, in the order in which they are chosen.

    Args:
        pool: The demonstrations.
        candidates: Positions of those in question.
        chances: How likely each offered tool is needed, by its id.
        most: See ``choose_demos``.
        related: See ``choose_demos``.
        near_copy: See ``Likeness``.
    """
    vectors = pool.vectors[candidates]
    shares = _shares([pool.demos[i].tools for i in candidates], list(chances))
    unshown = np.array(list(chances.values()), dtype=np.float64)
    left = np.array(candidates, dtype=np.intp)
    redundancy = np.zeros(len(left), dtype=np.float32)
    chosen: list[int] = []
    while len(left) and len(chosen) < most:
        worth = pool.similarities[left] + (shares @ unshown).astype(np.float32)
        row = int(np.argmax(worth - _REDUNDANCY_WEIGHT * redundancy))
        if worth[row] < related:
            break
        chosen.append(int(left[row]))
        unshown[shares[row] > 0] = 0
        redundancy = np.maximum(redundancy, products(vectors[row : row + 1], vectors)[0])
        kept = redundancy < near_copy
        kept[row] = False  # however short its vector is
        left, redundancy = left[kept], redundancy[kept]
        vectors, shares = vectors[kept], shares[kept]
    return chosen


def _shares(tools_of_demos: Sequence[Sequence[str]], offered: Sequence[str]) -> NDArray[np.float64]:
    """Return what share of each demonstration's tools each offered one is: ``(demos, offered)``."""
    columns = {tool: column for column, tool in enumerate(offered)}
    shares = np.zeros((len(tools_of_demos), len(offered)))
    for row, tools in enumerate(tools_of_demos):
        for tool in tools:
            if tool in columns:
                shares[row, columns[tool]] = 1 / len(tools)
    return shares


def _rivals(
    tools: Sequence[str], cosines: NDArray[np.float32], confusable: float
) -> dict[str, list[str]]:
    """Return, for each tool, the others that are nearly the same."""
    are_alike = (cosines >= confusable) & ~np.eye(len(tools), dtype=np.bool_)
    return {
        tool: [tools[other] for other in np.flatnonzero(are_alike[row]).tolist()]
        for row, tool in enumerate(tools)
    }


def _reason(new: Sequence[str], rivals: Mapping[str, Sequence[str]]) -> str:
    """Say why a demonstration was chosen, by the tools that it is the first to show."""
    if not new:
        return "is like the request"
    parts = [f"tells {tool} from {', '.join(rivals[tool])}" for tool in new if rivals[tool]]
    plain = [tool for tool in new if not rivals[tool]]
    return "; ".join([*parts, *([f"shows {', '.join(plain)}"] if plain else [])])
