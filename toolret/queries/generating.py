"""``QueryGenerator``, the interface of what writes queries, its result and its view of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from toolret.types import Demo, Query, Request, Tool

__all__ = ["EMPTY_CATALOG", "CatalogView", "GeneratedQueries", "QueryGenerator", "Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """How an LLM was used to write queries.

    Attributes:
        strategy: The strategy's name.
        model: The LLM's name; empty if none was used.
        input_tokens: The number of tokens read, over all calls; None if the LLM does not say.
        output_tokens: The number of tokens written, over all calls; None if the LLM does not say.
        calls: The number of calls, including failed ones.
        cached: Whether all replies came from a cache.
        seconds: The total time taken.
        cut: The part of the conversation left out of the prompt to fit its budget.
        failure: Why the LLM's last failed call failed, in one line; empty if none did.
    """

    strategy: str = ""
    model: str = ""
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    calls: int = 0
    cached: bool = False
    seconds: float = 0.0
    cut: str = ""
    failure: str = ""

    def __str__(self) -> str:
        """Return one line for people."""
        if not self.model:
            return f"{self.strategy or 'no queries'}: {self.failure or 'no LLM was asked'}"
        read = "an unknown number of" if self.input_tokens is None else f"{self.input_tokens:,}"
        wrote = "an unknown number" if self.output_tokens is None else f"{self.output_tokens:,}"
        line = (
            f"{self.strategy} by {self.model}: {self.calls} call{'s' * (self.calls != 1)}, "
            f"{read} tokens read, {wrote} written, {self.seconds:.2f} s"
        )
        return line + (", from the cache" if self.cached else "")


@dataclass(frozen=True, slots=True)
class GeneratedQueries:
    """The queries for a request, and how they came about.

    Attributes:
        queries: The queries, the raw request first.
        note: Why some or all of the LLM's queries are missing, in one line; empty if none is.
        usage: How the LLM was used.
    """

    queries: tuple[Query, ...]
    note: str = ""
    usage: Usage = field(default_factory=Usage)


class CatalogView(Protocol):
    """What a query generator may see of an index: only what the caller is permitted to use."""

    def tools(self, queries: Sequence[Query], k: int) -> Sequence[Tool]:
        """Return at most ``k`` tools that queries find, best first."""
        ...

    def demos(self, text: str, k: int) -> Sequence[tuple[Demo, Sequence[Tool]]]:
        """Return at most ``k`` demonstrations, the nearest to a text first, with their tools."""
        ...


class _EmptyCatalog:
    """An empty catalog."""

    def tools(self, queries: Sequence[Query], k: int) -> Sequence[Tool]:  # noqa: ARG002
        return ()

    def demos(self, text: str, k: int) -> Sequence[tuple[Demo, Sequence[Tool]]]:  # noqa: ARG002
        return ()


EMPTY_CATALOG: CatalogView = _EmptyCatalog()
"""The empty catalog, for use without an index."""


@runtime_checkable
class QueryGenerator(Protocol):
    """Writes queries for requests; it should not raise because of an LLM or network failure.

    If it raises, or returns something else, a retriever searches for the request's own words, and
    says so in ``Selection.note`` and in the log.

    The methods' names differ from those of LangChain models, so that the two can be told apart.
    """

    def write_queries(
        self, request: Request, catalog: CatalogView = EMPTY_CATALOG
    ) -> GeneratedQueries:
        """Write the queries for a request, the raw request first."""
        ...

    async def awrite_queries(
        self, request: Request, catalog: CatalogView = EMPTY_CATALOG
    ) -> GeneratedQueries:
        """Write the queries for a request; the asynchronous version of ``write_queries``."""
        ...
