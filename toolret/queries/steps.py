"""Strategies as Python generators of steps, so that one implementation serves sync and async.

A strategy yields what it needs (a ``Question`` to the LLM or a ``Lookup`` in the index), is sent
the result, and returns its queries. The drivers in ``generators`` perform the steps. If a question
gets no usable reply, an ``LLMError`` is thrown into the strategy, which may catch it and
continue with what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from toolret.llm import Messages
from toolret.queries.generating import CatalogView
from toolret.types import JsonObject, Query, Request

__all__ = ["Lookup", "Question", "Steps", "Strategy", "StrategyContext"]


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the LLM.

    Attributes:
        prompt: The text of the question.
        schema: The JSON Schema of the reply.
        parse: Parses the reply's text; raises an ``LLMError`` if it is malformed.
    """

    prompt: str
    schema: JsonObject
    parse: Callable[[str], tuple[str, ...]]

    @property
    def messages(self) -> Messages:
        """The prompt as messages for a model."""
        return [{"role": "user", "content": self.prompt}]


Lookup: TypeAlias = Callable[[], Any]
"""A function that does slow work without an LLM, such as searching the index."""

Steps: TypeAlias = Generator[Question | Lookup, Any, tuple[Query, ...]]
"""A generator that yields what a strategy needs, is sent the results, and returns queries."""


@dataclass(frozen=True, slots=True)
class StrategyContext:
    """What a strategy writes queries from.

    Attributes:
        request: The request.
        conversation: The request's conversation as JSON lines for a prompt, within its budget.
        catalog: What the caller may see of the index.
    """

    request: Request
    conversation: str
    catalog: CatalogView


@runtime_checkable
class Strategy(Protocol):
    """A way to write queries in addition to the raw request, which is always searched too."""

    @property
    def name(self) -> str:
        """The strategy's name."""
        ...

    @property
    def needs_llm(self) -> bool:
        """Whether the strategy needs an LLM."""
        ...

    def steps(self, context: StrategyContext) -> Steps:
        """Yield the questions and look-ups that the strategy needs, and return its queries."""
        ...
