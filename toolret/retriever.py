"""``ToolRetriever``: a conversation becomes the right few tools and examples."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from toolret.errors import ToolretError
from toolret.index import ToolIndex
from toolret.names import ids_by_name
from toolret.permissions import Allow
from toolret.prompt import Format, pack
from toolret.queries import Conversation, GeneratedQueries, as_generator, as_request, search_texts
from toolret.ranking import Comparisons
from toolret.reader import Ranking, Reader
from toolret.reranking import Reranker, Reranking, reorder
from toolret.selection import Selection
from toolret.tokens import TokenCounter, token_counter
from toolret.types import Hit, Request, Tool

__all__ = ["Allow", "ToolRetriever"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """A request between its ranking and its selection."""

    request: Request
    generated: GeneratedQueries
    reader: Reader
    comparisons: Comparisons
    ranking: Ranking
    open: slice
    """The hits whose order a reranker may change."""
    seconds: dict[str, float]

    @property
    def candidates(self) -> list[Tool]:
        """The tools that a reranker is to look at: several, or none."""
        tools = [hit.tool for hit in self.ranking.hits[self.open]]
        return tools if len(tools) > 1 else []

    def reranked(self, reranking: Reranking, seconds: float) -> _Found:
        """The same with these tools in another order."""
        hits = list(self.ranking.hits)
        hits[self.open], note = reorder(hits[self.open], reranking)
        notes = filter(None, (self.generated.note, note))
        return replace(
            self,
            generated=replace(self.generated, note="; ".join(notes)),
            ranking=replace(self.ranking, hits=tuple(hits)),
            seconds=self.seconds | {"rerank": seconds},
        )


class ToolRetriever:
    """Chooses tools and demonstrations for requests.

    Args:
        index: Where they are.
        llm: What writes retrieval queries: an ``openai`` client, a LangChain chat model, a
            callable that takes messages and gives text, or a ``QueryGenerator``. Without one,
            the request and its clauses are the queries.
        model: The model's name, which an ``openai`` client needs.
        reranker: What looks at the first tools of the ranking again; nothing by default.
        max_tools: How many tools to choose at most.
        max_demos: How many demonstrations to choose at most.
        token_budget: The most tokens that the chosen tools and demonstrations may take in the
            planner's prompt; None for no limit.
        min_score: The least probability of a tool that is chosen; so requests that need one tool
            get few, and those that need many get up to ``max_tools``.
        min_recall: Of the requests that need a tool, as far as demonstrations and public data tell,
            the least share that get any, 0 to 1. The others, which look less in need of a tool
            than these, are answered with none. 1 gives tools to all requests.
        min_precision: If given, the least share of the requests given tools that need them, were
            as many in need of none; wanted beyond ``min_recall``, at its cost.
        prompt_format: The form in which tokens are counted against the budget.
        counter: What counts them; by default tiktoken's ``o200k_base`` where its table is on
            this machine, otherwise an estimate that errs high.

    Raises:
        ValueError: If a share is not one.
    """

    def __init__(
        self,
        index: ToolIndex,
        *,
        llm: Any = None,
        model: str | None = None,
        reranker: Reranker | None = None,
        max_tools: int = 8,
        max_demos: int = 3,
        token_budget: int | None = 2_000,
        min_score: float = 0.02,
        min_recall: float = 0.99,
        min_precision: float | None = None,
        prompt_format: Format = "openai",
        counter: TokenCounter | None = None,
    ) -> None:
        for name, share in (("min_recall", min_recall), ("min_precision", min_precision)):
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, not {share}")
        self.index = index
        self.max_tools = max_tools
        self.max_demos = max_demos
        self.token_budget = token_budget
        self.min_score = min_score
        self.min_recall = min_recall
        self.min_precision = min_precision
        self.prompt_format = prompt_format
        self.counter = counter or token_counter()
        self.generator = as_generator(llm, model)
        self.reranker = reranker
        self._reading = threading.Lock()
        self._following = False
        self._reader = Reader(index, index.snapshot)

    def select(
        self,
        conversation: Conversation,
        *,
        allow: Allow = None,
        max_tools: int | None = None,
        token_budget: int | None = None,
        depth: int = 0,
    ) -> Selection:
        """The tools and demonstrations for what a conversation asks for.

        Args:
            conversation: The request, or the messages up to and including it.
            allow: What the caller may use; whatever it may not is never chosen nor shown.
            max_tools: Instead of the retriever's.
            token_budget: Instead of the retriever's.
            depth: How many tools ``Selection.ranked`` holds at least, chosen or not.

        Raises:
            InputError: If the conversation holds no text.
            BudgetError: If the budget is too small for even one tool.
            EmbedderError: If the embedder fails.
        """
        started = time.perf_counter()
        request = as_request(conversation)
        generated = self.generator.generate(request)
        most = self.max_tools if max_tools is None else max_tools
        found = self._find(request, generated, allow, most=most, depth=depth, started=started)
        return self._choose(self._reranked(found), allow, most=most, budget=token_budget)

    async def aselect(
        self,
        conversation: Conversation,
        *,
        allow: Allow = None,
        max_tools: int | None = None,
        token_budget: int | None = None,
        depth: int = 0,
    ) -> Selection:
        """``select`` for event loops: models are awaited, the rest runs in a worker thread."""
        started = time.perf_counter()
        request = as_request(conversation)
        generated = await self.generator.agenerate(request)
        most = self.max_tools if max_tools is None else max_tools
        found = await asyncio.to_thread(
            self._find, request, generated, allow, most=most, depth=depth, started=started
        )
        if self.reranker and found.candidates:
            asked_at = time.perf_counter()
            reranking = await self.reranker.ascore(request, found.candidates)
            found = found.reranked(reranking, time.perf_counter() - asked_at)
        return await asyncio.to_thread(self._choose, found, allow, most=most, budget=token_budget)

    def search(
        self,
        conversation: Conversation,
        *,
        k: int = 10,
        allow: Allow = None,
        keep_all: bool = False,
    ) -> tuple[Hit, ...]:
        """The k tools that are most likely needed, without demonstrations or a budget.

        Args:
            conversation: The request, or the messages up to and including it.
            k: How many tools to give at most.
            allow: What the caller may use.
            keep_all: Give k tools even if none of them is likely enough.
        """
        started = time.perf_counter()
        request = as_request(conversation)
        generated = self.generator.generate(request)
        depth = k if keep_all else 0
        found = self._find(request, generated, allow, most=k, depth=depth, started=started)
        ranking = self._reranked(found).ranking
        return ranking.hits[:k] if keep_all or ranking.needed else ()

    def _find(
        self,
        request: Request,
        generated: GeneratedQueries,
        allow: Allow,
        *,
        most: int,
        depth: int,
        started: float,
    ) -> _Found:
        reader = self._current()
        queries = search_texts(generated.queries)
        generated_at = time.perf_counter()
        vectors = reader.searcher.embed(queries)
        embedded_at = time.perf_counter()
        comparisons = reader.searcher.compare(queries, vectors)
        compared_at = time.perf_counter()
        seen = self.reranker.depth if self.reranker else 0
        ranking = reader.rank(
            request,
            comparisons,
            allow,
            most=max(most, depth, seen),
            recall=self.min_recall,
            precision=self.min_precision,
        )
        if not (ranking.needed or depth):
            seen = 0  # Where no tool is the answer, their order is not worth a model's time.
        return _Found(
            request,
            generated,
            reader,
            comparisons,
            ranking,
            open=slice(ranking.named, max(ranking.named, seen)),
            seconds={
                "queries": generated_at - started,
                "embed": embedded_at - generated_at,
                "compare": compared_at - embedded_at,
                "rank": time.perf_counter() - compared_at,
            },
        )

    def _reranked(self, found: _Found) -> _Found:
        if not (self.reranker and found.candidates):
            return found
        asked_at = time.perf_counter()
        reranking = self.reranker.score(found.request, found.candidates)
        return found.reranked(reranking, time.perf_counter() - asked_at)

    def _choose(self, found: _Found, allow: Allow, *, most: int, budget: int | None) -> Selection:
        ranked_at = time.perf_counter()
        likely = [hit for hit in found.ranking.hits[:most] if hit.score >= self.min_score]
        named = ids_by_name(hit.tool.id for hit in likely).values() if found.ranking.needed else ()
        chosen = tuple(hit for hit in likely if hit.tool.id in named)
        demos = found.reader.choose_demos(found.comparisons, chosen, allow, most=self.max_demos)
        chosen_at = time.perf_counter()
        rank = found.seconds["rank"] + chosen_at - ranked_at
        limit = self.token_budget if budget is None else budget
        packed = pack(chosen, demos, budget=limit, form=self.prompt_format, counter=self.counter)
        return Selection(
            request=found.request.text,
            queries=found.generated.queries,
            tools=chosen,
            demos=demos,
            ranked=found.ranking.hits,
            need=found.ranking.need,
            note=found.generated.note,
            token_budget=limit,
            counter=self.counter,
            packed=packed,
            seconds=found.seconds | {"rank": rank, "pack": time.perf_counter() - chosen_at},
        )

    def _current(self) -> Reader:
        """The reader of the index's latest snapshot; made anew after a sync, by one thread.

        A sync of this process is waited for. What another process wrote is read beside the
        requests, which go on with what there is.
        """
        with self._reading:
            if self._reader.snapshot is not self.index.snapshot:
                self._reader = Reader(self.index, self.index.snapshot)
            elif not self._following and self.index.stale():
                self._following = True
                threading.Thread(target=self._follow, daemon=True).start()
            return self._reader

    def _follow(self) -> None:
        try:
            reader = Reader(self.index, self.index.read_latest())
            with self._reading:
                if self.index.show(reader.snapshot) is reader.snapshot:
                    self._reader = reader
        except ToolretError as error:
            _log.warning("what another process wrote cannot be used: %s", error)
        finally:
            self._following = False
