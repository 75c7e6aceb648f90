"""What a query generator gives, and what it may look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from toolret.types import Demo, Query, Request, Tool

__all__ = ["NOTHING", "CatalogView", "GeneratedQueries", "QueryGenerator", "Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What was asked of an LLM to have the queries.

    Attributes:
        strategy: How they were written.
        model: The LLM's name; empty if none was asked.
        input_tokens: What it read, all calls together; None if it does not say.
        output_tokens: What it wrote; None if it does not say.
        calls: How often it was asked, in vain too.
        cached: Whether all its replies were kept from earlier times.
        seconds: How long all of it took.
        cut: What of the conversation it did not see, since its prompt has a budget.
    """

    strategy: str = ""
    model: str = ""
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    calls: int = 0
    cached: bool = False
    seconds: float = 0.0
    cut: str = ""

    def __str__(self) -> str:
        """One line for people."""
        read = "an unknown number of" if self.input_tokens is None else f"{self.input_tokens:,}"
        wrote = "an unknown number" if self.output_tokens is None else f"{self.output_tokens:,}"
        line = (
            f"{self.strategy} by {self.model}: {self.calls} call{'s' * (self.calls != 1)}, "
            f"{read} tokens read, {wrote} written, {self.seconds:.2f} s"
        )
        return line + (", from the cache" if self.cached else "")


@dataclass(frozen=True, slots=True)
class GeneratedQueries:
    """Retrieval queries, and how they came about.

    Attributes:
        queries: The raw request first.
        note: Why the LLM's queries, or some of them, are not there, in one line; empty if all
            went well.
        usage: What it took.
    """

    queries: tuple[Query, ...]
    note: str = ""
    usage: Usage = field(default_factory=Usage)


class CatalogView(Protocol):
    """What may be seen of an index while queries are written: only what the caller may use."""

    def tools(self, queries: Sequence[Query], most: int) -> Sequence[Tool]:
        """The tools that these queries find, best first."""
        ...

    def demos(self, text: str, most: int) -> Sequence[tuple[Demo, Sequence[Tool]]]:
        """The demonstrations nearest to a text, each with its tools; none with a forbidden one."""
        ...


class _Nothing:
    """An empty catalog."""

    def tools(self, queries: Sequence[Query], most: int) -> Sequence[Tool]:  # noqa: ARG002
        return ()

    def demos(self, text: str, most: int) -> Sequence[tuple[Demo, Sequence[Tool]]]:  # noqa: ARG002
        return ()


NOTHING: CatalogView = _Nothing()
"""For generators that are used without an index."""


@runtime_checkable
class QueryGenerator(Protocol):
    """Writes retrieval queries; never raises for what an LLM or a network does.

    Its methods are called as no LangChain model's are, so that the two are told apart.
    """

    def write_queries(self, request: Request, catalog: CatalogView = NOTHING) -> GeneratedQueries:
        """The queries for a request, the raw request first."""
        ...

    async def awrite_queries(
        self, request: Request, catalog: CatalogView = NOTHING
    ) -> GeneratedQueries:
        """``write_queries`` for event loops."""
        ...
