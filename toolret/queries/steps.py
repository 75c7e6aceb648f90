"""A strategy as a generator of steps, written once for sync and async.

It yields what it needs, a ``Question`` to the LLM or a ``Lookup`` in the index, is sent what came
of it, and returns its queries. The drivers in ``generators`` do the asking. A question that got no
usable reply is thrown into it as a ``QueryGenerationError``: one that goes on without it keeps what
it has.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from toolret.llm import Messages
from toolret.queries.generating import CatalogView
from toolret.types import JsonObject, Query, Request

__all__ = ["Lookup", "Question", "Scene", "Steps", "Strategy"]


@dataclass(frozen=True, slots=True)
class Question:
    """Something to ask the LLM.

    Attributes:
        prompt: The text.
        schema: JSON Schema of the reply.
        parse: Reads the reply's text; it raises ``QueryGenerationError`` if that is malformed.
    """

    prompt: str
    schema: JsonObject
    parse: Callable[[str], tuple[str, ...]]

    @property
    def messages(self) -> Messages:
        """The prompt as the messages that a model takes."""
        return [{"role": "user", "content": self.prompt}]


Lookup: TypeAlias = Callable[[], Any]
"""Work without an LLM that takes its time, such as a search of the index."""

Steps: TypeAlias = Generator[Question | Lookup, Any, tuple[Query, ...]]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a strategy works with.

    Attributes:
        request: The request.
        conversation: It as JSON lines, within the budget: data for a prompt.
        catalog: What may be seen of the index.
    """

    request: Request
    conversation: str
    catalog: CatalogView


@runtime_checkable
class Strategy(Protocol):
    """A way to make queries besides the raw request, which is always asked too."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def asks(self) -> bool:
        """Whether it needs an LLM."""
        ...

    def steps(self, scene: Scene) -> Steps:
        """What it needs, step by step, and in the end its queries."""
        ...
