"""The steps from a request and its queries to a selection, shared by all entry points."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from numbers import Real
from typing import SupportsFloat, SupportsIndex, get_args

from toolret.permissions import Allow
from toolret.prompt import Format, pack
from toolret.queries import GeneratedQueries, sought
from toolret.ranking.arrays import Bools
from toolret.ranking.comparisons import Comparisons
from toolret.retrieval.reader import Ranking, Reader
from toolret.retrieval.reranking import Reranking, reorder
from toolret.retrieval.selection import Selection
from toolret.text.names import ids_by_name
from toolret.tokens import TokenCounter
from toolret.types import Request, Tool

__all__ = ["Found", "Limits", "choose", "find"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be chosen: a retriever's own figures, and those of one call.

    Attributes:
        most: The most tools to choose.
        budget: The most tokens of the prompt; None for no limit.
        depth: The least number of tools in the ranking.
        demos: The most demonstrations to choose.
        score: The least probability of a chosen tool.
        recall: Target recall of the gate that decides whether any tool is needed.
        precision: Target precision of that gate; None for no target.
        form: The form in which tokens are counted.

    Raises:
        TypeError: If a number is expected and something else given.
        ValueError: If a number of tools or demonstrations is negative, a share is outside 0 to 1,
            or the form is unknown.
    """

    most: int
    budget: int | None
    depth: int
    demos: int
    score: float
    recall: float
    precision: float | None
    form: Format

    def __post_init__(self) -> None:
        counts = {"tools": self.most, "demonstrations": self.demos, "ranked tools": self.depth}
        for name, count in counts.items():
            if isinstance(count, bool) or not isinstance(count, SupportsIndex):
                raise TypeError(f"a number of {name} is a whole number, not {count!r}")
            if count < 0:
                raise ValueError(f"a number of {name} is 0 or more, not {count}")
        if isinstance(self.budget, bool) or not isinstance(self.budget, Real | None):
            raise TypeError(f"token_budget is a number or None, not {self.budget!r}")
        shares = {"min_score": self.score, "min_recall": self.recall}
        if self.precision is not None:
            shares["min_precision"] = self.precision
        for name, share in shares.items():
            if isinstance(share, bool) or not isinstance(share, SupportsFloat):
                raise TypeError(f"{name} is a number, not {share!r}")
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, not {share}")
        if self.form not in get_args(Format):
            forms = ", ".join(map(repr, get_args(Format)))
            raise ValueError(f"prompt_format is one of {forms}, not {self.form!r}")


@dataclass(frozen=True, slots=True)
class Found:
    """A request between its ranking and its selection.

    Attributes:
        request: The request.
        generated: The queries that were searched for.
        reader: The reader that ranked it.
        comparisons: How it compares with the tools and demonstrations.
        allow: The caller's permissions.
        allowed: Which tools the caller may use; None if all.
        ranking: The top of the ranking, and whether any tool is needed.
        open: The hits that a reranker may reorder.
        seconds: How long each stage took.
    """

    request: Request
    generated: GeneratedQueries
    reader: Reader
    comparisons: Comparisons
    allow: Allow
    allowed: Bools | None
    ranking: Ranking
    open: slice
    seconds: dict[str, float]

    @property
    def candidates(self) -> list[Tool]:
        """The tools for a reranker to look at: at least two, or none."""
        tools = [hit.tool for hit in self.ranking.hits[self.open]]
        return tools if len(tools) > 1 else []

    def reranked(self, reranking: Reranking, seconds: float) -> Found:
        """Return the same with these tools reordered."""
        hits = list(self.ranking.hits)
        hits[self.open], note = reorder(hits[self.open], reranking)
        notes = filter(None, (self.generated.note, note))
        return replace(
            self,
            generated=replace(self.generated, note="; ".join(notes)),
            ranking=replace(self.ranking, hits=tuple(hits)),
            seconds=self.seconds | {"rerank": seconds},
        )


def find(
    reader: Reader,
    request: Request,
    generated: GeneratedQueries,
    allow: Allow,
    limits: Limits,
    *,
    seen: int,
    started: float,
) -> Found:
    """Rank the tools for a request.

    Args:
        reader: Ranks the tools.
        request: The request.
        generated: The queries to search for.
        allow: The caller's permissions.
        limits: How much is asked for.
        seen: How many tools a reranker looks at.
        started: When the writing of queries began, by ``time.perf_counter``.
    """
    generated_at = time.perf_counter()
    queries, vectors = reader.embed(sought(generated.queries))
    embedded_at = time.perf_counter()
    comparisons = reader.comparer.compare(queries, vectors)
    compared_at = time.perf_counter()
    allowed = reader.allowed(allow)
    ranking = reader.rank(
        request,
        comparisons,
        allowed,
        most=max(limits.most, limits.depth, seen),
        recall=limits.recall,
        precision=limits.precision,
    )
    if not (ranking.needed or limits.depth):
        seen = 0  # If no tool is needed, their order is not worth a model's time.
    return Found(
        request,
        generated,
        reader,
        comparisons,
        allow,
        allowed,
        ranking,
        open=slice(ranking.named, max(ranking.named, seen)),
        seconds={
            "queries": generated_at - started,
            "embed": embedded_at - generated_at,
            "compare": compared_at - embedded_at,
            "rank": time.perf_counter() - compared_at,
        },
    )


def choose(found: Found, limits: Limits, counter: TokenCounter) -> Selection:
    """Choose the likely tools and the demonstrations that go with them; pack the prompt.

    Raises:
        BudgetError: If the budget is too small for any of the tools.
    """
    ranked_at = time.perf_counter()
    first = found.ranking.hits[: limits.most]
    likely = [hit for hit in first if hit.score >= limits.score]
    named = ids_by_name(hit.tool.id for hit in likely).values() if found.ranking.needed else ()
    chosen = tuple(hit for hit in likely if hit.tool.id in named)
    may_show = found.reader.may_show(found.allow, found.allowed)
    demos = found.reader.choose_demos(found.comparisons, chosen, may_show, most=limits.demos)
    chosen_at = time.perf_counter()
    packed = pack(chosen, demos, budget=limits.budget, form=limits.form, counter=counter)
    notes = [found.generated.note]
    if chosen and chosen[0].tool.id != packed.tools[0].id:
        notes.append(f"{limits.budget} tokens do not hold the tool {chosen[0].tool.id!r}")
    rank = found.seconds["rank"] + chosen_at - ranked_at
    return Selection(
        request=found.request.text,
        queries=found.generated.queries,
        tools=chosen,
        demos=demos,
        ranked=found.ranking.hits,
        need=found.ranking.need,
        least_need=found.ranking.least_need,
        note="; ".join(filter(None, notes)),
        token_budget=limits.budget,
        counter=counter,
        packed=packed,
        seconds=found.seconds | {"rank": rank, "pack": time.perf_counter() - chosen_at},
        usage=found.generated.usage,
    )
