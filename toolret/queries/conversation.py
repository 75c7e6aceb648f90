"""A conversation, in whatever form a user has it, as a request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from toolret.errors import InputError
from toolret.turns import clean
from toolret.types import Message, Request

__all__ = ["Conversation", "as_request", "content_text", "spoken_text"]

Conversation: TypeAlias = str | Request | Sequence[Any]
"""A request, or the messages up to and including it: OpenAI's messages, items of its Responses
API, or LangChain's messages."""

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "function": "tool",
    "HumanMessageChunk": "user",
    "AIMessageChunk": "assistant",
    "ToolMessageChunk": "tool",
}
"""Other names of OpenAI's roles."""

_MEDIA_TYPE = re.compile(r"data:([\w.+-]+/[\w.+-]+)")
"""Of a ``data:`` URL, which holds the bytes themselves."""

_LONGEST_NAME = 100
"""Characters of a file's name."""

_SILENT = ("reasoning", "thinking", "redacted_thinking", "tool_use", "tool_call")
"""Parts that are no text of a turn: thoughts, and calls, which stand elsewhere as well."""


def as_request(conversation: Conversation, *, notes: str = "") -> Request:
    """A conversation, in any form that users have it, as a request.

    Halves of surrogate pairs, which stand for nothing and cannot be embedded, are left out.

    Args:
        conversation: The request as text; OpenAI's messages (``{"role", "content"}``, content a
            text or parts), or what its client returned; items of its Responses API; LangChain's
            messages; pairs of role and text; or a ``Request``. What the user said last is the raw
            request; if the user said nothing, the last text of all.
        notes: A stored summary of the user, for an LLM that writes the queries.

    Raises:
        InputError: If there is no text in it.
    """
    if isinstance(conversation, Request):
        text = clean(conversation.text)
        return conversation if text == conversation.text else replace(conversation, text=text)
    if isinstance(conversation, str):
        messages: tuple[Message, ...] = ({"role": "user", "content": conversation},)
    else:
        messages = tuple(map(_as_message, conversation))
    said = [(m["role"], text) for m in messages if (text := spoken_text(m.get("content")))]
    if not said:
        raise InputError("the conversation holds no text to search for")
    by_user = [text for role, text in said if role == "user"]
    return Request((by_user or [said[-1][1]])[-1], messages, notes)


def content_text(content: Any) -> str:
    """A message's content as text; images, files and the like by their kind and name."""
    return clean("\n".join(text for text, _ in _parts(content)))


def spoken_text(content: Any) -> str:
    """The words of a message's content; where it has none, what it holds instead."""
    parts = list(_parts(content))
    words = [text for text, is_text in parts if is_text]
    return clean("\n".join(words)).strip() or clean("\n".join(text for text, _ in parts)).strip()


def _as_message(message: Any) -> Message:
    if isinstance(message, tuple) and len(message) == 2:
        message = dict(zip(("role", "content"), message, strict=True))
    elif hasattr(message, "additional_kwargs"):  # LangChain's
        role = getattr(message, "role", message.type)
        calls = getattr(message, "tool_calls", None) or []
        return {
            "role": _ROLES.get(role, role),
            "content": message.content,
            **({"tool_calls": calls} if calls else {}),
        }
    elif hasattr(message, "model_dump"):  # what the openai package returned
        message = message.model_dump(exclude_none=True)
    if not isinstance(message, Mapping):
        raise InputError(
            f"{message!r} is no message: give text, OpenAI's messages or LangChain's"[:200]
        )
    if isinstance(message.get("role"), str):
        role = message["role"]
        return {**message, "role": _ROLES[role]} if role in _ROLES else message
    if isinstance(message.get("type"), str):
        return _from_item(message)
    raise InputError(f"a message has no role: {message!r}"[:200])


def _from_item(item: Mapping[str, Any]) -> Message:
    """An item of the Responses API that is no message, as the message it would be in a chat."""
    kind = item["type"]
    if kind.endswith("_output"):
        return {"role": "tool", "content": item.get("output")}
    if kind in ("function_call", "custom_tool_call"):
        arguments = item.get("arguments", item.get("input", ""))
        return {"role": "assistant", "content": "", "tool_calls": [{**item, "args": arguments}]}
    if kind in _SILENT:
        return {"role": "assistant", "content": ""}
    return {"role": "assistant", "content": [{"type": kind}]}


def _parts(content: Any) -> list[tuple[str, bool]]:
    """The parts of a message's content, each with whether it is text."""
    if content is None or isinstance(content, str):
        return [(content, True)] if content else []
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, Sequence):
        return [(str(content), True)]
    parts: list[tuple[str, bool]] = []
    for part in content:
        if isinstance(part, str):
            parts.append((part, True))
        elif isinstance(part, Mapping):
            text = part.get("text", part.get("refusal"))
            if isinstance(text, str):
                parts.append((text, True))
            elif part.get("type") == "tool_result":
                parts += _parts(part.get("content"))
            elif part.get("type") not in _SILENT:
                parts.append((_named(part), False))
    return parts


def _named(part: Mapping[str, Any]) -> str:
    """``[file: minutes.pdf]``: what a part is and is called, never what is in it."""
    kind = str(part.get("type", "part")).removeprefix("input_").removesuffix("_url")
    places = [part, *(value for value in part.values() if isinstance(value, Mapping))]
    names = [place.get(key) for key in ("filename", "name", "title") for place in places]
    links = [place.get(key) for key in ("url", "image_url", "file_url") for place in places]
    kinds = [place.get(key) for key in ("mime_type", "media_type", "format") for place in places]
    links = [_link_name(link) for link in links if isinstance(link, str)]
    found = [name for name in (*names, *links, *kinds) if isinstance(name, str) and name]
    name = " ".join(found[0].split())[:_LONGEST_NAME] if found else ""
    return f"[{kind}: {name}]" if name else f"[{kind}]"


def _link_name(link: str) -> str:
    if link.startswith("data:"):
        media_type = _MEDIA_TYPE.match(link)
        return media_type[1] if media_type else ""
    try:
        path = urlsplit(link[:2_000]).path
    except ValueError:  # no URL at all
        return ""
    return unquote(PurePosixPath(path).name)
