"""``ToolRetriever``: selects the few tools and examples that a conversation needs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolret.errors import InputError
from toolret.index import ToolIndex
from toolret.llm import ReplyCache, as_chat_model
from toolret.options import of_kind
from toolret.permissions import Allow, freeze_allow
from toolret.prompt import Format
from toolret.queries import Conversation, QueryGenerator, Strategy, as_request
from toolret.queries.generators import (
    agenerate_queries,
    as_generator,
    generate_queries,
    is_generator,
)
from toolret.recording import RecordReport, Redact, record
from toolret.retrieval.finding import Found, Limits, Retrieval, arerank, choose, find, rerank
from toolret.retrieval.latest import LatestReader
from toolret.retrieval.many import as_requests, embed_ahead, generate_in_threads
from toolret.retrieval.reranking import Reranker, checked_reranker
from toolret.retrieval.selection import Selection, trace
from toolret.retrieval.viewing import IndexView
from toolret.tokens import TokenCounter, resolve_counter
from toolret.tracing import Span, log_error, span, use_span
from toolret.types import Hit

__all__ = ["Allow", "ToolRetriever"]

_REPLIES = "replies.sqlite3"
"""The file in the index's folder that caches the LLM's replies."""

_SPAN = "toolret.select"
"""The name of a selection's span."""

_log = logging.getLogger(__name__)


class ToolRetriever:
    """Chooses tools and demonstrations for requests.

    Args:
        index: The tools and demonstrations to choose from.
        llm: The LLM that writes retrieval queries: an ``openai`` client, a LangChain chat model, a
            callable from messages to text, or a ``QueryGenerator``. Without one, the request and
            its clauses are the queries.
        model: The model's name; required with an ``openai`` client.
        strategy: How the queries are written: a name (``verbatim``, ``clauses``, ``rewrite``,
            ``think``, ``few-shot``, ``hypothesize``, ``refine``, or several joined by ``+``) or a
            ``Strategy``. By default ``rewrite`` with an LLM, ``clauses`` without.
        cache: The file that caches the LLM's replies, so that the same question is asked once.
            True, the default, puts it into the index's folder once the index holds tools;
            False turns caching off. A ``ChatModel``, such as ``as_chat_model`` makes, or a
            ``QueryGenerator`` is used as it is, with no cache but its own.
        reranker: Reorders the top of the ranking; none by default.
        max_tools: How many tools to choose at most.
        max_demos: How many demonstrations to choose at most.
        token_budget: The most tokens that the chosen tools and demonstrations may take in the
            planner's prompt; None for no limit.
        min_score: Tools less likely than this are not chosen, so a request that needs one tool gets
            few, and one that needs many gets up to ``max_tools``.
        min_recall: Target recall of the gate that decides whether a request needs any tool, 0 to 1,
            estimated from the demonstrations and public data. 1 turns the gate off, unless there is
            a ``min_precision``; ``min_score`` applies all the same.
        min_precision: If given, also the target precision of that gate, for requests of which half
            need a tool: the share of those given tools that do. It costs recall.
        prompt_format: The prompt format whose tokens are counted against the budget.
        counter: Counts the tokens; by default tiktoken's ``o200k_base`` if its table is on this
            machine, otherwise an estimate that errs high.
        on_select: Called with each selection, also those that integrations make: to log them, or to
            print ``Selection.explain()``. What it raises is logged.

    Raises:
        TypeError: If a limit is not a number, or anything else is of the wrong kind.
        InputError: If a share or a probability is outside 0 to 1, a number of tools or
            demonstrations is negative, ``token_budget`` is not above 0, or ``prompt_format`` is
            unknown; if the strategy is unknown, it needs an LLM or ``model`` names one and none is
            given, or ``llm`` is a ``QueryGenerator``, which has its own strategy and model, and
            either is given too.
        LLMError: If ``llm`` is of no known kind, or the model's name is missing.
    """

    def __init__(
        self,
        index: ToolIndex,
        *,
        llm: Any = None,
        model: str | None = None,
        strategy: str | Strategy | None = None,
        cache: str | Path | bool = True,
        reranker: Reranker | None = None,
        max_tools: int = 8,
        max_demos: int = 3,
        token_budget: int | None = 2_000,
        min_score: float = 0.02,
        min_recall: float = 0.99,
        min_precision: float | None = None,
        prompt_format: Format = "openai",
        counter: TokenCounter | None = None,
        on_select: Callable[[Selection], object] | None = None,
    ) -> None:
        of_kind("index", index, ToolIndex, "a ToolIndex, such as ToolIndex('my.index')")
        of_kind("cache", cache, str | Path | bool, "a file, True for the index's, False for none")
        index.embedder.prepare()
        self.index = index
        self.max_tools = max_tools
        self.max_demos = max_demos
        self.token_budget = token_budget
        self.min_score = min_score
        self.min_recall = min_recall
        self.min_precision = min_precision
        self.prompt_format = prompt_format
        self._limits(None, None, 0)  # rejects bad limits now, not at the first call
        if token_budget is not None and not token_budget > 0:
            raise InputError(f"token_budget is {token_budget}: give more than 0, or None")
        self.counter = resolve_counter(counter)
        self.on_select = of_kind("on_select", on_select, Callable | None, "a function")
        if not (llm is None or is_generator(llm)):
            llm = as_chat_model(llm, model, cache=_replies(index, cache))
        self.generator: QueryGenerator = as_generator(llm, model, strategy)
        self.reranker = checked_reranker(reranker)
        self._latest = LatestReader(index)

    def __repr__(self) -> str:
        return f"<ToolRetriever of {self.index!r}>"

    def select(
        self,
        conversation: Conversation,
        *,
        allow: Allow = None,
        max_tools: int | None = None,
        token_budget: int | None = None,
        depth: int = 0,
    ) -> Selection:
        """Choose tools and demonstrations for what a conversation asks for.

        Args:
            conversation: The request, or the messages up to and including it.
            allow: The caller's permissions, or a predicate over tools. Tools that it excludes are
                never ranked, returned or shown in examples.
            max_tools: Overrides the retriever's ``max_tools`` for this call.
            token_budget: Overrides the retriever's ``token_budget`` for this call.
            depth: How many tools ``Selection.ranked`` holds at least, chosen or not, of those that
                any signal puts forward: a hundred or so.

        Raises:
            InputError: If the conversation holds no text, ``allow`` is a string, a mapping, an
                iterator or not a collection, or a number of tools is negative.
            TypeError: If a limit is not a number.
            BudgetError: If the budget is too small for any of the chosen tools.
            EmbedderError: If the embedder fails.
        """
        allow = freeze_allow(allow)
        limits = self._limits(max_tools, token_budget, depth)
        with span(_SPAN, "retrieval") as current:
            return self._report(current, self._select(self._ask(conversation, allow, limits)))

    def select_many(
        self,
        conversations: Iterable[Conversation],
        *,
        allow: Allow = None,
        max_tools: int | None = None,
        token_budget: int | None = None,
        depth: int = 0,
    ) -> list[Selection]:
        """``select`` for many conversations, which are embedded in batches.

        Takes and raises what ``select`` does; several threads write the queries. One conversation,
        or a text, instead of several is an ``InputError``.
        """
        allow = freeze_allow(allow)
        limits = self._limits(max_tools, token_budget, depth)
        requests = as_requests(conversations)
        view = self._view(allow)
        selections: list[Selection] = []
        for batch in generate_in_threads(
            requests, lambda one: generate_queries(self.generator, one, view), span_name=_SPAN
        ):
            embed_ahead(self._latest(), batch, allow)
            for request, generated, seconds, begun in batch:
                with use_span(begun) as current:
                    started = time.perf_counter() - seconds
                    selection = self._select(Retrieval(request, generated, allow, limits, started))
                    selections.append(self._report(current, selection))
        return selections

    async def aselect(
        self,
        conversation: Conversation,
        *,
        allow: Allow = None,
        max_tools: int | None = None,
        token_budget: int | None = None,
        depth: int = 0,
    ) -> Selection:
        """``select`` for event loops: LLM calls are awaited, the rest runs in a worker thread."""
        allow = freeze_allow(allow)
        limits = self._limits(max_tools, token_budget, depth)
        with span(_SPAN, "retrieval") as current:
            selection = await self._aselect(await self._aask(conversation, allow, limits))
            return self._report(current, selection)

    def search(
        self,
        conversation: Conversation,
        *,
        k: int = 10,
        allow: Allow = None,
        keep_all: bool = False,
    ) -> tuple[Hit, ...]:
        """Return the k tools most likely to be needed, without demonstrations or a budget.

        Args:
            conversation: The request, or the messages up to and including it.
            k: How many tools to return at most, of those that any signal puts forward: a hundred or
                so.
            allow: The caller's permissions, or a predicate over tools.
            keep_all: Return them even if the request seems to need none.
        """
        allow = freeze_allow(allow)
        limits = self._limits(k, None, k if keep_all else 0)
        found = self._find(self._ask(conversation, allow, limits))
        return rerank(found, self.reranker).first(k, keep_all=keep_all)

    async def asearch(
        self,
        conversation: Conversation,
        *,
        k: int = 10,
        allow: Allow = None,
        keep_all: bool = False,
    ) -> tuple[Hit, ...]:
        """``search`` for event loops: LLM calls are awaited, the rest runs in a worker thread."""
        allow = freeze_allow(allow)
        limits = self._limits(k, None, k if keep_all else 0)
        found = await asyncio.to_thread(self._find, await self._aask(conversation, allow, limits))
        return (await arerank(found, self.reranker)).first(k, keep_all=keep_all)

    def record(
        self,
        messages: Iterable[Any],
        *,
        success: bool = True,
        allow: Allow = None,
        private_to: Collection[str] = (),
        redact: Redact | None = None,
    ) -> RecordReport:
        """Learn from a finished conversation, to serve similar requests better.

        Each user turn that led to calls becomes a demonstration: request, calls with arguments and
        shortened results, answer. Calls that failed, were refused or had no result are left out,
        and so are calls of tools that the index does not hold. The same request with the same tools
        is kept once, as last recorded. Only this method records, and ``sync_demos`` keeps what it
        recorded.

        Args:
            messages: Whatever ``select`` takes.
            success: Whether it went as the user wanted. If not, what was recorded from it is
                removed and returned; ``redact``, ``private_to`` and ``allow`` must be the same as
                when it was recorded.
            allow: The caller's permissions, or a predicate over tools; calls of tools that it
                excludes are left out.
            private_to: Permissions that a caller must hold to be shown the demonstrations; by
                default, everyone who may use their tools is shown them.
            redact: Receives each demonstration before any of it is stored, and returns what may be
                stored; ``toolret.recording.redacting`` makes one from a function of texts.

        Raises:
            DemoError: If the redaction fails, or another process has just removed one of the
                tools; nothing is recorded.
            EmbedderError: If the embedder fails; nothing is recorded.
            StoreError: If the index is gone or cannot be written; it is unchanged.
        """
        return record(
            self.index,
            messages,
            success=success,
            allow=freeze_allow(allow),
            private_to=private_to,
            redact=redact,
        )

    async def arecord(
        self,
        messages: Iterable[Any],
        *,
        success: bool = True,
        allow: Allow = None,
        private_to: Collection[str] = (),
        redact: Redact | None = None,
    ) -> RecordReport:
        """``record`` for event loops: runs in a worker thread."""
        recorded = await asyncio.to_thread(
            self.record,
            messages,
            success=success,
            allow=allow,
            private_to=private_to,
            redact=redact,
        )
        self.index.see_latest()  # what the thread saw of its change is not known in this task
        return recorded

    def follow(self) -> None:
        """Let the index follow what other processes sync, as each search does by itself.

        Only looks, twice a second at most; what has changed is read by a background thread.
        """
        self._latest.follow()

    def _view(self, allow: Allow) -> IndexView:
        return IndexView(self._latest, allow)

    def _limits(self, max_tools: int | None, token_budget: int | None, depth: int) -> Limits:
        return Limits(
            max_tools=self.max_tools if max_tools is None else max_tools,
            token_budget=self.token_budget if token_budget is None else token_budget,
            depth=depth,
            max_demos=self.max_demos,
            min_score=self.min_score,
            min_recall=self.min_recall,
            min_precision=self.min_precision,
            prompt_format=self.prompt_format,
        )

    def _ask(self, conversation: Conversation, allow: Allow, limits: Limits) -> Retrieval:
        """Write the queries for a request."""
        started = time.perf_counter()
        request = as_request(conversation)
        generated = generate_queries(self.generator, request, self._view(allow))
        return Retrieval(request, generated, allow, limits, started)

    async def _aask(self, conversation: Conversation, allow: Allow, limits: Limits) -> Retrieval:
        started = time.perf_counter()
        request = await asyncio.to_thread(as_request, conversation)
        generated = await agenerate_queries(self.generator, request, self._view(allow))
        return Retrieval(request, generated, allow, limits, started)

    def _select(self, retrieval: Retrieval) -> Selection:
        """Do the rest of ``select`` once queries are written; repeated requests are cached."""
        reader, request, generated = self._latest(), retrieval.request, retrieval.generated
        key: Hashable = None
        # A predicate or a reranker may answer differently next time.
        if not (callable(retrieval.allow) or self.reranker):
            counter = id(self.counter)  # users' counters need not be hashable
            asked = (request.text, generated.queries, generated.note)
            key = (*asked, retrieval.allow, retrieval.limits, counter)
            if known := reader.answers.get(key):
                seconds = dict.fromkeys(known.seconds, 0.0)
                seconds["queries"] = time.perf_counter() - retrieval.started
                return replace(known, usage=generated.usage, seconds=seconds)
        found = rerank(self._find(retrieval), self.reranker)
        selection = choose(found, self.counter)
        if key:
            found.reader.answers.put(key, selection)
        return selection

    async def _aselect(self, retrieval: Retrieval) -> Selection:
        if not self.reranker:
            return await asyncio.to_thread(self._select, retrieval)
        found = await arerank(await asyncio.to_thread(self._find, retrieval), self.reranker)
        return await asyncio.to_thread(choose, found, self.counter)

    def _find(self, retrieval: Retrieval) -> Found:
        return find(self._latest(), retrieval, self.reranker)

    def _report(self, current: Span, selection: Selection) -> Selection:
        """Record a selection on its span, and tell ``on_select`` of it."""
        trace(current, selection, self.index.embedder.id)
        if self.on_select:
            try:
                self.on_select(selection)
            except Exception as error:  # noqa: BLE001 - the caller's agent goes on
                log_error(_log, "on_select", error)
        return selection


def _replies(index: ToolIndex, cache: str | Path | bool) -> ReplyCache | None:
    if not isinstance(cache, bool):
        return ReplyCache(cache)
    if not cache:
        return None
    # Anything stored before the tools would keep a folder from passing for a new index. So nothing
    # is cached until there are tools, and a folder that was deleted is not made again.
    file = index.store.folder / _REPLIES
    return ReplyCache(file, make_folder=False, ready=lambda: len(index) > 0)
