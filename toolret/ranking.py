"""Evidence for tools: what each signal says, as arrays.

Pure functions. A request is read as several queries, the first being the request itself; texts
and demonstrations have been compared with all of them. ``gather`` turns those comparisons into
one row of features for each tool that any signal puts forward; ``weighing`` makes them odds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DEMO_FEATURES",
    "FEATURES",
    "SIGNALS",
    "TEXT_FEATURES",
    "Comparisons",
    "Evidence",
    "Layout",
    "gather",
]

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

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
    "demo_votes_root",
    "demo_votes_log",
    "demo_votes_broad",
    "demo_clause_nearest",
    "demo_clause_votes",
    "demo_clause_votes_best",
    "demo_lexical_nearest",
    "demo_lexical_votes",
    "demo_centroid",
    "demo_centroid_gap",
    "demo_ridge",
    "demo_ridge_clause",
    "demo_ridge_gap",
    "demo_count",
    "demo_any",
    "demo_any_nearest",
)
"""What the demonstrations that use the tool say: the columns after those of the text."""

FEATURES = TEXT_FEATURES + DEMO_FEATURES

SIGNALS = {
    "dense": [i for i, name in enumerate(FEATURES) if name.startswith("dense")],
    "lexical": [i for i, name in enumerate(FEATURES) if name.startswith("lexical")],
    "name": [FEATURES.index("name")],
    "namespace": [i for i, name in enumerate(FEATURES) if name.startswith("namespace")],
    "neighbours": [FEATURES.index("neighbours")],
    "demonstrations": [i for i, name in enumerate(FEATURES) if name.startswith("demo")],
}
"""Which features make up each signal that is named to people."""

_RANK_OFFSET = 11
"""Of reciprocal ranks: small, so that the first few places differ (Cormack et al. use 60, which
serves to merge long lists)."""

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
    "demo_centroid",
    "demo_ridge",
)
"""The features whose first tools become candidates."""

_VOTERS = 60
"""Demonstrations that vote; the softmax leaves those further away next to nothing."""

_SHARP = 0.03
_BROAD = 0.1
"""Temperatures of the votes in cosine: a few near demonstrations decide, or the neighbourhood."""

_LEXICAL_TEMPERATURE = 0.1
"""The same for BM25 as a share of the best demonstration's."""

_NEIGHBOURS = 3
"""Of the tools most like the request, whose mean the ``neighbours`` feature compares with."""

_VOTE_FLOOR = 1e-3
"""Below this share of the votes, differences mean nothing."""

_TINY = 1e-6


@dataclass(frozen=True, slots=True)
class Layout:
    """What does not change between requests.

    Attributes:
        tool_vectors: Unit vectors, shape ``(tools, dimensions)``.
        namespaces: Number of each tool's namespace, shape ``(tools,)``, from 0 on.
        demo_of: For each use of a tool in a demonstration, the demonstration; shape ``(uses,)``,
            ascending.
        tool_of: For the same uses, the tool; shape ``(uses,)``.
    """

    tool_vectors: Floats
    namespaces: Ints
    demo_of: Ints
    tool_of: Ints


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
        demo_weights: What each demonstration counts by ridge regression, shape
            ``(demos, queries)``.
        demo_lexical: BM25 of the request itself, shape ``(demos,)``.
    """

    dense: Floats
    aligned: Floats
    lexical: Floats
    names: Floats
    namespace_names: Floats
    demo_dense: Floats
    demo_weights: Floats
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
    demo = _demo_features(layout, comparisons, heard)[tools]
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
    nearest = tools[_top(whole, _NEIGHBOURS)]
    neighbourhood = layout.tool_vectors[nearest].mean(axis=0)
    return np.stack(
        [
            whole,
            clause,
            whole - whole.max(),
            clause - clause.max(),
            _reciprocal_ranks(whole),
            _reciprocal_ranks(clause),
            (dense - dense.max(axis=0)).max(axis=1),
            _best_reciprocal_ranks(dense),
            aligned[:, 0],
            aligned.max(axis=1),
            aligned[:, 0] - aligned[:, 0].max(),
            relative[:, 0],
            relative.max(axis=1),
            np.log1p(words),
            np.log1p(clause_words),
            _reciprocal_ranks(words),
            _reciprocal_ranks(clause_words),
            _best_reciprocal_ranks(lexical),
            comparisons.names[tools],
            comparisons.namespace_names[tools],
            _best_of_group(whole, namespaces),
            _best_of_group(relative[:, 0], namespaces),
            layout.tool_vectors[tools] @ neighbourhood,
        ],
        axis=1,
    ).astype(np.float32)


def _demo_features(layout: Layout, comparisons: Comparisons, heard: Bools | None) -> Floats:
    """For all tools; 0 in every column for a tool that no heard demonstration uses."""
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

    dense = np.where(heard[:, None], comparisons.demo_dense, np.float32(-1))
    whole = dense[:, 0]
    nearest = _best_of_tool(whole, demo_of, tool_of, tools)
    votes = _votes(whole, demo_of, tool_of, tools, temperature=_SHARP)
    broad = _votes(whole, demo_of, tool_of, tools, temperature=_BROAD)
    clause_votes = [votes] + [
        _votes(dense[:, i], demo_of, tool_of, tools, temperature=_SHARP)
        for i in range(1, dense.shape[1])
    ]
    lexical = np.where(heard, comparisons.demo_lexical, np.float32(0))
    lexical = (lexical / max(float(lexical.max()), _TINY)).astype(np.float32)
    ridge_weights = np.where(heard[:, None], comparisons.demo_weights, np.float32(0))
    ridge = np.stack(
        [np.bincount(tool_of, weights=each[demo_of], minlength=tools) for each in ridge_weights.T],
        axis=1,
    )
    centroid = np.bincount(tool_of, weights=whole[demo_of], minlength=tools) / np.maximum(count, 1)
    best = float(whole.max())
    features[:] = np.stack(
        [
            nearest,
            nearest - best,
            votes,
            np.sqrt(votes),
            np.log(votes + _VOTE_FLOOR),
            broad,
            _best_of_tool(dense.max(axis=1), demo_of, tool_of, tools),
            np.mean(clause_votes, axis=0),
            np.max(clause_votes, axis=0),
            _best_of_tool(lexical, demo_of, tool_of, tools),
            _votes(lexical, demo_of, tool_of, tools, temperature=_LEXICAL_TEMPERATURE),
            centroid,
            centroid - centroid[used].max(),
            ridge[:, 0],
            ridge.max(axis=1),
            ridge[:, 0] - ridge[used, 0].max(),
            np.log1p(count),
            np.ones(tools),
            np.full(tools, best),
        ],
        axis=1,
    )
    features[~used] = 0
    return features


def _candidates(features: Floats) -> Ints:
    """Rows that are among the first of any signal."""
    chosen: set[int] = set()
    for name in _PUT_FORWARD_BY_TEXT:
        chosen.update(_top(features[:, FEATURES.index(name)], _DEPTH).tolist())
    for name in _PUT_FORWARD_BY_DEMOS:
        column = features[:, FEATURES.index(name)]
        chosen.update(i for i in _top(column, _DEPTH).tolist() if column[i] > 0)
    chosen.update(np.flatnonzero(features[:, FEATURES.index("name")] >= 1).tolist())
    return np.array(sorted(chosen), dtype=np.intp)


def _top(values: Floats, count: int) -> Ints:
    """Positions of the largest values, ties by position, best first."""
    if len(values) > count:
        threshold = np.partition(values, -count)[-count]
        positions = np.flatnonzero(values >= threshold)
    else:
        positions = np.arange(len(values))
    order = np.argsort(-values[positions], kind="stable")[:count]
    return np.asarray(positions[order], dtype=np.intp)


def _reciprocal_ranks(values: Floats) -> Floats:
    """``1 / (11 + rank)``, ranks from 0 on (after Cormack et al., 2009)."""
    ranks = np.empty(len(values), dtype=np.float32)
    ranks[np.argsort(-values, kind="stable")] = np.arange(len(values))
    return np.asarray(1 / (_RANK_OFFSET + ranks), dtype=np.float32)


def _best_reciprocal_ranks(values: Floats) -> Floats:
    """For each row, the best of its reciprocal ranks in the columns: every query has its first."""
    return np.asarray(
        np.max([_reciprocal_ranks(column) for column in values.T], axis=0), dtype=np.float32
    )


def _best_of_group(values: Floats, groups: Ints) -> Floats:
    """For each value, the largest in its group; 0 if there is one group only: no evidence."""
    if len(groups) == 0 or (groups == groups[0]).all():
        return np.zeros(len(values), dtype=np.float32)
    best = np.full(int(groups.max()) + 1, -np.inf, dtype=np.float32)
    np.maximum.at(best, groups, values)
    return best[groups]


def _best_of_tool(values: Floats, demo_of: Ints, tool_of: Ints, tools: int) -> Floats:
    """The largest value among each tool's demonstrations, at least 0: shape ``(tools,)``."""
    best = np.zeros(tools, dtype=np.float32)
    np.maximum.at(best, tool_of, values[demo_of].astype(np.float32))
    return best


def _votes(
    values: Floats, demo_of: Ints, tool_of: Ints, tools: int, *, temperature: float
) -> Floats:
    """Nearest neighbours' votes for their tools, weighed by a softmax of their similarity.

    Each demonstration gives its whole weight to every tool that it uses, so a request's tools
    can all come near 1.
    """
    voters = _top(values, _VOTERS)
    weight = np.zeros(len(values), dtype=np.float64)
    weight[voters] = np.exp((values[voters] - values[voters[0]]) / temperature)
    weight /= weight.sum()
    share = np.bincount(tool_of, weights=weight[demo_of], minlength=tools)
    return np.asarray(share, dtype=np.float32)
