"""Gather the evidence for tools: from comparisons to one row of features per candidate.

A request is read as several queries, the first being the request itself; texts and demonstrations
have been compared with all of them. ``gather`` chooses the candidates, the tools that any signal
puts forward, and computes their features, of which ``weighing`` makes log-odds.
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
"""Names of all features, in the order of their columns."""

CONTEXT = ("neighbours", "demo_count", "demo_any", "demo_any_nearest", "demo_covered")
"""Features that describe a tool's circumstances: a larger value may be better or worse. All others
say how well the tool fits, and of these a larger value is never worse."""

SIGNALS = {
    "dense": [i for i, name in enumerate(FEATURES) if name.startswith("dense")],
    "lexical": [i for i, name in enumerate(FEATURES) if name.startswith("lexical")],
    "name": [FEATURES.index("name"), FEATURES.index("name_whole")],
    "namespace": [i for i, name in enumerate(FEATURES) if name.startswith("namespace")],
    "neighbours": [FEATURES.index("neighbours")],
    "demonstrations": [i for i, name in enumerate(FEATURES) if name.startswith("demo")],
}
"""Columns of the features that make up each signal, by the name under which users see it."""

_DEPTH = 40
"""The number of tools that each kind of evidence puts forward: no public set has more than 2 % of
its right tools beyond it."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The tools that any signal puts forward, and their features.

    Attributes:
        tools: Positions of the tools, ascending, shape ``(candidates,)``.
        features: Features of each of them, shape ``(candidates, len(FEATURES))``.
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
    """Return the candidates for a request.

    Args:
        layout: The vectors and uses of the index.
        comparisons: The comparisons of the request with the index.
        allowed: Whether each tool may be found, shape ``(tools,)``; others are treated as if they
            were not indexed. By default all may be found.
        heard: Whether each demonstration counts, shape ``(demos,)``; others are treated as if they
            were not indexed. By default all count.
        called: Positions of the tools that the request calls by name, which are candidates too.
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
    any_use = heard[layout.demo_of].any()
    demos = DemoEvidence(layout, comparisons, heard) if any_use else None
    if demos:
        put_forward += demos.put_forward(_DEPTH, allowed)
    candidates = union(put_forward, len(layout.tool_vectors))
    features = np.zeros((len(candidates), len(FEATURES)), dtype=np.float32)
    features[:, : len(TEXT_FEATURES)] = text.features(np.searchsorted(tools, candidates))
    if demos:
        best_by_text = tools[text.best()]
        features[:, len(TEXT_FEATURES) :] = demos.features(candidates, best_by_text)
    return Candidates(candidates, features)
