"""``StrategyQueryGenerator``, which runs a strategy, and calls of any query generator."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from toolret.errors import InputError, LLMError
from toolret.llm import Answer, ChatModel, aask, as_chat_model, ask
from toolret.llm.asking import total
from toolret.llm.failures import foreign_failure
from toolret.options import seconds, whole_number
from toolret.queries.framing import BUDGET, Framed, frame
from toolret.queries.generating import (
    EMPTY_CATALOG,
    CatalogView,
    GeneratedQueries,
    QueryGenerator,
    Usage,
)
from toolret.queries.steps import Lookup, Question, Strategy, StrategyContext
from toolret.queries.strategies import as_strategy
from toolret.queries.without_llm import queries_without_llm
from toolret.types import Query, Request

__all__ = [
    "StrategyQueryGenerator",
    "agenerate_queries",
    "as_generator",
    "generate_queries",
    "is_generator",
]

_log = logging.getLogger(__name__)

_DEADLINE = 8.0
"""The default deadline in seconds: more than a small model needs for a few queries, and less than a
user will wait."""

_NO_QUERIES = "queries of the request alone"
"""How a note begins if no queries of the generator's are there."""


class StrategyQueryGenerator:
    """Writes queries by a strategy, within a deadline; the first is always the raw request.

    Args:
        strategy: The name of a strategy, several names joined by ``+``, or a ``Strategy``.
        llm: Anything that ``as_chat_model`` accepts; None for strategies that need no LLM.
        model: The LLM's name; required for an ``openai`` client.
        deadline: The time for all LLM calls together, in seconds. After that, the queries so far
            are used, or, if there are none, the request's clauses.
        token_budget: The most tokens that the conversation may take in the prompt.

    Raises:
        InputError: If there is no such strategy, it needs an LLM and none is given, a model is
            named without an LLM, or a number is not above 0.
        LLMError: If ``llm`` is not a supported LLM, or its name is missing.
    """

    def __init__(
        self,
        strategy: str | Strategy,
        llm: Any = None,
        *,
        model: str | None = None,
        deadline: float = _DEADLINE,
        token_budget: int = BUDGET,
    ) -> None:
        self.strategy = as_strategy(strategy)
        if self.strategy.needs_llm and llm is None:
            raise InputError(f"the strategy {self.strategy.name!r} needs an LLM: pass llm=...")
        if llm is None and model is not None:
            raise InputError(
                f"model={model!r} names the model of an LLM, and none is given: pass llm=..., such "
                "as an openai client"
            )
        self._model: ChatModel | None = None
        if self.strategy.needs_llm:
            self._model = as_chat_model(llm, model)
        self._deadline = seconds("deadline", deadline)
        self._token_budget = whole_number("token_budget", token_budget)

    def write_queries(
        self, request: Request, catalog: CatalogView = EMPTY_CATALOG
    ) -> GeneratedQueries:
        """Return the request, then the strategy's queries, or its clauses if the LLM fails."""
        flow = self._flow(request, catalog)
        while (step := flow.step) is not None:
            if not isinstance(step, Question):
                flow.look_up(step)
                continue
            try:
                answer = ask(
                    flow.model, step.messages, step.schema, step.parse, deadline=flow.seconds_left()
                )
            except LLMError as error:
                flow.send_failure(error)
            else:
                flow.send_answer(answer)
        return flow.result()

    async def awrite_queries(
        self, request: Request, catalog: CatalogView = EMPTY_CATALOG
    ) -> GeneratedQueries:
        """Write queries as ``write_queries`` does; models are awaited, the rest runs in threads."""
        flow = await asyncio.to_thread(self._flow, request, catalog)
        while (step := flow.step) is not None:
            if not isinstance(step, Question):
                await asyncio.to_thread(flow.look_up, step)
                continue
            try:
                answer = await aask(
                    flow.model, step.messages, step.schema, step.parse, deadline=flow.seconds_left()
                )
            except LLMError as error:
                await asyncio.to_thread(flow.send_failure, error)
            else:
                await asyncio.to_thread(flow.send_answer, answer)
        return await asyncio.to_thread(flow.result)

    def _flow(self, request: Request, catalog: CatalogView) -> _Flow:
        framed = frame(request, budget=self._token_budget) if self._model else Framed("")
        context = StrategyContext(request, framed.lines, catalog)
        return _Flow(self.strategy, self._model, context, self._deadline, cut=framed.cut)


class _Flow:
    """One run of a strategy: its current step, and its cost so far.

    Attributes:
        step: What the strategy needs next; None when it has ended.
    """

    def __init__(
        self,
        strategy: Strategy,
        model: ChatModel | None,
        context: StrategyContext,
        deadline: float,
        *,
        cut: str,
    ) -> None:
        self._started = time.perf_counter()
        self._strategy = strategy
        self._model = model
        self._request = context.request
        self._deadline = deadline
        self._cut = cut
        self._answers: list[Answer[tuple[str, ...]]] = []
        self._failures: list[LLMError] = []
        self._queries: tuple[Query, ...] | None = None
        self._steps = strategy.steps(context)
        self.step: Question | Lookup | None = None
        self.send(None)

    @property
    def model(self) -> ChatModel:
        """The LLM.

        Raises:
            InputError: If the strategy asks a question although its ``needs_llm`` is False.
        """
        if self._model is None:
            raise InputError(
                f"the strategy {self._strategy.name!r} asks an LLM although its needs_llm is False"
            )
        return self._model

    def seconds_left(self) -> float:
        """Return the seconds until the deadline; 0 if it has passed.

        The model is called even then, and refuses, so that a recording contains the attempt.
        """
        return max(self._started + self._deadline - time.perf_counter(), 0.0)

    def send(self, value: Any) -> None:
        """Continue the strategy with the result of its current step."""
        self._resume(self._steps.send, value)

    def look_up(self, step: Lookup) -> None:
        """Continue the strategy with what its current step looks up."""
        self.send(step())

    def send_answer(self, answer: Answer[tuple[str, ...]]) -> None:
        """Continue the strategy with the LLM's answer."""
        self._answers.append(answer)
        self.send(answer.value)

    def send_failure(self, error: LLMError) -> None:
        """Continue the strategy without an answer, if it can."""
        self._failures.append(error)
        self._resume(self._steps.throw, error)

    def _resume(self, resume: Callable[[Any], Question | Lookup], value: Any) -> None:
        try:
            self.step = resume(value)
        except StopIteration as done:
            self._queries, self.step = done.value, None
        except LLMError:  # the strategy cannot continue
            self.step = None

    def result(self) -> GeneratedQueries:
        """Return the queries, or the request's own ones if the strategy could not go on."""
        queries = self._queries
        if queries is None:
            queries = queries_without_llm(self._request)
        return GeneratedQueries(_with_request(self._request, queries), self._note(), self._usage())

    def _note(self) -> str:
        if not self._failures:
            return ""
        outcome = _NO_QUERIES if self._queries is None else "some queries missing"
        return f"{outcome}, since {self.model.name} failed: {self._failures[-1]}"

    def _usage(self) -> Usage:
        costs: list[Answer[tuple[str, ...]] | LLMError]
        costs = [*self._answers, *self._failures]
        return Usage(
            strategy=self._strategy.name,
            model=self._model.name if self._model else "",
            input_tokens=total(cost.input_tokens for cost in costs),
            output_tokens=total(cost.output_tokens for cost in costs),
            calls=sum(cost.calls for cost in costs),
            cached=bool(costs)
            and not self._failures
            and all(answer.cached for answer in self._answers),
            seconds=time.perf_counter() - self._started,
            cut=self._cut,
            failure=str(self._failures[-1]) if self._failures else "",
        )


def as_generator(
    llm: Any, model: str | None = None, strategy: str | Strategy | None = None
) -> QueryGenerator:
    """Return a query generator for an LLM that ``as_chat_model`` accepts, or for none (None).

    A ``QueryGenerator`` is returned unchanged. The default strategy is ``rewrite`` with an LLM and
    ``clauses`` without.

    Raises:
        InputError: If there is no such strategy, it needs an LLM and none is given, a model is
            named without an LLM, or either is given together with a generator, which has its own.
        LLMError: If ``llm`` is not a supported LLM, or its name is missing.
    """
    if is_generator(llm):
        for name, option in (("strategy", strategy), ("model", model)):
            if option is not None:
                raise InputError(f"a query generator has its own {name}: leave {name}=... out")
        generator: QueryGenerator = llm
        return generator
    if strategy is None:
        strategy = "clauses" if llm is None else "rewrite"
    return StrategyQueryGenerator(strategy, llm, model=model)


def is_generator(llm: Any) -> bool:
    """Whether an object is a query generator; a class is not, though it has the methods."""
    return isinstance(llm, QueryGenerator) and not isinstance(llm, type)


def generate_queries(
    generator: QueryGenerator, request: Request, catalog: CatalogView
) -> GeneratedQueries:
    """Return the queries that a generator writes, or the request's own queries if it fails.

    The generator may be anyone's code, so an error other than an LLM's failure is logged.

    Raises:
        ToolretError: If the generator raised one that is no failure of an LLM, such as a
            ``ReplayError``.
    """
    started = time.perf_counter()
    try:
        return _checked_queries(generator, generator.write_queries(request, catalog))
    except Exception as error:  # noqa: BLE001 - the caller's agent goes on
        return _after_failure(generator, request, error, started)


async def agenerate_queries(
    generator: QueryGenerator, request: Request, catalog: CatalogView
) -> GeneratedQueries:
    """Return a generator's queries; the asynchronous version of ``generate_queries``."""
    started = time.perf_counter()
    try:
        return _checked_queries(generator, await generator.awrite_queries(request, catalog))
    except Exception as error:  # noqa: BLE001 - as above
        return _after_failure(generator, request, error, started)


def _checked_queries(generator: QueryGenerator, generated: Any) -> GeneratedQueries:
    """Return what a generator returned, if it is queries that can be searched for.

    Raises:
        LLMError: If it is anything else, which is logged, since it is a mistake in the
            generator and no failure of an LLM.
    """
    if (
        isinstance(generated, GeneratedQueries)
        and isinstance(generated.queries, tuple | list)
        and generated.queries
        and all(isinstance(q, Query) and isinstance(q.text, str) for q in generated.queries)
        and isinstance(generated.note, str)
        and isinstance(generated.usage, Usage)
    ):
        return replace(generated, queries=tuple(generated.queries))
    problem = (
        f"it gave an object of the type {type(generated).__name__}: give GeneratedQueries with "
        "one Query at least, the request first, a text as note and a Usage"
    )
    _log.warning("the query generator %s failed: %s", type(generator).__name__, problem)
    raise LLMError(problem)


def _after_failure(
    generator: QueryGenerator, request: Request, error: Exception, started: float
) -> GeneratedQueries:
    """Return the request's own queries in place of a failed generator's; log or raise the error."""
    name = type(generator).__name__
    reason = foreign_failure(_log, f"the query generator {name}", error)
    usage = Usage(strategy=name, seconds=time.perf_counter() - started, failure=reason)
    queries = _with_request(request, queries_without_llm(request))
    return GeneratedQueries(queries, f"{_NO_QUERIES}, since {name} failed: {reason}", usage)


def _with_request(request: Request, queries: Iterable[Query]) -> tuple[Query, ...]:
    """Return the request as a query, followed by the others, without duplicates."""
    raw = Query(request.text, "request")
    rest = (query for query in queries if query.text.split() != raw.text.split())
    return (raw, *dict.fromkeys(rest))
