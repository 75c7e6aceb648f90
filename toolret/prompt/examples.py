"""Which demonstrations to show the planner, as pure functions over similarities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from toolret.ranking.arrays import products
from toolret.types import Demo, DemoHit

__all__ = ["CONFUSABLE", "NEAR_COPY", "choose_demos"]

NEAR_COPY = 0.95
"""Cosine from which two demonstrations teach the same; MiniLM gives paraphrases 0.8 to 0.9."""

CONFUSABLE = 0.85
"""Cosine from which two tools are nearly the same, for MiniLM as well."""

_REDUNDANCY_WEIGHT = 0.3
"""What likeness to a chosen demonstration costs, as a share of it: enough to prefer another one
of nearly the same relevance, too little to prefer an irrelevant one (maximal marginal relevance,
Carbonell and Goldstein, 1998)."""

_FIRST = 300
"""Only that many of the most relevant demonstrations are looked at one by one."""


def choose_demos(
    demos: Sequence[Demo],
    vectors: NDArray[np.float32],
    similarities: NDArray[np.float32],
    offered: Mapping[str, float],
    likeness: NDArray[np.float32],
    *,
    most: int,
    related: float,
    near_copy: float = NEAR_COPY,
    confusable: float = CONFUSABLE,
    may_show: Callable[[Demo], bool] | None = None,
    among: NDArray[np.intp] | None = None,
) -> tuple[DemoHit, ...]:
    """The demonstrations that are like the request, show the likely tools, and differ.

    One by one, by similarity to the request, plus the probabilities of the offered tools that it
    is the first to show, as a share of the tools it uses, less its likeness to those chosen. Of
    tools that are nearly the same each counts as likely as the likeliest of them: examples of both
    are what tells the planner which is which (the aim of TPTU-v2's demo selector, Kong et al.,
    2023).

    Args:
        demos: All demonstrations.
        vectors: Their unit vectors, shape ``(demos, dimensions)``.
        similarities: Cosine of each to the nearest query of the request, shape ``(demos,)``.
        offered: Probabilities of the tools that the planner will see, by their ids. A
            demonstration that uses none of them is left out.
        likeness: Cosines of these tools, in their order: shape ``(offered, offered)``.
        most: How many to choose at most.
        related: What a demonstration must be worth, but for its likeness to others: a cosine.
        near_copy: Cosine from which two demonstrations are the same.
        confusable: Cosine from which two tools are nearly the same.
        may_show: Whether the caller may be shown a demonstration; None if it may be shown all.
        among: Positions, ascending, of all that use an offered tool, where they are known.

    Returns:
        Those chosen, best first.
    """
    rivals = _rivals(list(offered), likeness, confusable)
    likely = {
        tool: max([chance, *(offered[rival] for rival in rivals[tool])])
        for tool, chance in offered.items()
    }
    looked_at = np.arange(len(demos)) if among is None else among
    by_similarity = looked_at[np.argsort(-similarities[looked_at], kind="stable")]
    each = ((i, demos[i]) for i in by_similarity.tolist())
    using = ((i, demo) for i, demo in each if not likely.keys().isdisjoint(demo.tools))
    showable: Iterable[int] = (i for i, demo in using if may_show is None or may_show(demo))
    candidates = list(islice(showable, _FIRST))
    near = vectors[candidates]
    shows = _shows([demos[i].tools for i in candidates], list(likely))
    chances = np.array(list(likely.values()), dtype=np.float64)
    redundancy = np.zeros(len(candidates), dtype=np.float32)
    shown: set[str] = set()
    hits: list[DemoHit] = []
    while candidates and len(hits) < most:
        worth = similarities[candidates] + (shows @ chances).astype(np.float32)
        row = int(np.argmax(worth - _REDUNDANCY_WEIGHT * redundancy))
        if worth[row] < related:
            break
        best = candidates[row]
        new = [tool for tool in demos[best].tools if tool in likely and tool not in shown]
        hits.append(DemoHit(demos[best], float(similarities[best]), _reason(new, rivals)))
        shown.update(demos[best].tools)
        chances[shows[row] > 0] = 0
        redundancy = np.maximum(redundancy, products(near[row : row + 1], near)[0])
        kept = [r for r, i in enumerate(candidates) if i != best and redundancy[r] < near_copy]
        candidates = [candidates[r] for r in kept]
        near, shows, redundancy = near[kept], shows[kept], redundancy[kept]
    return tuple(hits)


def _shows(tools_of_demo: Sequence[Sequence[str]], offered: Sequence[str]) -> NDArray[np.float64]:
    """Of each demonstration's tools, which share each offered one is: ``(demos, offered)``."""
    columns = {tool: column for column, tool in enumerate(offered)}
    found = np.zeros((len(tools_of_demo), len(offered)))
    for row, tools in enumerate(tools_of_demo):
        for tool in tools:
            if tool in columns:
                found[row, columns[tool]] = 1 / len(tools)
    return found


def _rivals(
    tools: Sequence[str], likeness: NDArray[np.float32], confusable: float
) -> dict[str, list[str]]:
    """For each tool, the others that are nearly the same."""
    alike = (likeness >= confusable) & ~np.eye(len(tools), dtype=np.bool_)
    return {
        tool: [tools[other] for other in np.flatnonzero(alike[row]).tolist()]
        for row, tool in enumerate(tools)
    }


def _reason(new: Sequence[str], rivals: Mapping[str, Sequence[str]]) -> str:
    if not new:
        return "is like the request"
    parts = [f"tells {tool} from {', '.join(rivals[tool])}" for tool in new if rivals[tool]]
    plain = [tool for tool in new if not rivals[tool]]
    return "; ".join([*parts, *([f"shows {', '.join(plain)}"] if plain else [])])
