"""The drivers of strategies, sync and async, and what comes of a conversation with an LLM."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from toolret.errors import InputError, QueryGenerationError
from toolret.llm import Answer, ChatModel, aask, as_chat_model, ask
from toolret.llm.asking import total
from toolret.queries.framing import BUDGET, Framed, frame
from toolret.queries.generating import (
    NOTHING,
    CatalogView,
    GeneratedQueries,
    QueryGenerator,
    Usage,
)
from toolret.queries.steps import Lookup, Question, Scene, Strategy
from toolret.queries.strategies import as_strategy, own_words
from toolret.types import Query, Request

__all__ = ["StrategyQueries", "as_generator"]

_DEADLINE = 8.0
"""Seconds: longer than a small model takes for a few queries, shorter than a user waits for."""


class StrategyQueries:
    """Queries by a strategy, within a deadline; the raw request is always the first of them.

    Args:
        strategy: A name, several joined by ``+``, or a ``Strategy``.
        llm: As ``as_chat_model`` takes it; None for strategies that need none.
        model: The LLM's name; an ``openai`` client needs it.
        deadline: Seconds for all that the LLM is asked. After that there are the queries so far,
            or, if there are none, the request's clauses.
        budget: Tokens of the conversation in the prompt.

    Raises:
        InputError: If there is no such strategy, or it needs an LLM and there is none.
        QueryGenerationError: If the LLM is none, or its name is missing.
    """

    def __init__(
        self,
        strategy: str | Strategy,
        llm: Any = None,
        *,
        model: str | None = None,
        deadline: float = _DEADLINE,
        budget: int = BUDGET,
    ) -> None:
        self.strategy = as_strategy(strategy)
        if self.strategy.asks and llm is None:
            raise InputError(f"the strategy {self.strategy.name!r} needs an LLM: pass llm=...")
        self._model: ChatModel | None = as_chat_model(llm, model) if self.strategy.asks else None
        self._deadline = deadline
        self._budget = budget

    def write_queries(self, request: Request, catalog: CatalogView = NOTHING) -> GeneratedQueries:
        """The request, then the strategy's queries; if the LLM fails, the request's clauses."""
        flow = self._flow(request, catalog)
        while (step := flow.step) is not None:
            if not isinstance(step, Question):
                flow.send(step())
                continue
            try:
                answer = ask(
                    flow.model, step.messages, step.schema, step.parse, deadline=flow.left()
                )
            except QueryGenerationError as error:
                flow.fail(error)
            else:
                flow.take(answer)
        return flow.generated()

    async def awrite_queries(
        self, request: Request, catalog: CatalogView = NOTHING
    ) -> GeneratedQueries:
        """The same for event loops: models are awaited, searches run in a worker thread."""
        flow = self._flow(request, catalog)
        while (step := flow.step) is not None:
            if not isinstance(step, Question):
                flow.send(await asyncio.to_thread(step))
                continue
            try:
                answer = await aask(
                    flow.model, step.messages, step.schema, step.parse, deadline=flow.left()
                )
            except QueryGenerationError as error:
                flow.fail(error)
            else:
                flow.take(answer)
        return flow.generated()

    def _flow(self, request: Request, catalog: CatalogView) -> _Flow:
        framed = frame(request, budget=self._budget) if self._model else Framed("")
        scene = Scene(request, framed.lines, catalog)
        return _Flow(self.strategy, self._model, scene, self._deadline, cut=framed.cut)


class _Flow:
    """One run of a strategy: where it stands, and what it has taken."""

    def __init__(
        self,
        strategy: Strategy,
        model: ChatModel | None,
        scene: Scene,
        deadline: float,
        *,
        cut: str,
    ) -> None:
        self._started = time.perf_counter()
        self._strategy = strategy
        self._model = model
        self._request = scene.request
        self._deadline = deadline
        self._cut = cut
        self._answers: list[Answer[tuple[str, ...]]] = []
        self._failures: list[QueryGenerationError] = []
        self._queries: tuple[Query, ...] | None = None
        self._steps = strategy.steps(scene)
        self.step: Question | Lookup | None = None
        self.send(None)

    @property
    def model(self) -> ChatModel:
        """The LLM.

        Raises:
            InputError: If a strategy asks though it said that it would not.
        """
        if self._model is None:
            raise InputError(f"the strategy {self._strategy.name!r} needs an LLM: its `asks` lies")
        return self._model

    def left(self) -> float:
        """Seconds until the deadline.

        Raises:
            QueryGenerationError: If it has passed.
        """
        left = self._started + self._deadline - time.perf_counter()
        if left <= 0:
            raise QueryGenerationError(f"nothing more within {self._deadline:.1f} s")
        return left

    def send(self, value: Any) -> None:
        """Go on with what came of a step."""
        try:
            self.step = self._steps.send(value)
        except StopIteration as done:
            self._queries, self.step = done.value, None
        except QueryGenerationError:  # A strategy that has nothing to go on with.
            self.step = None

    def take(self, answer: Answer[tuple[str, ...]]) -> None:
        """Go on with the LLM's answer."""
        self._answers.append(answer)
        self.send(answer.value)

    def fail(self, error: QueryGenerationError) -> None:
        """Go on without an answer, if the strategy can."""
        self._failures.append(error)
        try:
            self.step = self._steps.throw(error)
        except StopIteration as done:
            self._queries, self.step = done.value, None
        except QueryGenerationError:
            self.step = None

    def generated(self) -> GeneratedQueries:
        """What came of it."""
        raw = Query(self._request.text, "request")
        found = self._queries
        if found is None:
            found = own_words(self._request)
        rest = (query for query in found if query.text.split() != raw.text.split())
        return GeneratedQueries((raw, *dict.fromkeys(rest)), self._note(), self._usage())

    def _note(self) -> str:
        if not self._failures:
            return ""
        what = "queries of the request alone" if self._queries is None else "some queries missing"
        return f"{what}, since {self.model.name} failed: {self._failures[-1]}"

    def _usage(self) -> Usage:
        spent: list[Answer[tuple[str, ...]] | QueryGenerationError]
        spent = [*self._answers, *self._failures]
        return Usage(
            strategy=self._strategy.name,
            model=self._model.name if self._model else "",
            input_tokens=total(each.input_tokens for each in spent),
            output_tokens=total(each.output_tokens for each in spent),
            calls=sum(each.calls for each in spent),
            cached=bool(spent)
            and not self._failures
            and all(answer.cached for answer in self._answers),
            seconds=time.perf_counter() - self._started,
            cut=self._cut,
        )


def as_generator(
    llm: Any, model: str | None = None, strategy: str | Strategy | None = None
) -> QueryGenerator:
    """What writes the queries: with an LLM, as ``as_chat_model`` takes it, or without (None).

    A ``QueryGenerator`` is returned as it is. The strategy is by default ``rewrite`` with an LLM,
    ``clauses`` without.

    Raises:
        InputError: If there is no such strategy, it needs an LLM and there is none, or it is given
            beside a generator, which has its own.
        QueryGenerationError: If it is no LLM, or its name is missing.
    """
    if isinstance(llm, QueryGenerator):
        if strategy is not None:
            raise InputError("a query generator has its own strategy: leave strategy=... out")
        return llm
    return StrategyQueries(strategy or ("clauses" if llm is None else "rewrite"), llm, model=model)
