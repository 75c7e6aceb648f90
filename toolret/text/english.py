"""Whether words, and texts, are English, which is what the default embedder reads."""

from __future__ import annotations

import logging
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

__all__ = ["UNSPACED", "has_dictionary", "is_english", "is_in_another_language"]

_DICTIONARY = "symspellpy/frequency_dictionary_en_82_765.txt"
"""The dictionary's file, which is SymSpell's: a word and its frequency in each line."""

UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff"
"""The characters of scripts without spaces between words: each of them counts as a word."""

_WORD = re.compile(rf"[{UNSPACED}]|[^\W\d_{UNSPACED}]+")
"""A word of any script."""

_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
"""A letter of the Latin script, with or without an accent."""

_PLAIN_WORD = re.compile(r"(?<![\w./@\\-])[^\W\d_]{2,}(?![\w/@\\])")
"""A word of two letters or more by itself: no part of an identifier, a path or an address."""

_FEWEST_WORDS = 6
"""The fewest words that tell a language: names and terms may be most of a shorter text."""

_ENGLISH_SHARE = 0.35
"""The share of a text's words that are English from which on it is. Sentences in other European
languages have 0 to a third, as some of their words are English too (*die*, *no*, *client*)."""

_log = logging.getLogger(__name__)


def is_english(word: str) -> bool:
    """Whether a word in lower case is in an English dictionary, or is the plural of one that is."""
    return word in _dictionary() or word.removesuffix("s") in _dictionary()


def is_in_another_language(text: str) -> bool:
    """Whether most of a text is in another script than Latin, or in words that are not English.

    Names, identifiers and what else is not in lower case say nothing. A short text in Latin script
    is taken for English, and so are all of them without a dictionary.
    """
    scripts = [bool(_LATIN.match(word)) for word in _WORD.findall(text)]
    if 2 * sum(scripts) < len(scripts):
        return True
    words = {word for word in _PLAIN_WORD.findall(text) if word.islower()}
    if len(words) < _FEWEST_WORDS or not has_dictionary():
        return False
    return sum(map(is_english, words)) < _ENGLISH_SHARE * len(words)


def has_dictionary() -> bool:
    """Whether there is a dictionary: a program may have been frozen without its file."""
    return bool(_dictionary())


@cache  # reading it takes a tenth of a second
def _dictionary() -> frozenset[str]:
    """Return the words of SymSpell's English dictionary; none if its file cannot be read.

    The package is not imported, and the file is read line by line, so that an event loop in another
    thread is not held up.
    """
    try:
        file = distribution("symspellpy").locate_file(_DICTIONARY)
        with Path(str(file)).open(encoding="utf-8-sig") as lines:
            return frozenset(line.partition(" ")[0] for line in lines)
    except (OSError, PackageNotFoundError) as error:
        _log.warning("requests are read as they are spelt, without a dictionary: %s", error)
        return frozenset()
