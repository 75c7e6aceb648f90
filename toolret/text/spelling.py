"""Correct the spelling of requests, by the words of the tools.

A typing error takes a request away from its tools twice: the word is in no text, and an embedder
reads the pieces of it as something else. Only a word that no dictionary knows is corrected, and
only to one that tools have: names and terms of other fields stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from string import ascii_lowercase
from typing import TypeAlias

from toolret.text.english import has_dictionary, is_english
from toolret.text.lexical import stems
from toolret.text.values import VALUE, unquoted

__all__ = ["CountTools", "find_corrections", "with_corrections"]

CountTools: TypeAlias = Callable[[Sequence[str]], Sequence[int]]
"""Returns for each of some words how many tools have it in their texts, in any inflection."""

_WORD = re.compile(
    rf"{VALUE.pattern} | (?P<word> (?<![\w'\u2019@./\\-]) [^\W\d_]+ (?!['\u2019]?[\w@/\\]) )",
    re.VERBOSE,
)
"""A value, or a word by itself: no part of an identifier, an address or a contraction."""

_LEAST_LETTERS = 5
"""The least letters of a word that is corrected: too many words are one letter apart from a shorter
one. Meilisearch allows its first typing error from the same length on."""

_MOST_UNKNOWN = 20
"""The most words to look for others that are one letter apart, which takes 0.3 ms each."""

_LONGEST_TEXT = 5_000
"""How many characters of a text are read: what follows was pasted."""

_FOREIGN_SHARE = 1 / 3
"""The share of words that are neither known nor near a known one from which on a request counts as
written in another language than the tools. Its words must not become others by chance."""


def find_corrections(text: str, count_tools: CountTools) -> dict[str, str]:
    """Return the misspelt words of a request, as they are written, each with what was meant.

    That is taken to be the word of most tools among those that one inserted, missing or wrong
    letter, or two in the wrong order, make of it (Damerau, 1964). Values and names are left alone.

    Args:
        text: The request.
        count_tools: Counts the tools that have a word.
    """
    if not has_dictionary():
        return {}
    written = _plain_words(text)
    words = list(dict.fromkeys(written.values()))
    others = [word for word in words if not is_english(word)]
    unknown = [word for word, tools in zip(others, count_tools(others), strict=True) if not tools]
    if len(unknown) > _MOST_UNKNOWN:
        return {}
    meant = {word: likely for word in unknown if (likely := _meant(word, count_tools))}
    if len(unknown) - len(meant) > _FOREIGN_SHARE * len(words):
        return {}
    return {word: meant[lower] for word, lower in written.items() if lower in meant}


def with_corrections(text: str, corrections: Mapping[str, str]) -> str:
    """Return a text with the words corrected that ``find_corrections`` found."""
    return _WORD.sub(lambda found: corrections.get(found["word"], found[0]), unquoted(text))


def _plain_words(text: str) -> dict[str, str]:
    """Return the words of a request that are no values and no names, and each in lower case."""
    read = unquoted(text)[:_LONGEST_TEXT]
    words = [word for found in _WORD.finditer(read) if (word := found["word"])]
    plain = [*words[:1], *(word for word in words if word.islower() or read.isupper())]
    return {word: word.lower() for word in plain}


def _meant(word: str, count_tools: CountTools) -> str:
    """Return the word of the tools that was probably meant by one that is unknown, if any."""
    if len(word) < _LEAST_LETTERS or not word.isascii():
        return ""
    apart = sorted(_one_letter_apart(word))
    # Tools' words are known by their stems only, and not all that has the stem of a word is one.
    near = [
        other
        for other, stem in zip(apart, stems(apart), strict=True)
        if other == stem or is_english(other)
    ]
    tools = dict(zip(near, count_tools(near), strict=True))

    def likeliness(candidate: str) -> tuple[bool, bool, int]:
        # Few people get the first letter wrong.
        return is_english(candidate), candidate[0] == word[0], tools[candidate]

    return max((candidate for candidate in near if tools[candidate]), key=likeliness, default="")


def _one_letter_apart(word: str) -> set[str]:
    """Return what a word could have been before one letter was added, lost, changed or swapped."""
    halves = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    apart = {left + right[1:] for left, right in halves if right}
    apart |= {left + right[1] + right[0] + right[2:] for left, right in halves if len(right) > 1}
    for letter in ascii_lowercase:
        apart |= {left + letter + right[1:] for left, right in halves if right}
        apart |= {left + letter + right for left, right in halves}
    return apart - {word}
