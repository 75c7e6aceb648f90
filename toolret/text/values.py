"""Remove the values from a request: what is left is what to do, not what to do it with."""

from __future__ import annotations

import re

__all__ = ["QUOTED", "VALUE", "unquoted", "without_values"]

QUOTED = re.compile(r'"[^"\n]{1,500}"|“[^”\n]{1,500}”|«[^»\n]{1,500}»|`[^`\n]{1,500}`')
"""A quotation, which is a value whatever it says and whatever punctuation it has."""

VALUE = re.compile(
    rf"""{QUOTED.pattern}
    | (?<!\w)'[^'\n]{{1,200}}'(?!\w)            # not the apostrophe within a word
    | \bhttps?://\S+
    | (?<![\w.+\-])[\w.+\-]+@[\w\-]+\.[\w.\-]+  # e-mail addresses
    | (?<!\w)[/~][\w.\-]+(?:/[\w.\-]*)+         # paths
    | (?<!\w)[$€£#+\-]?\d[\w.:/\-,%]*           # numbers, amounts, dates and times
    """,
    re.VERBOSE,
)
"""A value: a quotation, an address, a path or a number."""

_MARKS = {'"': '"', "'": "'", "`": "`", "“": "”", "«": "»"}
"""The closing quotation mark for each opening one."""


def unquoted(text: str) -> str:
    """Return a text without the quotation marks, however many, that enclose all of it."""
    stripped = text.strip()
    first, last = stripped[:1], stripped[-1:]
    inner = stripped.lstrip(first).rstrip(last)
    quoted = _MARKS.get(first) == last and first not in inner and last not in inner
    return inner if quoted and inner.strip() else text


def without_values(text: str) -> str:
    """Return a text without quotations, addresses, paths and numbers; all of it if no word is left.

    Names of people, places and services stay: the latter often say which tool is meant.
    """
    bare, count = VALUE.subn(" ", text)
    return " ".join(bare.split()) if count and any(map(str.isalnum, bare)) else text
