"""The ranking's features as one would first write them, for all tools: what ``gather`` must equal.

Slow and plain. ``toolret.ranking`` computes the same for the few tools that are put forward.
"""

from __future__ import annotations

import numpy as np

from toolret.comparisons import Comparisons, Layout
from toolret.ranking import DEMO_FEATURES, FEATURES, TEXT_FEATURES, Evidence
from toolret.signals import Bools, Floats, Ints, best_of_group, shares

_DEPTH = 40

_PUT_FORWARD_BY_TEXT = (
    "dense",
    "dense_clause",
    "dense_aligned",
    "dense_aligned_clause",
    "lexical",
    "lexical_clause",
)
_PUT_FORWARD_BY_DEMOS = (
    "demo_nearest",
    "demo_votes",
    "demo_clause_votes_best",
    "demo_ridge",
    "demo_set_share",
    "demo_group_share",
)

_TEMPERATURE = 0.03

_LEXICAL_TEMPERATURE = 0.1

_VOTERS = 60

_ABOUT = 20

_NEIGHBOURS = 3

_VOTE_FLOOR = 1e-3

_TINY = 1e-6

_DENSE_RANK = TEXT_FEATURES.index("dense_rank")
_LEXICAL_RANK = TEXT_FEATURES.index("lexical_rank")


def top(values: Floats, count: int) -> Ints:
    return np.argsort(-values, kind="stable")[:count]


def reciprocal_ranks(values: Floats) -> Floats:
    ranks = np.empty(len(values), dtype=np.float32)
    ranks[np.argsort(-values, kind="stable")] = np.arange(len(values))
    return np.asarray(1 / (11 + ranks), dtype=np.float32)


def best_reciprocal_ranks(values: Floats) -> Floats:
    ranks = np.max([reciprocal_ranks(column) for column in values.T], axis=0)
    return np.asarray(ranks, dtype=np.float32)


def best_of_tool(values: Floats, demo_of: Ints, tool_of: Ints, tools: int) -> Floats:
    best = np.zeros(tools, dtype=np.float32)
    np.maximum.at(best, tool_of, values[demo_of])
    return best


def votes(
    values: Floats, demo_of: Ints, tool_of: Ints, tools: int, *, temperature: float
) -> Floats:
    voters = top(values, _VOTERS)
    nearness = np.exp((values[voters] - values[voters[0]]) / temperature)
    weights = np.zeros(len(values), dtype=np.float32)
    weights[voters] = nearness / nearness.sum()
    found = np.bincount(tool_of, weights=weights[demo_of], minlength=tools)
    return found.astype(np.float32)


def gather(
    layout: Layout,
    comparisons: Comparisons,
    *,
    allowed: Bools | None = None,
    heard: Bools | None = None,
) -> Evidence:
    """The features of every tool that some signal puts forward.

    Args:
        layout: What is indexed.
        comparisons: The request against it.
        allowed: Tools that may be found, shape ``(tools,)``; the others are as if not indexed.
        heard: Demonstrations that count, shape ``(demos,)``; the others are as if not indexed.
    """
    tools = np.arange(len(layout.tool_vectors)) if allowed is None else np.flatnonzero(allowed)
    if len(tools) == 0:
        return Evidence(tools, np.empty((0, len(FEATURES)), dtype=np.float32))
    text = _text_features(layout, comparisons, tools)
    by_text = text[:, _DENSE_RANK] + text[:, _LEXICAL_RANK]
    demo = _demo_features(layout, comparisons, heard, tools[top(by_text, _ABOUT)])[tools]
    features = np.concatenate([text, demo], axis=1)
    chosen = _candidates(features)
    return Evidence(tools[chosen], features[chosen])


def _text_features(layout: Layout, comparisons: Comparisons, tools: Ints) -> Floats:
    dense = comparisons.dense[tools]
    aligned = comparisons.aligned[tools]
    lexical = comparisons.lexical[tools]
    whole, clause = dense[:, 0], dense.max(axis=1)
    words, clause_words = lexical[:, 0], lexical.max(axis=1)
    relative = lexical / np.maximum(lexical.max(axis=0), _TINY)
    namespaces = layout.namespaces[tools]
    nearest = tools[top(whole, _NEIGHBOURS)]
    neighbourhood = layout.tool_vectors[nearest].mean(axis=0)
    return np.stack(
        [
            whole,
            clause,
            whole - whole.max(),
            clause - clause.max(),
            reciprocal_ranks(whole),
            reciprocal_ranks(clause),
            (dense - dense.max(axis=0)).max(axis=1),
            best_reciprocal_ranks(dense),
            aligned[:, 0],
            aligned.max(axis=1),
            aligned[:, 0] - aligned[:, 0].max(),
            relative[:, 0],
            relative.max(axis=1),
            np.log1p(words),
            np.log1p(clause_words),
            reciprocal_ranks(words),
            reciprocal_ranks(clause_words),
            best_reciprocal_ranks(lexical),
            comparisons.names[tools],
            comparisons.namespace_names[tools],
            best_of_group(whole, namespaces),
            best_of_group(relative[:, 0], namespaces),
            layout.tool_vectors[tools] @ neighbourhood,
        ],
        axis=1,
    ).astype(np.float32)


def _demo_features(
    layout: Layout, comparisons: Comparisons, heard: Bools | None, about: Ints
) -> Floats:
    """For all tools; 0 in every column for a tool that no heard demonstration uses.

    ``about`` are the tools that the request is about as far as their texts tell.
    """
    tools = len(layout.tool_vectors)
    features = np.zeros((tools, len(DEMO_FEATURES)), dtype=np.float32)
    demos = len(comparisons.demo_lexical)
    if heard is None:
        heard = np.ones(demos, dtype=np.bool_)
    if not heard.any():
        return features
    uses = heard[layout.demo_of]
    demo_of, tool_of = layout.demo_of[uses], layout.tool_of[uses]
    count = np.bincount(tool_of, minlength=tools)
    used = count > 0
    covered = used[about].mean()

    dense = np.where(heard[:, None], comparisons.demo_dense, np.float32(-1))
    whole = dense[:, 0]
    nearest = best_of_tool(whole, demo_of, tool_of, tools)
    whole_votes = votes(whole, demo_of, tool_of, tools, temperature=_TEMPERATURE)
    clause_votes = [whole_votes] + [
        votes(dense[:, i], demo_of, tool_of, tools, temperature=_TEMPERATURE)
        for i in range(1, dense.shape[1])
    ]
    lexical = np.where(heard, comparisons.demo_lexical, np.float32(0))
    lexical = (lexical / max(float(lexical.max()), _TINY)).astype(np.float32)
    ridge = comparisons.demo_ridge
    set_shares = np.bincount(
        layout.tool_of_set, weights=shares(comparisons.demo_sets)[layout.set_of], minlength=tools
    )
    best = float(whole.max())
    features[:] = np.stack(
        [
            nearest,
            nearest - best,
            np.log(whole_votes + _VOTE_FLOOR),
            best_of_tool(dense.max(axis=1), demo_of, tool_of, tools),
            np.mean(clause_votes, axis=0),
            np.max(clause_votes, axis=0),
            best_of_tool(lexical, demo_of, tool_of, tools),
            votes(lexical, demo_of, tool_of, tools, temperature=_LEXICAL_TEMPERATURE),
            ridge[:, 0],
            ridge.max(axis=1),
            ridge[:, 0] - ridge[used, 0].max(),
            np.log(set_shares + _VOTE_FLOOR),
            np.log(shares(comparisons.demo_groups) + _VOTE_FLOOR),
            np.log1p(count),
            np.ones(tools),
            np.full(tools, best),
            np.full(tools, covered),
        ],
        axis=1,
    )
    features[~used] = 0
    return features


def _candidates(features: Floats) -> Ints:
    """Rows that are among the first of any signal."""
    chosen: set[int] = set()
    for name in _PUT_FORWARD_BY_TEXT:
        chosen.update(top(features[:, FEATURES.index(name)], _DEPTH).tolist())
    used = np.flatnonzero(features[:, FEATURES.index("demo_any")])
    for name in _PUT_FORWARD_BY_DEMOS:
        rows = used[top(features[used, FEATURES.index(name)], _DEPTH)]
        chosen.update(rows.tolist())
    chosen.update(np.flatnonzero(features[:, FEATURES.index("name")] >= 1).tolist())
    return np.array(sorted(chosen), dtype=np.intp)
