"""Characters that people do not see but models and terminals read."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["code_point", "is_hidden", "visible"]

_PLAIN_CONTROLS = frozenset("\t\n\r")
"""Control characters that people see, as white space."""

_JOINERS = frozenset("\u200c\u200d")
"""Invisible joiners that some scripts need between letters, and emoji between their parts."""

_JOINED_SCRIPTS = re.compile(r"[\u0590-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17ff]")
"""A letter of a script that uses joiners: those of the Middle East, India, Myanmar and Cambodia."""


def is_hidden(text: str, index: int) -> bool:
    """Whether the character at this index is invisible to people but not to a model."""
    character = text[index]
    if character.isascii():
        return unicodedata.category(character) == "Cc" and character not in _PLAIN_CONTROLS
    if character in _JOINERS:
        return not _joins(text[index - 1 : index], text[index + 1 : index + 2])
    category = unicodedata.category(character)
    # Variation selectors of plane 14 can carry hidden text; others only choose a glyph's form.
    return category in ("Cf", "Co", "Cc") or "\U000e0100" <= character <= "\U000e01ef"


def visible(text: str) -> str:
    """Write hidden characters as their code points, which makes a text safe for a terminal."""
    return "".join(
        f"<{code_point(c)}>" if is_hidden(text, i) or c in "\n\r\t" else c
        for i, c in enumerate(text)
    )


def code_point(character: str) -> str:
    """Write a character as its code point: ``U+202E``."""
    return f"U+{ord(character):04X}"


def _joins(before: str, after: str) -> bool:
    """Whether a joiner between these characters has a visible effect; either may be empty."""
    if not before or not after:
        return False
    emoji = all(unicodedata.category(c) in ("So", "Sk", "Mn", "Me") for c in (before, after))
    return emoji or bool(_JOINED_SCRIPTS.match(before) and _JOINED_SCRIPTS.match(after))
