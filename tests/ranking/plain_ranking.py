"""The ranking's features as one would first write them, for all tools: what ``gather`` must equal.

Slow and plain. ``toolret.ranking.evidence`` computes the same for the few tools that are put
forward.
"""

from __future__ import annotations

import numpy as np

from toolret.ranking.arrays import Bools, Floats, Ints, softmax_shares
from toolret.ranking.comparisons import Comparisons, Layout
from toolret.ranking.evidence import DEMO_FEATURES, FEATURES, Candidates

_DEPTH = 40

_ABOUT = 20

_RANKED = 60

_NEIGHBOURS = 3

_FLOOR = 1e-3

_TINY = 1e-6


def top(values: Floats, count: int) -> Ints:
    return np.argsort(-values, kind="stable")[:count]


def reciprocal_ranks(values: Floats, offset: int) -> Floats:
    ranks = np.empty(len(values), dtype=np.float32)
    ranks[np.argsort(-values, kind="stable")] = np.arange(len(values))
    counts = (ranks < _RANKED) & (values > values.min())
    return np.where(counts, 1 / (offset + ranks), 0).astype(np.float32)


def firsts(values: Floats) -> Floats:
    return np.stack([reciprocal_ranks(column, 1) for column in values.T], axis=1)


def best_of_tool(values: Floats, demo_of: Ints, tool_of: Ints, tools: int) -> Floats:
    best = np.zeros(tools, dtype=np.float32)
    np.maximum.at(best, tool_of, values[demo_of])
    return best


def gather(
    layout: Layout,
    comparisons: Comparisons,
    *,
    allowed: Bools | None = None,
    heard: Bools | None = None,
) -> Candidates:
    """The features of every tool that some signal puts forward.

    Args:
        layout: What is indexed.
        comparisons: The request against it.
        allowed: Tools that may be found, shape ``(tools,)``; the others are as if not indexed.
        heard: Demonstrations that count, shape ``(demos,)``; the others are as if not indexed.
    """
    tools = np.arange(len(layout.tool_vectors)) if allowed is None else np.flatnonzero(allowed)
    if len(tools) == 0:
        return Candidates(tools, np.empty((0, len(FEATURES)), dtype=np.float32))
    text, by_text = _text_features(layout, comparisons, tools)
    dense, lexical = comparisons.dense[tools, 0], comparisons.lexical[tools, 0]
    about = tools[top(reciprocal_ranks(dense, 11) + reciprocal_ranks(lexical, 11), _ABOUT)]
    demo, by_demos = _demo_features(layout, comparisons, heard, about)
    features = np.concatenate([text, demo[tools]], axis=1)
    chosen = _candidates(features, by_text, [values[tools] for values in by_demos])
    return Candidates(tools[chosen], features[chosen])


def _text_features(
    layout: Layout, comparisons: Comparisons, tools: Ints
) -> tuple[Floats, list[Floats]]:
    """The features, and the values of which the first are put forward."""
    dense = comparisons.dense[tools]
    aligned = comparisons.aligned[tools]
    lexical = comparisons.lexical[tools]
    whole, clause = dense[:, 0], dense.max(axis=1)
    cosine = comparisons.lexical_cosine[tools].max(axis=1)
    relative = lexical / np.maximum(lexical.max(axis=0), _TINY)
    trust = lexical.max(axis=0) / np.maximum(comparisons.lexical_most, _TINY)
    nearest = tools[top(whole, _NEIGHBOURS)]
    neighbourhood = layout.tool_vectors[nearest].mean(axis=0)
    features = np.stack(
        [
            whole,
            clause,
            whole - whole.max(),
            clause - clause.max(),
            (dense - dense.max(axis=0)).max(axis=1),
            firsts(dense).max(axis=1),
            aligned[:, 0],
            aligned.max(axis=1),
            aligned[:, 0] - aligned[:, 0].max(),
            relative[:, 0] ** 2 * trust[0],
            relative.max(axis=1) ** 2,
            cosine,
            np.log1p(lexical[:, 0]),
            firsts(lexical).max(axis=1),
            (firsts(lexical) * trust).max(axis=1),
            comparisons.names[tools],
            comparisons.names[tools] >= 1 - 1e-6,
            comparisons.namespace_names[tools],
            layout.tool_vectors[tools] @ neighbourhood,
        ],
        axis=1,
    ).astype(np.float32)
    by_text = [whole, clause, aligned[:, 0], aligned.max(axis=1)]
    return features, [*by_text, relative[:, 0], relative.max(axis=1), cosine]


def _demo_features(
    layout: Layout, comparisons: Comparisons, heard: Bools | None, about: Ints
) -> tuple[Floats, list[Floats]]:
    """The same for all tools; 0 in every column for one that no heard demonstration uses.

    ``about`` are the tools that the request is about as far as their texts tell.
    """
    tools = len(layout.tool_vectors)
    features = np.zeros((tools, len(DEMO_FEATURES)), dtype=np.float32)
    demos = len(comparisons.demo_lexical)
    if heard is None:
        heard = np.ones(demos, dtype=np.bool_)
    if not heard.any():
        return features, []
    uses = heard[layout.demo_of]
    demo_of, tool_of = layout.demo_of[uses], layout.tool_of[uses]
    count = np.bincount(tool_of, minlength=tools)
    used = count > 0
    covered = used[about].mean()

    dense = np.where(heard[:, None], comparisons.demo_dense, np.float32(-1))
    nearest = best_of_tool(dense.max(axis=1), demo_of, tool_of, tools)
    lexical = np.where(heard, comparisons.demo_lexical, np.float32(0))
    kriged = np.zeros((tools, comparisons.demo_kriged.shape[1]), dtype=np.float32)
    kriged[np.unique(layout.tool_of)] = comparisons.demo_kriged
    set_shares = np.bincount(
        layout.tool_of_set,
        weights=softmax_shares(comparisons.demo_sets)[layout.set_of],
        minlength=tools,
    )
    log_set_shares = np.log(set_shares + _FLOOR).astype(np.float32)
    features[:] = np.stack(
        [
            nearest,
            best_of_tool(lexical, demo_of, tool_of, tools),
            kriged[:, 0],
            np.log(kriged[:, 0].clip(min=0) + _FLOOR),
            kriged.max(axis=1),
            log_set_shares,
            np.log1p(count),
            np.ones(tools),
            np.full(tools, dense[:, 0].max()),
            np.full(tools, covered),
        ],
        axis=1,
    )
    features[~used] = 0
    return features, [nearest, kriged[:, 0], kriged.max(axis=1), log_set_shares]


def _candidates(features: Floats, by_text: list[Floats], by_demos: list[Floats]) -> Ints:
    """Rows that are among the first of any signal."""
    chosen: set[int] = set()
    for values in by_text:
        chosen.update(top(values, _DEPTH).tolist())
    used = np.flatnonzero(features[:, FEATURES.index("demo_any")])
    for values in by_demos:
        chosen.update(used[top(values[used], _DEPTH)].tolist())
    chosen.update(np.flatnonzero(features[:, FEATURES.index("name")] >= 1 - 1e-6).tolist())
    return np.array(sorted(chosen), dtype=np.intp)
