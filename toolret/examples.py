"""Which demonstrations to show the planner, as pure functions over similarities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from toolret.types import Demo, DemoHit

__all__ = ["choose_demos"]

_NEAR_COPY = 0.95
"""Cosine from which two demonstrations teach the same; MiniLM gives paraphrases 0.8 to 0.9."""

_REDUNDANCY_WEIGHT = 0.3
"""What likeness to a chosen demonstration costs, as a share of it: enough to prefer another one
of nearly the same relevance, too little to prefer an irrelevant one (maximal marginal relevance,
Carbonell and Goldstein, 1998)."""

_NEW_TOOL_BONUS = 0.15
"""What showing an offered tool for the first time is worth, in cosine."""


def choose_demos(
    demos: Sequence[Demo],
    vectors: NDArray[np.float32],
    similarities: NDArray[np.float32],
    offered: Sequence[str],
    *,
    most: int,
    least_similarity: float,
) -> tuple[DemoHit, ...]:
    """The demonstrations that are like the request, use the offered tools, and differ.

    One by one, by similarity to the request, plus a bonus for each offered tool that no chosen
    demonstration shows yet, less its likeness to those chosen.

    Args:
        demos: All demonstrations.
        vectors: Their unit vectors, shape ``(demos, dimensions)``.
        similarities: Cosine of each to the nearest query of the request, shape ``(demos,)``.
        offered: Ids of the tools that the planner will see. A demonstration that uses any other
            is left out: it would teach a call that is refused.
        most: How many to choose at most.
        least_similarity: Below this cosine a demonstration is about something else.

    Returns:
        Those chosen, best first.
    """
    usable = frozenset(offered)
    candidates = [
        i
        for i, demo in enumerate(demos)
        if demo.tools and similarities[i] >= least_similarity and usable.issuperset(demo.tools)
    ]
    chosen: list[int] = []
    shown: set[str] = set()
    hits: list[DemoHit] = []
    likeness = np.zeros(len(demos), dtype=np.float32)
    while candidates and len(chosen) < most:
        worth = [
            similarities[i]
            + _NEW_TOOL_BONUS * len(set(demos[i].tools) - shown) / len(demos[i].tools)
            - _REDUNDANCY_WEIGHT * likeness[i]
            for i in candidates
        ]
        best = candidates[int(np.argmax(worth))]
        new = [tool for tool in demos[best].tools if tool not in shown]
        reason = f"shows {', '.join(new)}" if new else "is like the request"
        hits.append(DemoHit(demos[best], float(similarities[best]), reason))
        chosen.append(best)
        shown.update(demos[best].tools)
        likeness = np.maximum(likeness, vectors @ vectors[best])
        candidates = [i for i in candidates if i != best and likeness[i] < _NEAR_COPY]
    return tuple(hits)
