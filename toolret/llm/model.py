"""What the rest of the code sees of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from toolret.surrogates import whole

__all__ = ["ChatModel", "Completion", "Forgetful", "Messages", "Schema"]

Messages: TypeAlias = Sequence[Mapping[str, str]]
"""``{"role", "content"}`` each."""

Schema: TypeAlias = Mapping[str, Any]
"""JSON Schema that a reply shall follow; an empty one asks for nothing."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's reply.

    Attributes:
        text: What it wrote; halves of surrogate pairs become question marks.
        input_tokens: What it read for it, all calls together; None if it does not say, or says no
            number.
        output_tokens: What it wrote for it, all calls together; None likewise.
        cached: Whether it was kept from an earlier call. Then no model was asked, and no tokens
            were spent.
        calls: How often the model was asked for it.
    """

    text: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached: bool = False
    calls: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.text, str):
            object.__setattr__(self, "text", whole(self.text))
        for name in ("input_tokens", "output_tokens"):
            # Servers and functions say what they like.
            if not isinstance(getattr(self, name), int | None):
                object.__setattr__(self, name, None)


@runtime_checkable
class ChatModel(Protocol):
    """A model that answers messages with text.

    Both methods raise ``QueryGenerationError`` for whatever goes wrong, a time-out included.
    """

    @property
    def name(self) -> str:
        """The model's name, for reports."""
        ...

    def complete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """The reply.

        Args:
            messages: The conversation with the model.
            schema: What the reply shall follow, for models that can be held to it.
            timeout: Seconds after which the caller goes on without it; with 0, nobody is asked.
        """
        ...

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """``complete`` for event loops."""
        ...


@runtime_checkable
class Forgetful(Protocol):
    """A model that keeps replies, and can be told that one was good for nothing."""

    def forget(self, messages: Messages, schema: Schema) -> None:
        """Keep the reply to a question no longer."""
        ...
