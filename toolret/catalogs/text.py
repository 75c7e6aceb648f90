"""Reduce names and descriptions of API documents to plain text."""

from __future__ import annotations

import html
import re
import unicodedata

__all__ = ["join_texts", "operation_name", "plain_text", "slug"]

_HTML_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)|</?(?:a|abbr|b|blockquote|br|code|dd|del|details|div|dl|dt|em|font|h[1-6]|hr|i|img"
    r"|ins|kbd|li|ol|p|pre|s|small|span|strong|sub|summary|sup|table|tbody|td|tfoot|th|thead|tr|tt"
    r"|u|ul|var)(?:\s[^<>]*)?/?>",
    re.IGNORECASE | re.DOTALL,
)
"""HTML comments and known HTML tags only, so that ``<id>`` and ``List<String>`` stay."""

_INLINE_TAG = re.compile(
    r"</?(?:a|abbr|b|code|del|em|font|i|ins|kbd|s|small|span|strong|sub|sup|tt|u|var)\b",
    re.IGNORECASE,
)
"""Inline tags, which do not separate words."""

_MARKUP = re.compile(r"[#&*<\[`~]")
"""Any character that Markdown or HTML could begin with."""

_CODE_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])(.{1,500}?)(?<=[^\s*])\1(?![\w*])", re.DOTALL)
_CODE = re.compile(r"(`{1,3})(.{1,500}?)\1", re.DOTALL)
"""Code in backticks. Its length is bounded, like that of emphasis, so that no text takes quadratic
time."""

_CODE_MARK = re.compile(r"\0(\d+)\0")
"""What stands for a piece of code while the text around it is reduced."""

_WORD = re.compile(r"\w+")
_DROPPED_WORDS = frozenset({"api", "apis", "openapi", "rest", "restful"})
"""Words of titles that do not tell one API from another."""

_VERSION = re.compile(r"\bv?\d+(?:\.\d+)+\b|\bv\d+\b", re.IGNORECASE)


def plain_text(text: str) -> str:
    """Reduce Markdown and HTML to the visible words, on one line."""
    if not _MARKUP.search(text):
        return " ".join(text.split())
    codes: list[str] = []

    def set_aside(code: re.Match[str]) -> str:
        codes.append(code[2])
        return f"\0{len(codes) - 1}\0"

    # Nothing in code is markup: the asterisks of two wildcards in backticks are no emphasis.
    text = _CODE.sub(set_aside, _CODE_FENCE.sub("", text.replace("\0", "")))
    text = _HTML_TAG.sub(lambda tag: "" if _INLINE_TAG.match(tag[0]) else " ", text)
    text = _HEADING.sub("", text)
    text = _LINK.sub(r"\1", text)
    text = _EMPHASIS.sub(r"\2", text)
    text = _CODE_MARK.sub(lambda mark: codes[int(mark[1])], text)
    return " ".join(html.unescape(text).split())


def join_texts(summary: str, description: str) -> str:
    """Join a summary and a description to a plain text without repetition."""
    summary, description = plain_text(summary), plain_text(description)
    short, long = _bare(summary), _bare(description)
    if f"{long} ".startswith(f"{short} ") or not short:
        return description
    if f"{short} ".startswith(f"{long} ") or not long:
        return summary
    return f"{summary}{'' if summary.endswith(('.', '!', '?', ':')) else '.'} {description}"


def slug(title: str) -> str:
    """Return a namespace for a title: ``spotify_web`` for ``Spotify Web API``.

    Words such as "API" and "REST" and version numbers are dropped, unless nothing else is left.
    """
    title = unicodedata.normalize("NFC", title).lower()
    all_words = _words(title)
    words = _words(_VERSION.sub(" ", title))
    if len(words) > 1 and words[-1].isdecimal() and words[-2] in _DROPPED_WORDS:
        words.pop()
    return "_".join([word for word in words if word not in _DROPPED_WORDS] or all_words)


def operation_name(method: str, path: str) -> str:
    """Return a name for an operation without an id: ``get_users_id`` for ``GET /users/{id}``."""
    return "_".join([method.lower(), *_words(path)])


def _bare(text: str) -> str:
    """Return the words of a text in lower case, for comparisons."""
    return " ".join(_WORD.findall(text.lower()))


def _words(text: str) -> list[str]:
    """Split a text into runs of letters, digits and combining marks (vowels in many scripts)."""
    spaced = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return spaced.split()
