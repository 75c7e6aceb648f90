"""``Reader``: a snapshot of an index with all that was made from it, as a retrieval reads it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

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
        hits: Best first.
        named: How many of the request's tools are called by name: so many of the first.
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
        index: Whose embedder and fit are used.
        snapshot: The index at one moment; syncs after that do not change it.

    Attributes:
        snapshot: What it reads.
        comparer: What compares requests with it.
        fit: What its demonstrations taught.
        answers: The selections that were made of it last.
    """

    def __init__(self, index: ToolIndex, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        # A folder that holds anything before the tools would not pass for a new index.
        kept = derived_path(index.store) if snapshot.tools.items else None
        self.comparer = Comparer(snapshot, index.embedder, kept=kept)
        self.fit: Fit = fit_index(index, self.comparer)
        firsts = self.comparer.columns.permitting.tolist()
        self._each_permissions = [snapshot.tools.items[first] for first in firsts]
        self.answers: Recent[Hashable, Selection] = Recent(_ANSWERS_REMEMBERED)

    def allowed(self, allow: Allow) -> Bools | None:
        """Which tools the caller may use: shape ``(tools,)``; None if it may use all."""
        if allow is None or callable(allow):
            return allowed_tools(self.snapshot.tools.items, allow)
        # Many tools need the same few permissions.
        verdicts = allowed_tools(self._each_permissions, allow)
        return None if verdicts is None else verdicts[self.comparer.columns.permissions]

    def embed(self, queries: Sequence[Query]) -> tuple[list[str], tuple[Vectors, Vectors]]:
        """The queries' texts, and their vectors, each in its role: what ``compare`` takes."""
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
        """The tools that the request most likely needs.

        Args:
            request: The request.
            comparisons: What it was compared with.
            allowed: As ``allowed`` gives it; the rest is not in the index to the ranking.
            most: How many hits to give at most.
            recall: Of the requests that need a tool, the least share that are to be given any.
            precision: Of the requests given a tool, the least share that are to need one.
        """
        called = self.comparer.columns.tools_named(mentioned_names(request.text))
        candidates = gather(self.comparer.layout, comparisons, allowed=allowed, called=called)
        parts, rest = log_odds_parts(candidates.features, self.fit.weights(candidates.features))
        named = np.isin(candidates.tools, called)
        log_odds = (parts.sum(axis=1) + rest + named * _EXACT_NAME_LOG_ODDS).astype(np.float32)
        first = np.argsort(-log_odds, kind="stable")[:most]
        sums = np.stack([parts[first][:, some].sum(axis=1) for some in SIGNALS.values()], axis=1)
        hits = map(
            _hit,
            [self.snapshot.tools.items[tool] for tool in candidates.tools[first]],
            probabilities(log_odds[first]).tolist(),
            candidates.features[first][:, _SHOWN_COLUMNS].tolist(),
            sums.tolist(),
            rest[first].tolist(),
            named[first].tolist(),
        )
        inputs = need_inputs(
            self.comparer.layout, comparisons, candidates.features, self.fit.prior.general
        )
        need, least = self.fit.need(candidates.features, inputs, recall=recall, precision=precision)
        chance, least_chance = probabilities(np.array([need, least], dtype=np.float32)).tolist()
        by_name = int(named.sum())
        return Ranking(tuple(hits), by_name, chance, least_chance, by_name > 0 or need >= least)

    def choose_demos(
        self,
        comparisons: Comparisons,
        chosen: Sequence[Hit],
        may_show: Callable[[Demo], bool] | None,
        *,
        most: int,
    ) -> tuple[DemoHit, ...]:
        """The demonstrations to show with the chosen tools.

        Args:
            comparisons: What the request was compared with.
            chosen: The tools.
            may_show: As ``may_show`` gives it.
            most: How many to give at most.
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
        """Which demonstrations the caller may be shown: none with a tool that it may not use.

        A tool that is gone from the index is such a one: its permissions went with it.

        Args:
            allow: What the caller may use.
            allowed: The same of each tool, as ``allowed`` gives it.

        Returns:
            A test of demonstrations; None if all may be shown.
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
    """A tool with its evidence, the weightiest first.

    Args:
        tool: The tool.
        chance: The probability that it is needed.
        values: Of each of ``SIGNALS``, the value that is shown.
        parts: Of the same, what it added to the log-odds.
        rest: What the other candidates added.
        named: Whether the request calls the tool by its name.
    """
    found = list(map(Evidence, SIGNALS, values, parts))
    found.append(Evidence(AGAINST_OTHERS, rest, rest))
    if named:
        found.append(Evidence("exact name", 1.0, _EXACT_NAME_LOG_ODDS))
    found.sort(key=lambda item: -abs(item.contribution))
    return Hit(tool, chance, tuple(found))
