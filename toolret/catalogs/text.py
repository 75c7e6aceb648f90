"""Names and descriptions of API documents as plain text."""

from __future__ import annotations

import html
import re
import unicodedata

__all__ = ["joined", "operation_name", "plain_text", "slug"]

_HTML_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)|</?(?:a|abbr|b|blockquote|br|code|dd|del|details|div|dl|dt|em|font|h[1-6]|hr|i|img"
    r"|ins|kbd|li|ol|p|pre|s|small|span|strong|sub|summary|sup|table|tbody|td|tfoot|th|thead|tr|tt"
    r"|u|ul|var)(?:\s[^<>]*)?/?>",
    re.IGNORECASE | re.DOTALL,
)
"""Known HTML tags only, so that ``<id>`` and ``List<String>`` stay."""

_INLINE_TAG = re.compile(
    r"</?(?:a|abbr|b|code|del|em|font|i|ins|kbd|s|small|span|strong|sub|sup|tt|u|var)\b",
    re.IGNORECASE,
)
"""Inline tags, which do not separate words."""

_MARKUP = re.compile(r"[#&*<\[`~]")
_CODE_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])(.{1,500}?)(?<=[^\s*])\1(?![\w*])", re.DOTALL)
_CODE = re.compile(r"(`{1,3})(.{1,500}?)\1", re.DOTALL)
"""Lengths are bounded, so that no text takes quadratic time."""

_KEPT = re.compile(r"\0(\d+)\0")
"""The place of a code that is put back when all else is reduced."""

_WORD = re.compile(r"\w+")
_DROPPED_WORDS = frozenset({"api", "apis", "openapi", "rest", "restful"})
_VERSION = re.compile(r"\bv?\d+(?:\.\d+)+\b|\bv\d+\b", re.IGNORECASE)


def plain_text(text: str) -> str:
    """Reduce Markdown and HTML to the visible words, on one line."""
    if not _MARKUP.search(text):
        return " ".join(text.split())
    codes: list[str] = []

    def kept(code: re.Match[str]) -> str:
        codes.append(code[2])
        return f"\0{len(codes) - 1}\0"

    # In code, nothing is markup: of two wildcards written `*`, the asterisks are no emphasis.
    text = _CODE.sub(kept, _CODE_FENCE.sub("", text.replace("\0", "")))
    text = _HTML_TAG.sub(lambda tag: "" if _INLINE_TAG.match(tag[0]) else " ", text)
    text = _HEADING.sub("", text)
    text = _LINK.sub(r"\1", text)
    text = _EMPHASIS.sub(r"\2", text)
    text = _KEPT.sub(lambda place: codes[int(place[1])], text)
    return " ".join(html.unescape(text).split())


def joined(summary: str, description: str) -> str:
    """Join a summary and a description without repetition."""
    summary, description = plain_text(summary), plain_text(description)
    short, long = _bare(summary), _bare(description)
    if f"{long} ".startswith(f"{short} ") or not short:
        return description
    if f"{short} ".startswith(f"{long} ") or not long:
        return summary
    return f"{summary}{'' if summary.endswith(('.', '!', '?', ':')) else '.'} {description}"


def slug(title: str) -> str:
    """Derive a namespace from a title: ``Spotify Web API`` becomes ``spotify_web``.

    Words such as "API" and "REST" and version numbers are dropped, unless nothing else is left.
    """
    title = unicodedata.normalize("NFC", title).lower()
    every = _words(title)
    words = _words(_VERSION.sub(" ", title))
    if len(words) > 1 and words[-1].isdecimal() and words[-2] in _DROPPED_WORDS:
        words.pop()
    return "_".join([word for word in words if word not in _DROPPED_WORDS] or every)


def operation_name(method: str, path: str) -> str:
    """Name an operation without an id: ``get_users_id`` for ``GET /users/{id}``."""
    return "_".join([method.lower(), *_words(path)])


def _bare(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def _words(text: str) -> list[str]:
    """Split into runs of letters, digits and combining marks, which many scripts use for vowels."""
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return kept.split()
