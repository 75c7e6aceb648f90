"""Strategies that need no LLM, and the queries that a request has by itself."""

from __future__ import annotations

from toolret.queries.steps import Steps, StrategyContext
from toolret.text.clauses import split_clauses
from toolret.turns import words_of
from toolret.types import Query, Request

__all__ = ["Clauses", "Verbatim", "queries_without_llm"]

_LONGEST_TURN = 500
"""How many characters of an earlier user message are added to a query: pasted pages add little."""


class Verbatim:
    """Searches for nothing but the raw request."""

    name = "verbatim"
    needs_llm = False

    def steps(self, context: StrategyContext) -> Steps:  # noqa: ARG002 - part of the protocol
        """Take no steps, and return no further queries."""
        yield from ()
        return ()


class Clauses:
    """Searches also for the request's clauses, and for the request with the previous message.

    Clauses are queries only if there are several. The request with the user's previous message is
    an additional query and never replaces the request, so it does no harm if the user has changed
    the subject.
    """

    name = "clauses"
    needs_llm = False

    def steps(self, context: StrategyContext) -> Steps:
        """Take no steps, and return the queries."""
        yield from ()
        return queries_without_llm(context.request)


def queries_without_llm(request: Request) -> tuple[Query, ...]:
    """Return the queries, besides the request itself, that can be written without an LLM."""
    clauses = [Query(clause, "clause") for clause in split_clauses(request.text)]
    user_texts = [
        text
        for message in request.messages
        if message.get("role") == "user" and (text := words_of(message.get("content")))
    ]
    with_previous = [
        Query(f"{request.text} {text[:_LONGEST_TURN]}", "turn") for text in user_texts[-2:-1]
    ]
    return (*clauses, *with_previous)
