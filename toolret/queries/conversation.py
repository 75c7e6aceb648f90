"""Convert a conversation in any supported form to a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from toolret.errors import InputError
from toolret.text.surrogates import drop_surrogates
from toolret.turns import Unread, messages_of, spoken_text, words_of
from toolret.types import Message, Request

__all__ = ["Conversation", "as_request"]

Conversation: TypeAlias = str | Request | Mapping[str, Any] | Sequence[Any]
"""A request, or the messages up to and including it: OpenAI's messages, items or replies of its
Responses API, Anthropic's messages, LangChain's messages, or the state of a LangChain agent."""


def as_request(conversation: Conversation, *, notes: str = "") -> Request:
    """Convert a conversation in any supported form to a request.

    Lone surrogates, which mean nothing and cannot be embedded, are removed.

    Args:
        conversation: The request as text; OpenAI's messages (``{"role", "content"}``, with text or
            parts as content), or what its client returned; items of its Responses API; Anthropic's
            messages; LangChain's messages, or the state that its agents return; pairs of role and
            text; a single message; or a ``Request``. The user's last words, which never include
            tool results, become the raw request. If there are none, the last other thing that the
            user sent is taken, such as ``[image]``, or else the last text of any role.
        notes: A stored summary of the user, for an LLM that writes the queries.

    Raises:
        InputError: If there is no text in the conversation.
    """
    if isinstance(conversation, Request):
        messages = tuple(map(_as_message, messages_of(conversation.messages)))
        request = replace(conversation, text=drop_surrogates(conversation.text), messages=messages)
        return conversation if request == conversation else request
    messages = tuple(map(_as_message, messages_of(conversation)))
    by_user = [message.get("content") for message in messages if message["role"] == "user"]
    anything = [message.get("content") for message in messages]
    for contents, text_of in ((by_user, words_of), (by_user, spoken_text), (anything, spoken_text)):
        if texts := list(filter(None, map(text_of, contents))):
            return Request(texts[-1], messages, notes)
    raise InputError("the conversation holds no text to search for")


def _as_message(message: Message | Unread) -> Message:
    """Return an entry of a conversation as a message; an item without text by its type.

    Raises:
        InputError: If the entry is no message, and no item of the Responses API.
    """
    if not isinstance(message, Unread):
        return message
    if message.kind:
        return {"role": "assistant", "content": [{"type": message.kind}]}
    if isinstance(message.value, Mapping):
        raise InputError(f"a message has no role: {message.value!r}"[:200])
    raise InputError(
        f"{message.value!r} is no message: give text, OpenAI's messages or LangChain's"[:200]
    )
