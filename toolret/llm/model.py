"""``ChatModel``, the interface through which the rest of the code uses an LLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from toolret.options import of_kind
from toolret.text.surrogates import replace_surrogates

__all__ = ["ChatModel", "Completion", "Forgetful", "Messages", "Schema", "checked_model"]

Messages: TypeAlias = Sequence[Mapping[str, str]]
"""The messages of a conversation with a model: dicts ``{"role": ..., "content": ...}``."""

Schema: TypeAlias = Mapping[str, Any]
"""The JSON Schema that a reply should follow; empty if any reply will do."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's reply.

    Attributes:
        text: The reply's text; lone surrogates are replaced by question marks.
        input_tokens: The number of tokens read, over all calls; None if it is unknown or what was
            passed is not a number.
        output_tokens: The number of tokens written, over all calls; None as for ``input_tokens``.
        cached: Whether the reply comes from a cache. Then no model was called, and no tokens were
            spent.
        calls: The number of calls made to the model.
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

    Both methods raise an ``LLMError`` for every failure, including a timeout.
    """

    @property
    def name(self) -> str:
        """The model's name, for reports."""
        ...

    def complete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """Return the model's reply.

        Args:
            messages: The conversation with the model.
            schema: The JSON Schema of the reply, for models that support structured output.
            timeout: The timeout in seconds; with 0, the call fails and the model is not asked.
        """
        ...

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """Return the model's reply; the asynchronous version of ``complete``."""
        ...


def checked_model(model: ChatModel) -> ChatModel:
    """Return the argument unchanged, if it is a model.

    Raises:
        TypeError: If it is anything else, such as a client.
    """
    return of_kind("model", model, ChatModel, "a ChatModel, such as as_chat_model(llm) returns")


@runtime_checkable
class Forgetful(Protocol):
    """A model that caches replies, and can discard one that turned out to be unusable."""

    def forget(self, messages: Messages, schema: Schema) -> None:
        """Discard the cached reply to a question, so that the model is asked again."""
        ...
