"""Evidence for tools: what each signal says, as arrays.

Pure functions. A request is read as several queries, the first being the request itself; texts
and demonstrations have been compared with all of them. ``gather`` turns those comparisons into
one row of features for each tool that any signal puts forward; ``weighing`` makes them odds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolret.signals import (
    Bools,
    Floats,
    Ints,
    best_of_group,
    best_of_tool,
    best_reciprocal_ranks,
    reciprocal_ranks,
    shares,
    top,
    votes,
)

__all__ = [
    "CONTEXT",
    "DEMO_FEATURES",
    "FEATURES",
    "SIGNALS",
    "TEXT_FEATURES",
    "Comparisons",
    "Evidence",
    "Layout",
    "gather",
]

TEXT_FEATURES = (
    "dense",
    "dense_clause",
    "dense_gap",
    "dense_clause_gap",
    "dense_rank",
    "dense_clause_rank",
    "dense_clause_own_gap",
    "dense_clause_own_rank",
    "dense_aligned",
    "dense_aligned_clause",
    "dense_aligned_gap",
    "lexical",
    "lexical_clause",
    "lexical_log",
    "lexical_clause_log",
    "lexical_rank",
    "lexical_clause_rank",
    "lexical_clause_own_rank",
    "name",
    "namespace_name",
    "namespace_dense",
    "namespace_lexical",
    "neighbours",
)
"""What the tool's own text says: columns of the features, in this order."""

DEMO_FEATURES = (
    "demo_nearest",
    "demo_nearest_gap",
    "demo_votes",
    "demo_clause_nearest",
    "demo_clause_votes",
    "demo_clause_votes_best",
    "demo_lexical_nearest",
    "demo_lexical_votes",
    "demo_ridge",
    "demo_ridge_clause",
    "demo_ridge_gap",
    "demo_set_share",
    "demo_group_share",
    "demo_count",
    "demo_any",
    "demo_any_nearest",
    "demo_covered",
)
"""What the demonstrations that use the tool say: the columns after those of the text."""

FEATURES = TEXT_FEATURES + DEMO_FEATURES

CONTEXT = ("neighbours", "demo_count", "demo_any", "demo_any_nearest", "demo_covered")
"""Features that say where a tool stands, of which more may be better or worse. All others say how
well it fits, and of these more is never worse."""

SIGNALS = {
    "dense": [i for i, name in enumerate(FEATURES) if name.startswith("dense")],
    "lexical": [i for i, name in enumerate(FEATURES) if name.startswith("lexical")],
    "name": [FEATURES.index("name")],
    "namespace": [i for i, name in enumerate(FEATURES) if name.startswith("namespace")],
    "neighbours": [FEATURES.index("neighbours")],
    "demonstrations": [i for i, name in enumerate(FEATURES) if name.startswith("demo")],
}
"""Which features make up each signal that is named to people."""

_DEPTH = 40
"""How many tools each signal puts forward: beyond it, no public set has more than 2 % of its
right tools."""

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
"""The features whose first tools become candidates."""

_TEMPERATURE = 0.03
"""Of the votes, in cosine: a few near demonstrations decide."""

_LEXICAL_TEMPERATURE = 0.1
"""The same for BM25 as a share of the best demonstration's."""

_ABOUT = 20
"""Of the tools that the request is about by their texts, whose share with demonstrations says how
much demonstrations have to say of the request."""

_NEIGHBOURS = 3
"""Of the tools most like the request, whose mean the ``neighbours`` feature compares with."""

_VOTE_FLOOR = 1e-3
"""Below this share of the votes, differences mean nothing."""

_TINY = 1e-6

_DENSE_RANK = TEXT_FEATURES.index("dense_rank")
_LEXICAL_RANK = TEXT_FEATURES.index("lexical_rank")


@dataclass(frozen=True, slots=True)
class Layout:
    """What does not change between requests.

    Attributes:
        tool_vectors: Unit vectors, shape ``(tools, dimensions)``.
        namespaces: Number of each tool's namespace, shape ``(tools,)``, from 0 on.
        demo_of: For each use of a tool in a demonstration, the demonstration; shape ``(uses,)``,
            ascending.
        tool_of: For the same uses, the tool; shape ``(uses,)``.
        set_of: For each tool in each distinct set of tools that a demonstration uses, the set.
        tool_of_set: For the same, the tool.
    """

    tool_vectors: Floats
    namespaces: Ints
    demo_of: Ints
    tool_of: Ints
    set_of: Ints
    tool_of_set: Ints


@dataclass(frozen=True, slots=True)
class Comparisons:
    """A request against everything that is indexed; column 0 is the request itself.

    Attributes:
        dense: Cosines, shape ``(tools, queries)``.
        lexical: BM25, shape ``(tools, queries)``.
        aligned: Cosines of the queries as the demonstrations' tools would have them: shape
            ``(tools, queries)``; without demonstrations the same as ``dense``.
        names: Share of the tool's name that the request says, shape ``(tools,)``, 0 to 1.
        namespace_names: The same of the namespace's name.
        demo_dense: Cosines, shape ``(demos, queries)``.
        demo_ridge: What ridge regression on the demonstrations says of each tool, shape
            ``(tools, queries)``.
        demo_sets: How well the request itself fits the demonstrations that use each set of tools:
            discriminants, shape ``(sets,)``.
        demo_groups: The same for those that use each tool, shape ``(tools,)``.
        demo_lexical: BM25 of the request itself, shape ``(demos,)``.
    """

    dense: Floats
    aligned: Floats
    lexical: Floats
    names: Floats
    namespace_names: Floats
    demo_dense: Floats
    demo_ridge: Floats
    demo_sets: Floats
    demo_groups: Floats
    demo_lexical: Floats


@dataclass(frozen=True, slots=True)
class Evidence:
    """Features of the tools that were put forward.

    Attributes:
        tools: Positions of the tools, shape ``(candidates,)``, ascending.
        features: Shape ``(candidates, len(FEATURES))``.
    """

    tools: Ints
    features: Floats


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
    uses = heard[layout.demo_of]
    if not uses.any():
        return features
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
