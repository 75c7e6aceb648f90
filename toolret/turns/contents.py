"""Convert a message's content to text: its words, and its other parts by type and name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from toolret.text.surrogates import drop_surrogates

__all__ = ["SILENT", "content_text", "spoken_text", "words_of"]

_MEDIA_TYPE = re.compile(r"data:([\w.+-]+/[\w.+-]+)")
"""The media type of a ``data:`` URL, whose remainder is the content itself."""

_LONGEST_NAME = 100
"""The most characters of a file's name that are kept."""

SILENT = ("reasoning", "thinking", "redacted_thinking", "tool_use", "tool_call")
"""The types of parts without text: reasoning, and calls, which are read separately."""


def content_text(content: Any) -> str:
    """Return a message's content as text, in which images, files and the like are named."""
    return drop_surrogates("\n".join(text for text, _ in _parts(content)))


def words_of(content: Any) -> str:
    """Return only the words of a message's content, without images and the like."""
    return drop_surrogates("\n".join(text for text, is_text in _parts(content) if is_text)).strip()


def spoken_text(content: Any) -> str:
    """Return the words of a message's content; if there are none, its other parts as text."""
    return words_of(content) or content_text(content).strip()


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
                parts.append((_part_name(part), False))
    return parts


def _part_name(part: Mapping[str, Any]) -> str:
    """Return a part's type and name, such as ``[file: minutes.pdf]``; never its content."""
    kind = str(part.get("type", "part")).removeprefix("input_").removesuffix("_url")
    places = [part, *(value for value in part.values() if isinstance(value, Mapping))]
    names = [place.get(key) for key in ("filename", "name", "title") for place in places]
    links = [place.get(key) for key in ("url", "image_url", "file_url") for place in places]
    kinds = [place.get(key) for key in ("mime_type", "media_type", "format") for place in places]
    links = [_link_name(link) for link in links if isinstance(link, str)]
    texts = [text for text in (*names, *links, *kinds) if isinstance(text, str) and text]
    name = " ".join(texts[0].split())[:_LONGEST_NAME] if texts else ""
    return f"[{kind}: {name}]" if name else f"[{kind}]"


def _link_name(link: str) -> str:
    """Return the name of the file that a URL leads to; of a ``data:`` URL, the media type."""
    if link.startswith("data:"):
        media_type = _MEDIA_TYPE.match(link)
        return media_type[1] if media_type else ""
    try:
        path = urlsplit(link[:2_000]).path
    except ValueError:  # not a URL
        return ""
    return unquote(PurePosixPath(path).name)
