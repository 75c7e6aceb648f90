"""Words: BM25 over texts whose identifiers were split and whose words were stemmed."""

from __future__ import annotations

import logging
import math
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import Stemmer
from numpy.typing import NDArray

from toolret.text.rendering import LONGEST_REMEMBERED, MARKS, split_identifier

__all__ = ["Postings", "bm25", "bm25_scores", "both_words", "name_shares", "rarity", "words"]

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.integer[Any]]

_K1 = 1.2
_B = 0.5
"""Parameters of BM25 (Robertson and Zaragoza, 2009). A tool's text is long because it has more
parameters, not because it is wordier: its length counts less than the usual 0.75."""

_TOKEN = re.compile(rf"(?:[^\W_]|[{MARKS}])+")
_CONTRACTED = re.compile(r"(?<=\w)['\u2019](?:s|t|d|m|ll|re|ve)\b", re.IGNORECASE)
_IDEOGRAPHS = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+)")
"""Scripts written without spaces; their runs are read as overlapping pairs of characters."""

_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    a about also am an and any are as at be because been being both but by can cannot could did do
    does doing don during few for from further had has have he her here hers herself himself his
    how i if in into is it its itself just me more most my myself no nor not now of on once only or
    other ought our ours ourselves own please same she should so some such than that the their
    theirs them themselves then there these they this through to too until us very was we were what
    when where which while who whom why will with would you your yours yourself yourselves
    """,
    )
)
"""Words that say nothing of what is wanted: pronouns, auxiliaries, conjunctions and the like. In
short tool texts they would pass for rare ones. Not among them are those that tools are named by,
such as *off*, *up*, *before* and *get*."""

_REMEMBERED = 16_384
"""How many texts have their words remembered: 2 kB with the text of a tool of usual length."""

_local = threading.local()


def words(text: str, *, every: bool = False) -> list[str]:
    """The words of a text: identifiers split, stop words dropped, English stems.

    Args:
        text: The text.
        every: Whether to keep stop words, as among requests, where their frequency weighs them.
    """
    said = _said(text)
    kept = said if every else [word for word in said if word not in _STOP_WORDS]
    stems: list[str] = _stemmer().stemWords(kept)
    return stems


def both_words(text: str) -> tuple[list[str], list[str]]:
    """The words of a text without stop words, and with them."""
    said = _said(text)
    stems: list[str] = _stemmer().stemWords(said)
    kept = [stem for word, stem in zip(said, stems, strict=True) if word not in _STOP_WORDS]
    return kept, stems


def _said(text: str) -> list[str]:
    """The words of a text in small letters, not stemmed."""
    found: list[str] = []
    # One spelling of what can be written in several: an accent with its letter, or after it.
    text = unicodedata.normalize("NFKC", text)
    for token in _TOKEN.findall(_CONTRACTED.sub("", text)):
        found += _split(token) if len(token) <= LONGEST_REMEMBERED else _split.__wrapped__(token)
    return found


@lru_cache(maxsize=65_536)  # the same words are read again and again
def _split(token: str) -> tuple[str, ...]:
    """The words of a token in small letters."""
    found: list[str] = []
    for place, run in enumerate(_IDEOGRAPHS.split(token)):
        if place % 2:
            found += [run[i : i + 2] for i in range(max(1, len(run) - 1))]
        else:
            found += split_identifier(run).lower().split()
    return tuple(found)


@dataclass(frozen=True)
class Postings:
    """For each word of some texts, in which of them it stands and what it counts there.

    Attributes:
        numbers: Of each word, its number.
        starts: Where each word's postings begin, and the end of the last: ``(words + 1,)``.
        positions: Of the texts, for each posting; within a word each once.
        values: What the word counts in that text, for each posting.
        count: How many texts there are.
    """

    numbers: Mapping[str, int]
    starts: Ints
    positions: Ints
    values: Floats
    count: int

    @classmethod
    def of(
        cls, numbers: Mapping[str, int], word: Ints, position: Ints, values: Floats, count: int
    ) -> Postings:
        """Postings from single entries.

        Args:
            numbers: Of each word, its number.
            word: Of each entry, the word's number.
            position: The text; ascending within a word.
            values: What the word counts there.
            count: How many texts there are.
        """
        order = np.argsort(word, kind="stable")
        starts = np.searchsorted(word[order], np.arange(len(numbers) + 1))
        return cls(numbers, starts, position[order].astype(np.int32), values[order], count)

    def scores(self, queries: Sequence[Mapping[str, float]]) -> Floats:
        """Weighed sums of what each query's words count in each text.

        Args:
            queries: The words of each, and what each word counts.

        Returns:
            Shape ``(queries, texts)``.
        """
        scores = np.zeros((len(queries), self.count), dtype=np.float32)
        for of_query, query in zip(scores, queries, strict=True):
            positions, values = [], []
            for word, weight in query.items():
                number = self.numbers.get(word)
                if number is not None:
                    of_word = slice(self.starts[number], self.starts[number + 1])
                    positions.append(self.positions[of_word])
                    values.append(self.values[of_word] * np.float32(weight))
            if positions:
                of_query[:] = np.bincount(
                    np.concatenate(positions), np.concatenate(values), self.count
                )
        return scores

    def most(self, query: Mapping[str, float]) -> float:
        """What BM25 comes near to in a text that says all of a query's words over and over.

        Words that are nowhere count too, as the rarest: much is missing where they are.
        """
        most = 0.0
        for word, weight in query.items():
            number = self.numbers.get(word)
            texts = 0 if number is None else self.starts[number + 1] - self.starts[number]
            most += weight * rarity(texts, self.count)
        return most

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The same as arrays, to be kept in a file."""
        vocabulary = "\n".join(self.numbers).encode("utf-8", "surrogatepass")
        return {
            "vocabulary": np.frombuffer(vocabulary, dtype=np.uint8),
            "starts": self.starts,
            "positions": self.positions,
            "values": self.values,
            "count": np.array(self.count),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Postings:
        """The inverse of ``arrays``."""
        vocabulary = arrays["vocabulary"].tobytes().decode("utf-8", "surrogatepass")
        return cls(
            {word: number for number, word in enumerate(vocabulary.split("\n"))},
            arrays["starts"],
            arrays["positions"],
            arrays["values"],
            int(arrays["count"]),
        )


def rarity(texts: int, count: int) -> float:
    """What BM25 weighs a word with that stands in so many of all texts."""
    return math.log1p((count - texts + 0.5) / (texts + 0.5))


def bm25(texts: Sequence[Sequence[str]]) -> Postings:
    """BM25 of each word in each text.

    Args:
        texts: The ``words`` of each.
    """
    import bm25s

    # Its import has it log at DEBUG, into whatever the application has set up.
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    if not any(texts):
        return name_shares([""] * len(texts), [])
    index = bm25s.BM25(k1=_K1, b=_B)
    index.index([list(text) for text in texts], show_progress=False)
    numbers = {str(word): int(number) for word, number in index.vocab_dict.items() if word}
    scores = index.scores
    return Postings(
        dict(sorted(numbers.items(), key=lambda item: item[1])),
        np.asarray(scores["indptr"], dtype=np.int64),
        np.asarray(scores["indices"], dtype=np.int32),
        np.asarray(scores["data"], dtype=np.float32),
        len(texts),
    )


def bm25_scores(query: Mapping[str, float], texts: Sequence[str]) -> NDArray[np.float64]:
    """What ``bm25`` has a query score in each text, for texts that come with each request anew.

    Nothing is indexed. The words of a text are remembered by what it says, so that the same texts
    cost little the next time, and one that has changed is read anew.

    Args:
        query: Its ``words``, and what each counts.
        texts: The texts, whole.
    """
    if not texts:
        return np.zeros(0)
    read = [_hashed_words(text) for text in texts]
    lengths = np.array([len(each) for each in read])
    every, place = np.concatenate(read), np.repeat(np.arange(len(texts)), lengths)
    damping = _K1 * (1 - _B + _B * lengths / max(1, lengths.mean()))
    scores = np.zeros(len(texts))
    for word, weight in query.items():
        times = np.bincount(place[every == hash(word)], minlength=len(texts))
        weight *= rarity(int(np.count_nonzero(times)), len(texts))
        scores += weight * times / (times + damping)
    return scores


@lru_cache(maxsize=_REMEMBERED)
def _hashed_words(text: str) -> NDArray[np.int64]:
    """The words of a text by their hashes: 64 bits, so that different words have different ones."""
    return np.array([hash(word) for word in words(text)], dtype=np.int64)


def name_shares(names: Sequence[str], texts: Sequence[Sequence[str]]) -> Postings:
    """What share of each name a word is, rare words counting for more.

    Args:
        names: Identifiers.
        texts: The ``words`` of what the rarity of words is taken from, such as the whole texts of
            the tools.
    """
    frequency = Counter(word for text in texts for word in set(text))
    split: dict[str, list[tuple[int, float]]] = {}
    numbers: dict[str, int] = {}
    entries: list[tuple[int, int, float]] = []
    for place, name in enumerate(names):
        if name not in split:
            rarities = {
                word: math.log1p(len(texts) / (frequency[word] + 0.5)) for word in set(words(name))
            }
            total = sum(rarities.values())
            split[name] = [
                (numbers.setdefault(word, len(numbers)), weight / total)
                for word, weight in rarities.items()
            ]
        entries += [(number, place, share) for number, share in split[name]]
    word = np.array([number for number, _, _ in entries], dtype=np.int64)
    position = np.array([position for _, position, _ in entries], dtype=np.int64)
    shares = np.array([share for _, _, share in entries], dtype=np.float32)
    return Postings.of(numbers, word, position, shares, len(names))


def _stemmer() -> Stemmer.Stemmer:
    """One a thread: PyStemmer's objects are not safe to share."""
    if not hasattr(_local, "stemmer"):
        _local.stemmer = Stemmer.Stemmer("english")
    return _local.stemmer
