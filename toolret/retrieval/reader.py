"""``Reader``: a snapshot of an index with all that was made from it, as a retrieval reads it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from toolret.embedders import Vectors
from toolret.index import Snapshot, ToolIndex
from toolret.permissions import Allow, allowed_tools, may_see
from toolret.prompt.examples import (
    CONFUSABLE,
    NEAR_COPY,
    DemoPool,
    Likeness,
    OfferedTools,
    choose_demos,
)
from toolret.ranking.arrays import Bools
from toolret.ranking.comparer import Comparer
from toolret.ranking.comparisons import Comparisons
from toolret.ranking.evidence import FEATURES, SIGNALS, gather
from toolret.ranking.fitting import Fit
from toolret.ranking.learning import fit_index
from toolret.ranking.need import need_inputs
from toolret.ranking.weighing import log_odds_parts, probabilities
from toolret.recent import Recent
from toolret.retrieval.selection import AGAINST_OTHERS, Selection
from toolret.stores.derived import derived_path
from toolret.text.names import mentioned_names
from toolret.text.spelling import find_corrections, with_corrections
from toolret.types import Demo, DemoHit, Evidence, Hit, Query, Request, Tool

__all__ = ["Ranking", "Reader"]

_EXACT_NAME_LOG_ODDS = 20.0
"""Log-odds for a tool that the request calls by its name: above all that evidence can add up to."""

_ANSWERS_REMEMBERED = 256
"""Selections for the latest requests: tens of kilobytes each."""

_SHOWN = {
    "dense": "dense_clause",
    "lexical": "lexical_clause_squared",
    "name": "name",
    "namespace": "namespace_name",
    "neighbours": "neighbours",
    "demonstrations": "demo_clause_nearest",
}
"""The feature whose value stands for a signal when it is explained."""

_SHOWN_COLUMNS = [FEATURES.index(_SHOWN[signal]) for signal in SIGNALS]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The first tools of a ranking, and whether the request needs any.

    Attributes:
        hits: The first tools, best first.
        named: How many tools the request calls by their names. They come first in ``hits``.
        need: The probability that a tool is needed.
        need_threshold: The probability from which on tools are given.
        needed: Whether tools are given.
    """

    hits: tuple[Hit, ...]
    named: int
    need: float
    need_threshold: float
    needed: bool


class Reader:
    """Ranks the tools of a snapshot, and chooses demonstrations.

    Args:
        index: The index whose embedder and fit are used.
        snapshot: The index at one moment; syncs after that do not change it.

    Attributes:
        snapshot: The snapshot.
        comparer: Compares requests with the snapshot.
        fit: What the snapshot's demonstrations taught.
        answers: The latest selections that were made from the snapshot.
    """

    def __init__(self, index: ToolIndex, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        # A folder that holds anything before the tools would not pass for a new index.
        kept = derived_path(index.store) if snapshot.tools.items else None
        self.comparer = Comparer(snapshot, index.embedder, kept=kept)
        self.fit: Fit = fit_index(index, self.comparer)
        firsts = self.comparer.columns.permitting.tolist()
        self._first_by_permissions = [snapshot.tools.items[first] for first in firsts]
        self.answers: Recent[Hashable, Selection] = Recent(_ANSWERS_REMEMBERED)

    def allowed(self, allow: Allow) -> Bools | None:
        """Return which tools the caller may use, shape ``(tools,)``; None if it may use all."""
        if allow is None or callable(allow):
            return allowed_tools(self.snapshot.tools.items, allow)
        # Many tools need the same few permissions, so one tool is asked about for all of them.
        verdicts = allowed_tools(self._first_by_permissions, allow)
        return None if verdicts is None else verdicts[self.comparer.columns.permissions]

    def corrected(self, queries: Sequence[Query], allowed: Bools | None) -> tuple[Query, ...]:
        """Return the queries with what the request misspells corrected.

        Args:
            queries: The queries, the request itself first.
            allowed: Which tools the caller may use; no other's words are put in.
        """
        count_tools = partial(self.comparer.count_tools, allowed=allowed)
        corrections = find_corrections(queries[0].text, count_tools)
        if not corrections:
            return tuple(queries)
        return tuple(replace(q, text=with_corrections(q.text, corrections)) for q in queries)

    def embed(self, queries: Sequence[Query]) -> tuple[list[str], tuple[Vectors, Vectors]]:
        """Return the queries' texts and their vectors, which ``Comparer.compare`` takes."""
        texts = [query.text for query in queries]
        tools = [place for place, query in enumerate(queries) if query.kind == "tool"]
        return texts, self.comparer.embed(texts, tools)

    def rank(
        self,
        request: Request,
        comparisons: Comparisons,
        allowed: Bools | None,
        *,
        most: int,
        recall: float,
        precision: float | None,
    ) -> Ranking:
        """Return the tools that the request most likely needs, and whether it needs any.

        Args:
            request: The request.
            comparisons: How it compares with the tools and demonstrations.
            allowed: Which tools the caller may use, as ``allowed`` returns it; to the ranking, the
                others are not in the index.
            most: How many hits to return at most.
            recall: Of the requests that need a tool, the least share that are to be given any.
            precision: Of the requests given a tool, the least share that are to need one; None for
                no such target.
        """
        called = self.comparer.columns.tools_named(mentioned_names(request.text))
        candidates = gather(self.comparer.layout, comparisons, allowed=allowed, called=called)
        parts, rest = log_odds_parts(candidates.features, self.fit.weights(candidates.features))
        named = np.isin(candidates.tools, called)
        log_odds = (parts.sum(axis=1) + rest + named * _EXACT_NAME_LOG_ODDS).astype(np.float32)
        first = np.argsort(-log_odds, kind="stable")[:most]
        by_signal = [parts[first][:, features].sum(axis=1) for features in SIGNALS.values()]
        hits = map(
            _hit,
            [self.snapshot.tools.items[tool] for tool in candidates.tools[first]],
            probabilities(log_odds[first]).tolist(),
            candidates.features[first][:, _SHOWN_COLUMNS].tolist(),
            np.stack(by_signal, axis=1).tolist(),
            rest[first].tolist(),
            named[first].tolist(),
        )
        inputs = need_inputs(
            self.comparer.layout, comparisons, candidates.features, self.fit.prior.general
        )
        odds, least_odds = self.fit.need(
            candidates.features, inputs, recall=recall, precision=precision
        )
        need, need_threshold = probabilities(np.array([odds, least_odds], np.float32)).tolist()
        count = int(named.sum())
        return Ranking(tuple(hits), count, need, need_threshold, count > 0 or odds >= least_odds)

    def choose_demos(
        self,
        comparisons: Comparisons,
        chosen: Sequence[Hit],
        may_show: Callable[[Demo], bool] | None,
        *,
        most: int,
    ) -> tuple[DemoHit, ...]:
        """Return the demonstrations to show with the chosen tools.

        Args:
            comparisons: How the request compares with the tools and demonstrations.
            chosen: The tools.
            may_show: Whether the caller may be shown a demonstration, as ``may_show`` returns it.
            most: How many to return at most.
        """
        tools, demos = self.snapshot.tools, self.snapshot.demos
        if not demos.items or not chosen:
            return ()
        positions = [tools.positions[hit.tool.id] for hit in chosen]
        vectors = tools.vectors[positions]
        cosines = self.fit.prior.cosines
        return choose_demos(
            DemoPool(
                demos.items,
                demos.vectors,
                comparisons.demo_dense.max(axis=1),
                self.comparer.layout.uses.members(np.array(positions)),
            ),
            OfferedTools({hit.tool.id: hit.score for hit in chosen}, vectors @ vectors.T),
            most=most,
            related=self.fit.related,
            likeness=Likeness(cosines.alike(NEAR_COPY), cosines.alike(CONFUSABLE)),
            may_show=may_show,
        )

    def may_show(self, allow: Allow, allowed: Bools | None) -> Callable[[Demo], bool] | None:
        """Return a test of whether the caller may be shown a demonstration; None if all may be.

        Demonstrations with a tool that it may not use are not shown, nor those with a tool that is
        gone from the index, since its permissions went with it.

        Args:
            allow: The caller's permissions.
            allowed: Which tools they allow, as ``allowed`` returns it.
        """
        if allowed is None:
            return None
        positions = self.snapshot.tools.positions

        def shown(demo: Demo) -> bool:
            places = map(positions.get, demo.tools)
            return may_see(demo, allow) and all(
                place is not None and bool(allowed[place]) for place in places
            )

        return shown


def _hit(
    tool: Tool,
    chance: float,
    values: Sequence[float],
    parts: Sequence[float],
    rest: float,
    named: bool,
) -> Hit:
    """Return a tool with its evidence, the weightiest first.

    Args:
        tool: The tool.
        chance: The probability that it is needed.
        values: The value that is shown of each of ``SIGNALS``.
        parts: What each of them added to the log-odds.
        rest: What the other candidates added.
        named: Whether the request calls the tool by its name.
    """
    evidence = list(map(Evidence, SIGNALS, values, parts))
    evidence.append(Evidence(AGAINST_OTHERS, rest, rest))
    if named:
        evidence.append(Evidence("exact name", 1.0, _EXACT_NAME_LOG_ODDS))
    evidence.sort(key=lambda item: -abs(item.contribution))
    return Hit(tool, chance, tuple(evidence))
