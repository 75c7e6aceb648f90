"""Evidence for tools: what each signal says, as arrays.

Pure functions. A request is read as several queries, the first being the request itself; texts
and demonstrations have been compared with all of them. ``gather`` turns those comparisons into
one row of features for each tool that any signal puts forward; ``weighing`` makes them log-odds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolret.ranking.arrays import Bools, Floats, Ints, union
from toolret.ranking.comparisons import Comparisons, Layout
from toolret.ranking.demo_evidence import DEMO_FEATURES, DemoEvidence
from toolret.ranking.text_evidence import TEXT_FEATURES, TextEvidence

__all__ = [
    "CONTEXT",
    "DEMO_FEATURES",
    "FEATURES",
    "SIGNALS",
    "TEXT_FEATURES",
    "Candidates",
    "gather",
]

FEATURES = TEXT_FEATURES + DEMO_FEATURES

CONTEXT = ("neighbours", "demo_count", "demo_any", "demo_any_nearest", "demo_covered")
"""Features that say where a tool stands, of which more may be better or worse. All others say how
well it fits, and of these more is never worse."""

SIGNALS = {
    "dense": [i for i, name in enumerate(FEATURES) if name.startswith("dense")],
    "lexical": [i for i, name in enumerate(FEATURES) if name.startswith("lexical")],
    "name": [FEATURES.index("name"), FEATURES.index("name_whole")],
    "namespace": [i for i, name in enumerate(FEATURES) if name.startswith("namespace")],
    "neighbours": [FEATURES.index("neighbours")],
    "demonstrations": [i for i, name in enumerate(FEATURES) if name.startswith("demo")],
}
"""Which features make up each signal that is named to people."""

_DEPTH = 40
"""How many tools each signal puts forward: beyond it, no public set has more than 2 % of its
right tools."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The tools that were put forward, and their features.

    Attributes:
        tools: Positions of the tools, shape ``(candidates,)``, ascending.
        features: One row for each of them, shape ``(candidates, len(FEATURES))``.
    """

    tools: Ints
    features: Floats


def gather(
    layout: Layout,
    comparisons: Comparisons,
    *,
    allowed: Bools | None = None,
    heard: Bools | None = None,
    called: Sequence[int] = (),
) -> Candidates:
    """The features of every tool that some signal puts forward.

    Args:
        layout: What is indexed.
        comparisons: The request against it.
        allowed: Tools that may be found, shape ``(tools,)``; the others are as if not indexed.
        heard: Demonstrations that count, shape ``(demos,)``; the others are as if not indexed.
        called: Positions of the tools that the request calls by name, put forward as well.
    """
    tools = np.arange(len(layout.tool_vectors)) if allowed is None else np.flatnonzero(allowed)
    if len(tools) == 0:
        return Candidates(tools, np.empty((0, len(FEATURES)), dtype=np.float32))
    text = TextEvidence(layout, comparisons, tools)
    put_forward = [tools[rows] for rows in text.put_forward(_DEPTH)]
    named = np.array(called, dtype=np.intp)
    put_forward.append(named if allowed is None else named[allowed[named]])
    if heard is None:
        heard = np.ones(len(comparisons.demo_lexical), dtype=np.bool_)
    some_use = heard[layout.demo_of].any()
    demos = DemoEvidence(layout, comparisons, heard) if some_use else None
    if demos:
        put_forward += demos.put_forward(_DEPTH, allowed)
    chosen = union(put_forward, len(layout.tool_vectors))
    features = np.zeros((len(chosen), len(FEATURES)), dtype=np.float32)
    features[:, : len(TEXT_FEATURES)] = text.features(np.searchsorted(tools, chosen))
    if demos:
        features[:, len(TEXT_FEATURES) :] = demos.features(chosen, tools[text.about()])
    return Candidates(chosen, features)
