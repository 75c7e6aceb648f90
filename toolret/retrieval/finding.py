"""The steps from a request and its queries to a selection, shared by all entry points."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from numbers import Real
from typing import SupportsFloat, SupportsIndex, get_args

from toolret.errors import InputError
from toolret.options import one_of
from toolret.permissions import Allow
from toolret.prompt import Format, pack
from toolret.queries import GeneratedQueries
from toolret.queries.combining import expand_queries
from toolret.ranking.arrays import Bools
from toolret.ranking.comparisons import Comparisons
from toolret.retrieval.reader import Ranking, Reader
from toolret.retrieval.reranking import Reranker, Reranking, ascore_tools, reorder, score_tools
from toolret.retrieval.selection import Selection
from toolret.text.names import ids_by_name
from toolret.tokens import TokenCounter
from toolret.types import Hit, Request, Tool

__all__ = ["Found", "Limits", "Retrieval", "arerank", "choose", "find", "rerank"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be chosen: a retriever's own figures, and those of one call.

    Attributes:
        max_tools: The most tools to choose.
        token_budget: The most tokens of the prompt; None for no limit.
        depth: The least number of tools in the ranking.
        max_demos: The most demonstrations to choose.
        min_score: The least probability of a chosen tool.
        min_recall: Target recall of the gate that decides whether any tool is needed.
        min_precision: Target precision of that gate; None for no target.
        prompt_format: The format in which tokens are counted.

    Raises:
        TypeError: If a number is expected and something else given.
        InputError: If a number of tools or demonstrations is negative, a share is outside 0 to 1,
            or the form is unknown.
    """

    max_tools: int
    token_budget: int | None
    depth: int
    max_demos: int
    min_score: float
    min_recall: float
    min_precision: float | None
    prompt_format: Format

    def __post_init__(self) -> None:
        counts = {
            "tools": self.max_tools,
            "demonstrations": self.max_demos,
            "ranked tools": self.depth,
        }
        # The usual types are asked for first: to ask for a protocol takes ten microseconds.
        for name, count in counts.items():
            if isinstance(count, bool) or not isinstance(count, int | SupportsIndex):
                raise TypeError(f"a number of {name} is a whole number, not {count!r}")
            if count < 0:
                raise InputError(f"a number of {name} is 0 or more, not {count}")
        if isinstance(self.token_budget, bool) or not isinstance(self.token_budget, Real | None):
            raise TypeError(f"token_budget is a number or None, not {self.token_budget!r}")
        shares = {"min_score": self.min_score, "min_recall": self.min_recall}
        if self.min_precision is not None:
            shares["min_precision"] = self.min_precision
        for name, share in shares.items():
            if isinstance(share, bool) or not isinstance(share, float | SupportsFloat):
                raise TypeError(f"{name} is a number, not {share!r}")
            if not 0 <= share <= 1:
                raise InputError(f"{name} is a share from 0 to 1, not {share}")
        one_of("prompt_format", self.prompt_format, get_args(Format))


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What is to be retrieved.

    Attributes:
        request: The request.
        generated: The queries to search for.
        allow: The caller's permissions.
        limits: How much may be chosen.
        started: When the writing of queries began, by ``time.perf_counter``.
    """

    request: Request
    generated: GeneratedQueries
    allow: Allow
    limits: Limits
    started: float


@dataclass(frozen=True, slots=True)
class Found:
    """A request between its ranking and its selection.

    Attributes:
        retrieval: What is retrieved.
        reader: The reader that ranked the tools.
        comparisons: How the request compares with the tools and demonstrations.
        allowed: Which tools the caller may use; None if all.
        ranking: The top of the ranking, and whether any tool is needed.
        reorderable: The part of the hits that a reranker may reorder.
        seconds: How long each stage took.
    """

    retrieval: Retrieval
    reader: Reader
    comparisons: Comparisons
    allowed: Bools | None
    ranking: Ranking
    reorderable: slice
    seconds: dict[str, float]

    @property
    def candidates(self) -> list[Tool]:
        """The tools for a reranker to look at: at least two, or none."""
        tools = [hit.tool for hit in self.ranking.hits[self.reorderable]]
        return tools if len(tools) > 1 else []

    def first(self, k: int, *, keep_all: bool) -> tuple[Hit, ...]:
        """Return the first k hits; unless all are kept, none if no tool is needed."""
        return self.ranking.hits[:k] if keep_all or self.ranking.needed else ()

    def reranked(self, reranking: Reranking, seconds: float) -> Found:
        """Return the same with the candidates reordered, and with the reranking's note."""
        hits = list(self.ranking.hits)
        hits[self.reorderable], note = reorder(hits[self.reorderable], reranking)
        generated = self.retrieval.generated
        notes = filter(None, (generated.note, note))
        generated = replace(generated, note="; ".join(notes))
        return replace(
            self,
            retrieval=replace(self.retrieval, generated=generated),
            ranking=replace(self.ranking, hits=tuple(hits)),
            seconds=self.seconds | {"rerank": seconds},
        )


def find(reader: Reader, retrieval: Retrieval, reranker: Reranker | None) -> Found:
    """Rank the tools for a request.

    Args:
        reader: Ranks the tools.
        retrieval: The request, its queries, and how much is asked for.
        reranker: What will rerank the tools, if anything.
    """
    limits = retrieval.limits
    rerank_depth = reranker.depth if reranker else 0
    allowed = reader.allowed(retrieval.allow)
    queries = reader.corrected(retrieval.generated.queries, allowed)
    retrieval = replace(retrieval, generated=replace(retrieval.generated, queries=queries))
    generated_at = time.perf_counter()
    texts, vectors = reader.embed(expand_queries(queries))
    embedded_at = time.perf_counter()
    comparisons = reader.comparer.compare(texts, vectors)
    compared_at = time.perf_counter()
    ranking = reader.rank(
        retrieval.request,
        comparisons,
        allowed,
        most=max(limits.max_tools, limits.depth, rerank_depth),
        recall=limits.min_recall,
        precision=limits.min_precision,
    )
    if not (ranking.needed or limits.depth):
        rerank_depth = 0  # If no tool is needed, their order is not worth a model's time.
    return Found(
        retrieval,
        reader,
        comparisons,
        allowed,
        ranking,
        reorderable=slice(ranking.named, max(ranking.named, rerank_depth)),
        seconds={
            "queries": generated_at - retrieval.started,
            "embed": embedded_at - generated_at,
            "compare": compared_at - embedded_at,
            "rank": time.perf_counter() - compared_at,
        },
    )


def rerank(found: Found, reranker: Reranker | None) -> Found:
    """Return the same with the candidates, if there are any, in the reranker's order."""
    if reranker is None or not found.candidates:
        return found
    asked_at = time.perf_counter()
    reranking = score_tools(reranker, found.retrieval.request, found.candidates)
    return found.reranked(reranking, time.perf_counter() - asked_at)


async def arerank(found: Found, reranker: Reranker | None) -> Found:
    """Rerank the candidates; the asynchronous version of ``rerank``."""
    if reranker is None or not found.candidates:
        return found
    asked_at = time.perf_counter()
    reranking = await ascore_tools(reranker, found.retrieval.request, found.candidates)
    return found.reranked(reranking, time.perf_counter() - asked_at)


def choose(found: Found, counter: TokenCounter) -> Selection:
    """Choose the likely tools and the demonstrations that go with them; pack the prompt.

    Raises:
        BudgetError: If the budget is too small for any of the tools.
    """
    ranked_at = time.perf_counter()
    retrieval = found.retrieval
    generated, limits = retrieval.generated, retrieval.limits
    first = found.ranking.hits[: limits.max_tools] if found.ranking.needed else ()
    likely = [hit for hit in first if hit.score >= limits.min_score]
    callable_ids = ids_by_name(hit.tool.id for hit in likely).values()  # each name calls one tool
    chosen = tuple(hit for hit in likely if hit.tool.id in callable_ids)
    may_show = found.reader.may_show(retrieval.allow, found.allowed)
    demos = found.reader.choose_demos(found.comparisons, chosen, may_show, most=limits.max_demos)
    chosen_at = time.perf_counter()
    packed = pack(
        chosen,
        demos,
        budget=limits.token_budget,
        form=limits.prompt_format,
        counter=counter,
    )
    notes = [generated.note]
    if chosen and chosen[0].tool.id != packed.tools[0].id:
        notes.append(f"{limits.token_budget} tokens do not hold the tool {chosen[0].tool.id!r}")
    rank = found.seconds["rank"] + chosen_at - ranked_at
    return Selection(
        request=retrieval.request.text,
        queries=generated.queries,
        tools=chosen,
        demos=demos,
        ranked=found.ranking.hits,
        need=found.ranking.need,
        need_threshold=found.ranking.need_threshold,
        note="; ".join(filter(None, notes)),
        token_budget=limits.token_budget,
        counter=counter,
        packed=packed,
        seconds=found.seconds | {"rank": rank, "pack": time.perf_counter() - chosen_at},
        usage=generated.usage,
    )
