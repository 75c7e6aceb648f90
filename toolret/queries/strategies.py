"""Strategies for writing queries from a conversation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from toolret.errors import InputError, QueryGenerationError
from toolret.options import of_kind, whole_number
from toolret.queries.framing import json_lines, truncate
from toolret.queries.prompts import as_prompt
from toolret.queries.replies import (
    missing_schema,
    parse_missing,
    parse_reply,
    parse_tools,
    reply_schema,
    thoughtful_schema,
    tools_schema,
)
from toolret.queries.steps import Question, Scene, Steps, Strategy
from toolret.text.clauses import split_clauses
from toolret.turns import words_of
from toolret.types import Demo, Query, Request, Tool

__all__ = [
    "Clauses",
    "FewShot",
    "Hypothesize",
    "Refine",
    "Rewrite",
    "Think",
    "Together",
    "Verbatim",
    "as_strategy",
    "queries_without_llm",
]

_MOST_QUERIES = 8
"""Most queries: requests in public sets have up to about twelve needs, and few more than four."""

_MOST_TOOLS = 4
"""Most hypothetical tools: each takes several sentences to write."""

_SHOTS = 4
"""Demonstrations in the prompt: half of Promptagator's eight, since these are the nearest ones."""

_ROUNDS = 2
"""Rounds of searching and asking what is missing: Iter-RetGen gains little after the second."""

_SHOWN = 12
"""Tools shown to the LLM per round."""

_LONGEST_TURN = 500
"""Characters of an earlier user message in a query: pasted pages add little."""

_LONGEST_DESCRIPTION = 200
_LONGEST_EXAMPLE = 400
"""Characters of a tool's description, and of a demonstration's request, in a prompt."""


class Verbatim:
    """Only the raw request."""

    name = "verbatim"
    asks = False

    def steps(self, scene: Scene) -> Steps:  # noqa: ARG002 - part of the protocol
        """Take no steps; return no further queries."""
        yield from ()
        return ()


class Clauses:
    """The request's clauses, if several, and the request with the user's previous message.

    The latter is an additional query and never replaces the request, so it does no harm if the user
    has changed the subject.
    """

    name = "clauses"
    asks = False

    def steps(self, scene: Scene) -> Steps:
        """Take no steps; return the queries."""
        yield from ()
        return queries_without_llm(scene.request)


class Rewrite:
    """The LLM sees the conversation and writes one query per need (zero-shot).

    After *Improving Tool Retrieval by Leveraging Large Language Models for Query Generation*
    (Kachuee et al., 2024, arXiv:2412.03573).

    Args:
        prompt: A file or a text instead of ``toolret/llm/prompts/rewrite_v1.txt``; with
            ``{most}`` and ``{conversation}``.
        most: How many queries to take at most.

    Raises:
        InputError: If the prompt cannot be used, or a number is not a whole one of 1 or more.
    """

    name = "rewrite"
    asks = True
    _shipped = "rewrite_v1"
    _schema = staticmethod(reply_schema)

    def __init__(self, prompt: str | Path | None = None, *, most: int = _MOST_QUERIES) -> None:
        self._prompt = as_prompt(prompt, self._shipped, needs=("most", "conversation"))
        self._most = whole_number("most", most)

    def steps(self, scene: Scene) -> Steps:
        """Ask one question."""
        prompt = self._prompt.fill(most=self._most, conversation=scene.conversation)
        needs = yield Question(prompt, self._schema(), partial(parse_reply, most=self._most))
        return _as_needs(needs)


class Think(Rewrite):
    """``Rewrite`` after brief reasoning, which is not part of the queries.

    After *O1 Embedder* (Yan et al., 2025, arXiv:2502.07555) and *BRIGHT* (Su et al., 2024,
    arXiv:2407.12883), where reasoning before retrieval helps most if a request shares no words
    with its answer.

    Args:
        prompt: A file or a text instead of ``toolret/llm/prompts/think_v1.txt``; with
            ``{most}`` and ``{conversation}``.
        most: How many queries to take at most.

    Raises:
        InputError: If the prompt cannot be used, or a number is not a whole one of 1 or more.
    """

    name = "think"
    _shipped = "think_v1"
    _schema = staticmethod(thoughtful_schema)


class FewShot:
    """``Rewrite`` with the nearest demonstrations and their tools as examples.

    They show how this catalog's tools are named and described (after *Promptagator*, Dai et al.,
    2022, arXiv:2209.11755). Without demonstrations this is the same as ``Rewrite``.

    Args:
        prompt: A file or a text instead of ``toolret/llm/prompts/few_shot_v1.txt``; with
            ``{most}``, ``{examples}`` and ``{conversation}``.
        most: How many queries to take at most.
        shots: How many demonstrations to show.

    Raises:
        InputError: If the prompt cannot be used, or a number is not a whole one of 1 or more.
    """

    name = "few-shot"
    asks = True

    def __init__(
        self, prompt: str | Path | None = None, *, most: int = _MOST_QUERIES, shots: int = _SHOTS
    ) -> None:
        needs = ("most", "examples", "conversation")
        self._prompt = as_prompt(prompt, "few_shot_v1", needs=needs)
        self._without = Rewrite(most=most)
        self._most = whole_number("most", most)
        self._shots = whole_number("shots", shots)

    def steps(self, scene: Scene) -> Steps:
        """Look up demonstrations, then ask one question."""
        demos = yield partial(scene.catalog.demos, scene.request.text, self._shots)
        if not demos:
            return (yield from self._without.steps(scene))
        prompt = self._prompt.fill(
            most=self._most,
            examples=json_lines(_example(demo, tools) for demo, tools in demos),
            conversation=scene.conversation,
        )
        needs = yield Question(prompt, reply_schema(), partial(parse_reply, most=self._most))
        return _as_needs(needs)


class Hypothesize:
    """The LLM describes the tools it would want; these descriptions are the queries.

    After *MCP-Zero* (Fei et al., 2025, arXiv:2506.01056), and HyDE's hypothetical documents (Gao
    et al., 2022, arXiv:2212.10496). They are rendered and embedded like real tools.

    Args:
        prompt: A file or a text instead of ``toolret/llm/prompts/hypothesize_v1.txt``; with
            ``{most}`` and ``{conversation}``.
        most: How many tools to take at most.

    Raises:
        InputError: If the prompt cannot be used, or a number is not a whole one of 1 or more.
    """

    name = "hypothesize"
    asks = True

    def __init__(self, prompt: str | Path | None = None, *, most: int = _MOST_TOOLS) -> None:
        self._prompt = as_prompt(prompt, "hypothesize_v1", needs=("most", "conversation"))
        self._most = whole_number("most", most)

    def steps(self, scene: Scene) -> Steps:
        """Ask one question."""
        prompt = self._prompt.fill(most=self._most, conversation=scene.conversation)
        tools = yield Question(prompt, tools_schema(), partial(parse_tools, most=self._most))
        return tuple(Query(tool, "tool") for tool in tools)


class Refine:
    """The LLM sees which tools its queries find, and writes queries for what is still missing.

    After *Iter-RetGen* (Shao et al., 2023, arXiv:2305.15294). It stops when nothing is missing or
    no new query is written.

    Args:
        first: Strategy for the first queries; by default ``Rewrite``.
        prompt: A file or a text instead of ``toolret/llm/prompts/refine_v1.txt``; with
            ``{most}``, ``{tools}`` and ``{conversation}``.
        most: How many queries to take at most in each round.
        rounds: Most rounds of searching and asking.
        shown: How many tools to show the LLM per round.

    Raises:
        InputError: If the prompt cannot be used, a number is not a whole one of 1 or more, or
            ``first`` is no ``Strategy``.
    """

    asks = True

    def __init__(
        self,
        first: Strategy | None = None,
        prompt: str | Path | None = None,
        *,
        most: int = _MOST_QUERIES,
        rounds: int = _ROUNDS,
        shown: int = _SHOWN,
    ) -> None:
        self._first = Rewrite() if first is None else _strategy(first)
        self._prompt = as_prompt(prompt, "refine_v1", needs=("most", "tools", "conversation"))
        self._most = whole_number("most", most)
        self._rounds = whole_number("rounds", rounds)
        self._shown = whole_number("shown", shown)

    @property
    def name(self) -> str:
        """``refine``, with the first strategy's name unless that is ``rewrite``."""
        return "refine" if self._first.name == "rewrite" else f"refine({self._first.name})"

    def steps(self, scene: Scene) -> Steps:
        """Run the first strategy, then alternate searches and questions."""
        raw = Query(scene.request.text, "request")
        found = yield from self._first.steps(scene)
        for _ in range(self._rounds):
            tools = yield partial(scene.catalog.tools, (raw, *found), self._shown)
            prompt = self._prompt.fill(
                most=self._most,
                tools=json_lines(map(_shown, tools)),
                conversation=scene.conversation,
            )
            parse = partial(parse_missing, most=self._most)
            try:
                missing = yield Question(prompt, missing_schema(), parse)
            except QueryGenerationError:
                break
            known = {query.text for query in found}
            new = [query for query in _as_needs(missing) if query.text not in known]
            if not new:
                break
            found = (*found, *new)
        return found


class Together:
    """Several strategies in sequence, with the queries of all.

    If some fail, the others' queries remain.

    Args:
        strategies: At least one.

    Raises:
        InputError: If there is none, or one is no ``Strategy``.
    """

    def __init__(self, *strategies: Strategy) -> None:
        if not strategies:
            raise InputError("Together needs at least one strategy")
        self._strategies = tuple(map(_strategy, strategies))

    @property
    def name(self) -> str:
        """The strategies' names, joined by ``+``."""
        return "+".join(strategy.name for strategy in self._strategies)

    @property
    def asks(self) -> bool:
        """Whether any of them needs an LLM."""
        return any(strategy.asks for strategy in self._strategies)

    def steps(self, scene: Scene) -> Steps:
        """Run all their steps."""
        found: dict[Query, None] = {}
        failures = []
        for strategy in self._strategies:
            try:
                queries = yield from strategy.steps(scene)
            except QueryGenerationError as error:
                failures.append(error)
            else:
                found |= dict.fromkeys(queries)
        if len(failures) == len(self._strategies):
            raise failures[-1]
        return tuple(found)


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
    """Return a strategy by name, or several joined by ``+``; a ``Strategy`` is returned as it is.

    Raises:
        InputError: If a name is unknown, or it is neither a name nor a ``Strategy``.
    """
    if not isinstance(strategy, str):
        return _strategy(strategy)
    names = [name.strip() for name in strategy.split("+")]
    if unknown := [name for name in names if name not in _BY_NAME]:
        raise InputError(
            f"there is no strategy {unknown[0]!r}; there are {', '.join(_BY_NAME)}, and several "
            "joined by +"
        )
    made = [_BY_NAME[name]() for name in dict.fromkeys(names)]
    return made[0] if len(made) == 1 else Together(*made)


def _strategy(strategy: Strategy) -> Strategy:
    way_out = f"a Strategy, such as Rewrite(), or a name: {', '.join(_BY_NAME)}"
    return of_kind("strategy", strategy, Strategy, way_out, error=InputError)


def queries_without_llm(request: Request) -> tuple[Query, ...]:
    """Return the queries, besides the request itself, that need no LLM."""
    clauses = [Query(clause, "clause") for clause in split_clauses(request.text)]
    said = [
        text
        for message in request.messages
        if message.get("role") == "user" and (text := words_of(message.get("content")))
    ]
    before = [Query(f"{request.text} {text[:_LONGEST_TURN]}", "turn") for text in said[-2:-1]]
    return (*clauses, *before)


def _as_needs(texts: Sequence[str]) -> tuple[Query, ...]:
    return tuple(Query(text, "need") for text in texts)


def _shown(tool: Tool) -> dict[str, str]:
    return {"name": tool.id, "description": truncate(tool.description, _LONGEST_DESCRIPTION)}


def _example(demo: Demo, tools: Sequence[Tool]) -> dict[str, Any]:
    return {"request": truncate(demo.text, _LONGEST_EXAMPLE), "tools": list(map(_shown, tools))}
