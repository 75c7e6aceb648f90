"""A request without its values: what it wants done, apart from what it is to be done with."""

from __future__ import annotations

import re

__all__ = ["QUOTED", "unquoted", "without_values"]

QUOTED = re.compile(r'"[^"\n]{1,500}"|“[^”\n]{1,500}”|«[^»\n]{1,500}»|`[^`\n]{1,500}`')
"""A quotation is a value, whatever it says and whatever punctuation it has."""

_VALUE = re.compile(
    rf"""{QUOTED.pattern}
    | (?<!\w)'[^'\n]{{1,200}}'(?!\w)            # not the apostrophe within a word
    | \bhttps?://\S+
    | (?<![\w.+\-])[\w.+\-]+@[\w\-]+\.[\w.\-]+  # e-mail addresses
    | (?<!\w)[/~][\w.\-]+(?:/[\w.\-]*)+         # paths
    | (?<!\w)[$€£#+\-]?\d[\w.:/\-,%]*           # numbers, amounts, dates and times
    """,
    re.VERBOSE,
)


_MARKS = {'"': '"', "'": "'", "`": "`", "“": "”", "«": "»"}


def unquoted(text: str) -> str:
    """A text that was quoted as a whole, without the marks, however many; any other as it is."""
    whole = text.strip()
    first, last = whole[:1], whole[-1:]
    inner = whole.lstrip(first).rstrip(last)
    quoted = _MARKS.get(first) == last and first not in inner and last not in inner
    return inner if quoted and inner.strip() else text


def without_values(text: str) -> str:
    """A text without quotations, addresses, paths and numbers; as it is if no word is left.

    Names of people, places and services stay: the latter often say which tool is meant.
    """
    bare, values = _VALUE.subn(" ", text)
    return " ".join(bare.split()) if values and any(map(str.isalnum, bare)) else text
