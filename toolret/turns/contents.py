"""Convert a message's content to text: its words, and other parts by type and name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["SILENT", "clean", "content_text", "spoken_text", "words_of"]

_MEDIA_TYPE = re.compile(r"data:([\w.+-]+/[\w.+-]+)")
"""The media type of a ``data:`` URL, whose remainder is the content itself."""

_LONGEST_NAME = 100
"""Characters of a file's name."""

SILENT = ("reasoning", "thinking", "redacted_thinking", "tool_use", "tool_call")
"""Parts that are not text of a turn: reasoning, and calls, which are read separately."""


def content_text(content: Any) -> str:
    """Return a message's content as text; images, files and the like by type and name."""
    return clean("\n".join(text for text, _ in _parts(content)))


def words_of(content: Any) -> str:
    """Return only the words of a message's content, without images and the like."""
    return clean("\n".join(text for text, is_text in _parts(content) if is_text)).strip()


def spoken_text(content: Any) -> str:
    """Return the words of a message's content; if there are none, its other parts as text."""
    return words_of(content) or content_text(content).strip()


def clean(text: str) -> str:
    """Remove lone surrogates, which cannot be stored."""
    return text.encode("utf-8", "ignore").decode()


def _parts(content: Any) -> list[tuple[str, bool]]:
    """Return the parts of a message's content, each with whether it is text."""
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
            elif part.get("type") not in SILENT:
                parts.append((_named(part), False))
    return parts


def _named(part: Mapping[str, Any]) -> str:
    """Describe a part by type and name, never by content: ``[file: minutes.pdf]``."""
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
    except ValueError:  # not a URL
        return ""
    return unquote(PurePosixPath(path).name)
