"""Strategies by which an LLM writes queries from a conversation, and strategies by their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from toolret.errors import InputError, LLMError
from toolret.options import of_kind, whole_number
from toolret.queries.framing import json_lines, truncate
from toolret.queries.prompts import as_prompt
from toolret.queries.replies import (
    missing_schema,
    parse_missing,
    parse_queries,
    parse_tools,
    queries_schema,
    thoughtful_schema,
    tools_schema,
)
from toolret.queries.steps import Question, Steps, Strategy, StrategyContext
from toolret.queries.without_llm import Clauses, Verbatim
from toolret.types import Demo, Query, Tool

__all__ = [
    "Combine",
    "FewShot",
    "Hypothesize",
    "Refine",
    "Rewrite",
    "Think",
    "as_strategy",
]

_MOST_QUERIES = 8
"""How many queries are taken by default: requests in public sets have up to about twelve needs, and
few more than four."""

_MOST_TOOLS = 4
"""How many hypothetical tools are taken by default: each takes several sentences to write."""

_SHOTS = 4
"""How many demonstrations a prompt shows by default: half of Promptagator's eight, since these are
the nearest ones."""

_ROUNDS = 2
"""How many rounds of searching and asking what is missing there are by default: Iter-RetGen gains
little after the second."""

_TOOLS_SHOWN = 12
"""How many tools the LLM is shown in each round, by default."""

_LONGEST_DESCRIPTION = 200
"""How many characters of a tool's description a prompt shows: the beginning says what it does."""

_LONGEST_EXAMPLE = 400
"""How many characters of a demonstration's request a prompt shows."""


class Rewrite:
    """Lets the LLM see the conversation and write one query per need (zero-shot).

    After *Improving Tool Retrieval by Leveraging Large Language Models for Query Generation*
    (Kachuee et al., 2024, arXiv:2412.03573).

    Args:
        prompt: A file or a text instead of ``toolret/llm/prompts/rewrite_v1.txt``; with
            ``{max_queries}`` and ``{conversation}``.
        max_queries: The most queries to take.

    Raises:
        InputError: If the prompt cannot be used, or a number is not a whole one of 1 or more.
    """

    name = "rewrite"
    needs_llm = True
    _shipped = "rewrite_v1"
    _schema = staticmethod(queries_schema)

    def __init__(
        self, prompt: str | Path | None = None, *, max_queries: int = _MOST_QUERIES
    ) -> None:
        self._prompt = as_prompt(prompt, self._shipped, needs=("max_queries", "conversation"))
        self._max_queries = whole_number("max_queries", max_queries)

    def steps(self, context: StrategyContext) -> Steps:
        """Ask one question."""
        prompt = self._prompt.fill(max_queries=self._max_queries, conversation=context.conversation)
        needs = yield Question(
            prompt, self._schema(), partial(parse_queries, most=self._max_queries)
        )
        return _as_needs(needs)


class Think(Rewrite):
    """Does the same as ``Rewrite`` after brief reasoning, which is not part of the queries.

    After *O1 Embedder* (Yan et al., 2025, arXiv:2502.07555) and *BRIGHT* (Su et al., 2024,
    arXiv:2407.12883), where reasoning before retrieval helps most if a request shares no words
    with its answer.

    Args:
        prompt: A file or a text instead of ``toolret/llm/prompts/think_v1.txt``; with
            ``{max_queries}`` and ``{conversation}``.
        max_queries: The most queries to take.

    Raises:
        InputError: If the prompt cannot be used, or a number is not a whole one of 1 or more.
    """

    name = "think"
    _shipped = "think_v1"
    _schema = staticmethod(thoughtful_schema)


class FewShot:
    """Does the same as ``Rewrite``, with the nearest demonstrations and their tools as examples.

    They show how this catalog's tools are named and described (after *Promptagator*, Dai et al.,
    2022, arXiv:2209.11755). Without demonstrations this is the same as ``Rewrite``.

    Args:
        prompt: A file or a text instead of ``toolret/llm/prompts/few_shot_v1.txt``; with
            ``{max_queries}``, ``{examples}`` and ``{conversation}``.
        max_queries: The most queries to take.
        shots: How many demonstrations to show.

    Raises:
        InputError: If the prompt cannot be used, or a number is not a whole one of 1 or more.
    """

    name = "few-shot"
    needs_llm = True

    def __init__(
        self,
        prompt: str | Path | None = None,
        *,
        max_queries: int = _MOST_QUERIES,
        shots: int = _SHOTS,
    ) -> None:
        needs = ("max_queries", "examples", "conversation")
        self._prompt = as_prompt(prompt, "few_shot_v1", needs=needs)
        self._without = Rewrite(max_queries=max_queries)
        self._max_queries = whole_number("max_queries", max_queries)
        self._shots = whole_number("shots", shots)

    def steps(self, context: StrategyContext) -> Steps:
        """Look up demonstrations, then ask one question."""
        demos = yield partial(context.catalog.demos, context.request.text, self._shots)
        if not demos:
            return (yield from self._without.steps(context))
        prompt = self._prompt.fill(
            max_queries=self._max_queries,
            examples=json_lines(_example_for_prompt(demo, tools) for demo, tools in demos),
            conversation=context.conversation,
        )
        needs = yield Question(
            prompt, queries_schema(), partial(parse_queries, most=self._max_queries)
        )
        return _as_needs(needs)


class Hypothesize:
    """Lets the LLM describe the tools it would want; these descriptions are the queries.

    After *MCP-Zero* (Fei et al., 2025, arXiv:2506.01056), and HyDE's hypothetical documents (Gao
    et al., 2022, arXiv:2212.10496). They are rendered and embedded like real tools.

    Args:
        prompt: A file or a text instead of ``toolret/llm/prompts/hypothesize_v1.txt``; with
            ``{max_tools}`` and ``{conversation}``.
        max_tools: The most tools to take.

    Raises:
        InputError: If the prompt cannot be used, or a number is not a whole one of 1 or more.
    """

    name = "hypothesize"
    needs_llm = True

    def __init__(self, prompt: str | Path | None = None, *, max_tools: int = _MOST_TOOLS) -> None:
        self._prompt = as_prompt(prompt, "hypothesize_v1", needs=("max_tools", "conversation"))
        self._max_tools = whole_number("max_tools", max_tools)

    def steps(self, context: StrategyContext) -> Steps:
        """Ask one question."""
        prompt = self._prompt.fill(max_tools=self._max_tools, conversation=context.conversation)
        tools = yield Question(prompt, tools_schema(), partial(parse_tools, most=self._max_tools))
        return tuple(Query(tool, "tool") for tool in tools)


class Refine:
    """Lets the LLM see which tools its queries find, and write queries for what is still missing.

    After *Iter-RetGen* (Shao et al., 2023, arXiv:2305.15294). It stops when nothing is missing or
    no new query is written.

    Args:
        first: The strategy that writes the first queries; by default ``Rewrite``.
        prompt: A file or a text instead of ``toolret/llm/prompts/refine_v1.txt``; with
            ``{max_queries}``, ``{tools}`` and ``{conversation}``.
        max_queries: The most queries to take in each round.
        rounds: The most rounds of searching and asking.
        tools_shown: How many tools to show the LLM in each round.

    Raises:
        InputError: If the prompt cannot be used, a number is not a whole one of 1 or more, or
            ``first`` is no ``Strategy``.
    """

    needs_llm = True

    def __init__(
        self,
        first: Strategy | None = None,
        prompt: str | Path | None = None,
        *,
        max_queries: int = _MOST_QUERIES,
        rounds: int = _ROUNDS,
        tools_shown: int = _TOOLS_SHOWN,
    ) -> None:
        self._first = Rewrite() if first is None else _checked_strategy(first)
        self._prompt = as_prompt(
            prompt, "refine_v1", needs=("max_queries", "tools", "conversation")
        )
        self._max_queries = whole_number("max_queries", max_queries)
        self._rounds = whole_number("rounds", rounds)
        self._tools_shown = whole_number("tools_shown", tools_shown)

    @property
    def name(self) -> str:
        """``refine``, with the first strategy's name unless that is ``rewrite``."""
        return "refine" if self._first.name == "rewrite" else f"refine({self._first.name})"

    def steps(self, context: StrategyContext) -> Steps:
        """Run the first strategy, then alternate between searches and questions."""
        raw = Query(context.request.text, "request")
        queries = yield from self._first.steps(context)
        for _ in range(self._rounds):
            tools = yield partial(context.catalog.tools, (raw, *queries), self._tools_shown)
            prompt = self._prompt.fill(
                max_queries=self._max_queries,
                tools=json_lines(map(_tool_for_prompt, tools)),
                conversation=context.conversation,
            )
            parse = partial(parse_missing, most=self._max_queries)
            try:
                missing = yield Question(prompt, missing_schema(), parse)
            except LLMError:
                break
            known = {query.text for query in queries}
            new = [query for query in _as_needs(missing) if query.text not in known]
            if not new:
                break
            queries = (*queries, *new)
        return queries


class Combine:
    """Runs several strategies in sequence, and returns the queries of all.

    If some fail, the others' queries remain.

    Args:
        strategies: At least one.

    Raises:
        InputError: If there is none, or one is no ``Strategy``.
    """

    def __init__(self, *strategies: Strategy) -> None:
        if not strategies:
            raise InputError("Combine needs at least one strategy")
        self._strategies = tuple(map(_checked_strategy, strategies))

    @property
    def name(self) -> str:
        """The strategies' names, joined by ``+``."""
        return "+".join(strategy.name for strategy in self._strategies)

    @property
    def needs_llm(self) -> bool:
        """Whether any of them needs an LLM."""
        return any(strategy.needs_llm for strategy in self._strategies)

    def steps(self, context: StrategyContext) -> Steps:
        """Run the steps of all strategies, and return their queries without duplicates."""
        queries: dict[Query, None] = {}
        failures = []
        for strategy in self._strategies:
            try:
                written = yield from strategy.steps(context)
            except LLMError as error:
                failures.append(error)
            else:
                queries |= dict.fromkeys(written)
        if len(failures) == len(self._strategies):
            raise failures[-1]
        return tuple(queries)


_BY_NAME: dict[str, Callable[[], Strategy]] = {
    "verbatim": Verbatim,
    "clauses": Clauses,
    "rewrite": Rewrite,
    "think": Think,
    "few-shot": FewShot,
    "hypothesize": Hypothesize,
    "refine": Refine,
}


def as_strategy(strategy: str | Strategy) -> Strategy:
    """Return the strategy of a name, or of several names joined by ``+``.

    A ``Strategy`` is returned unchanged.

    Raises:
        InputError: If a name is unknown, or the argument is neither a text nor a ``Strategy``.
    """
    if not isinstance(strategy, str):
        return _checked_strategy(strategy)
    names = [name.strip() for name in strategy.split("+")]
    if unknown := [name for name in names if name not in _BY_NAME]:
        raise InputError(
            f"there is no strategy {unknown[0]!r}; there are {', '.join(_BY_NAME)}, and several "
            "joined by +"
        )
    strategies = [_BY_NAME[name]() for name in dict.fromkeys(names)]
    return strategies[0] if len(strategies) == 1 else Combine(*strategies)


def _checked_strategy(strategy: Strategy) -> Strategy:
    give = f"a Strategy, such as Rewrite(), or a name: {', '.join(_BY_NAME)}"
    return of_kind("strategy", strategy, Strategy, give, error=InputError)


def _as_needs(texts: Sequence[str]) -> tuple[Query, ...]:
    return tuple(Query(text, "need") for text in texts)


def _tool_for_prompt(tool: Tool) -> dict[str, str]:
    return {"name": tool.id, "description": truncate(tool.description, _LONGEST_DESCRIPTION)}


def _example_for_prompt(demo: Demo, tools: Sequence[Tool]) -> dict[str, Any]:
    return {
        "request": truncate(demo.text, _LONGEST_EXAMPLE),
        "tools": list(map(_tool_for_prompt, tools)),
    }
