"""The interface of an LLM for the rest of the code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from toolret.options import of_kind
from toolret.text.surrogates import replace_surrogates

__all__ = ["ChatModel", "Completion", "Forgetful", "Messages", "Schema", "checked_model"]

Messages: TypeAlias = Sequence[Mapping[str, str]]
"""Messages of the form ``{"role": ..., "content": ...}``."""

Schema: TypeAlias = Mapping[str, Any]
"""JSON Schema that a reply should follow; empty for no constraint."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's reply.

    Attributes:
        text: The reply; lone surrogates become question marks.
        input_tokens: Tokens read, over all calls; None if unknown or not a number.
        output_tokens: Tokens written, over all calls; None likewise.
        cached: Whether the reply comes from a cache. Then no model was called, and no tokens were
            spent.
        calls: Number of calls made to the model.
    """

    text: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached: bool = False
    calls: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.text, str):
            object.__setattr__(self, "text", replace_surrogates(self.text))
        for name in ("input_tokens", "output_tokens"):
            # Servers and user functions may return anything.
            if not isinstance(getattr(self, name), int | None):
                object.__setattr__(self, name, None)


@runtime_checkable
class ChatModel(Protocol):
    """A model that answers messages with text.

    Both methods raise ``QueryGenerationError`` for every failure, including a timeout.
    """

    @property
    def name(self) -> str:
        """The model's name, for reports."""
        ...

    def complete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """Return the model's reply.

        Args:
            messages: The conversation with the model.
            schema: JSON Schema of the reply, for models that support structured output.
            timeout: Timeout in seconds; 0 means that the model is not called.
        """
        ...

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """``complete`` for event loops."""
        ...


def checked_model(model: ChatModel) -> ChatModel:
    """Return a model as it is.

    Raises:
        TypeError: If it is something else, such as a client.
    """
    return of_kind("model", model, ChatModel, "a ChatModel, such as as_chat_model(llm) returns")


@runtime_checkable
class Forgetful(Protocol):
    """A model that caches replies, and can discard a useless one."""

    def forget(self, messages: Messages, schema: Schema) -> None:
        """Discard the cached reply to a question."""
        ...
