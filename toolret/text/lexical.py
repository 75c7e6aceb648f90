"""Lexical search: BM25 over texts whose identifiers are split and whose words are stemmed."""

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

__all__ = [
    "Postings",
    "bm25",
    "bm25_scores",
    "content_and_all_words",
    "name_shares",
    "rarity",
    "stems",
    "words",
]

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.integer[Any]]

_K1 = 1.2
"""The parameter k1 of BM25 (Robertson and Zaragoza, 2009), which limits what repetitions of a word
add: the usual value."""

_B = 0.5
"""The parameter b of BM25: how much the score of a long text is reduced, 0 to 1. A tool's text is
long because it has more parameters, not because it is wordier, so this is below the usual 0.75."""

_TOKEN = re.compile(rf"(?:[^\W_]|[{MARKS}])+")
"""A run of letters and digits of any script, with their marks."""

_CONTRACTED = re.compile(r"(?<=\w)['\u2019](?:s|t|d|m|ll|re|ve)\b", re.IGNORECASE)
"""The ending of a contraction or possessive, which is dropped."""

_IDEOGRAPHS = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+)")
"""A run of characters of a script written without spaces, which is read as overlapping pairs."""

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
"""Words that say nothing about what is wanted: pronouns, auxiliaries, conjunctions and the like. In
short tool texts they would pass for rare words. Words that tools are named by, such as *off*, *up*,
*before* and *get*, are not among them."""

_TEXTS_REMEMBERED = 16_384
"""The number of texts whose words are cached: 2 kB each, for a tool's text of usual length."""

_local = threading.local()
"""The stemmer of each thread."""


def words(text: str, *, keep_stop_words: bool = False) -> list[str]:
    """Return the words of a text as English stems, with identifiers split.

    Args:
        text: The text.
        keep_stop_words: Whether to keep stop words, as for comparing requests with each other:
            weights by frequency make them count little there.
    """
    lowercase = _lowercase_words(text)
    if not keep_stop_words:
        lowercase = [word for word in lowercase if word not in _STOP_WORDS]
    return stems(lowercase)


def content_and_all_words(text: str) -> tuple[list[str], list[str]]:
    """Return the ``words`` of a text without stop words, and those with them."""
    lowercase = _lowercase_words(text)
    stemmed = stems(lowercase)
    pairs = zip(lowercase, stemmed, strict=True)
    return [stem for word, stem in pairs if word not in _STOP_WORDS], stemmed


def stems(plain_words: Sequence[str]) -> list[str]:
    """Return the stems of words, as they are in ``words``."""
    stemmed: list[str] = _stemmer().stemWords(plain_words)
    return stemmed


def _lowercase_words(text: str) -> list[str]:
    """Return the words of a text in lower case, not stemmed."""
    split: list[str] = []
    # One form of what Unicode can write in several, such as an accented letter.
    text = unicodedata.normalize("NFKC", text)
    for token in _TOKEN.findall(_CONTRACTED.sub("", text)):
        short = len(token) <= LONGEST_REMEMBERED
        split += _split_token(token) if short else _split_token.__wrapped__(token)
    return split


@lru_cache(maxsize=65_536)  # the same words are read again and again
def _split_token(token: str) -> tuple[str, ...]:
    """Return the words of a token in lower case."""
    split: list[str] = []
    for place, run in enumerate(_IDEOGRAPHS.split(token)):
        if place % 2:  # the runs that the pattern matched
            split += [run[i : i + 2] for i in range(max(1, len(run) - 1))]
        else:
            split += split_identifier(run).lower().split()
    return tuple(split)


@dataclass(frozen=True)
class Postings:
    """An inverted index: for each word of some texts, the texts that have it and its value there.

    The postings of a word are one such text and value each. They are stored word after word.

    Attributes:
        numbers: The number of each word, 0 and up.
        starts: Position of each word's first posting, by the word's number, and the number of
            postings at the end: shape ``(words + 1,)``.
        positions: The text of each posting, as its position among the texts, shape
            ``(postings,)``. A word has one posting for each text at most.
        values: The value of each posting, which is what the word counts in that text, same shape.
        count: The number of texts.
    """

    numbers: Mapping[str, int]
    starts: Ints
    positions: Ints
    values: Floats
    count: int

    @classmethod
    def from_entries(
        cls, numbers: Mapping[str, int], word: Ints, position: Ints, values: Floats, count: int
    ) -> Postings:
        """Return the index of entries that are not yet ordered by word.

        Args:
            numbers: The number of each word.
            word: The number of each entry's word, shape ``(entries,)``.
            position: The text of each entry, same shape; ascending within a word.
            values: What the word counts in the text, same shape.
            count: The number of texts.
        """
        order = np.argsort(word, kind="stable")
        starts = np.searchsorted(word[order], np.arange(len(numbers) + 1))
        return cls(numbers, starts, position[order].astype(np.int32), values[order], count)

    def scores(self, queries: Sequence[Mapping[str, float]]) -> Floats:
        """Return the weighted sums of what each query's words count in each text.

        Args:
            queries: The words of each query, with the weight of each word.

        Returns:
            Shape ``(queries, texts)``.
        """
        scores = np.zeros((len(queries), self.count), dtype=np.float32)
        for query_scores, query in zip(scores, queries, strict=True):
            positions, values = [], []
            for word, weight in query.items():
                number = self.numbers.get(word)
                if number is not None:
                    word_postings = slice(self.starts[number], self.starts[number + 1])
                    positions.append(self.positions[word_postings])
                    values.append(self.values[word_postings] * np.float32(weight))
            if positions:
                query_scores[:] = np.bincount(
                    np.concatenate(positions), np.concatenate(values), self.count
                )
        return scores

    def texts_with(self, word: str) -> Ints:
        """Return the positions of the texts that have a word."""
        number = self.numbers.get(word)
        if number is None:
            return self.positions[:0]
        return self.positions[self.starts[number] : self.starts[number + 1]]

    def highest_score(self, query: Mapping[str, float]) -> float:
        """Return the limit of a query's BM25 score, for a text that repeats all its words.

        Words that no text has count too, as the rarest: a text that lacks them lacks much.
        """
        limit = 0.0
        for word, weight in query.items():
            limit += weight * rarity(len(self.texts_with(word)), self.count)
        return limit

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the index as arrays, to be stored in a file."""
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
        """Return the index whose ``arrays`` these are."""
        vocabulary = arrays["vocabulary"].tobytes().decode("utf-8", "surrogatepass")
        return cls(
            {word: number for number, word in enumerate(vocabulary.split("\n"))},
            arrays["starts"],
            arrays["positions"],
            arrays["values"],
            int(arrays["count"]),
        )


def rarity(texts: int, count: int) -> float:
    """Return the weight of a word in BM25: its inverse document frequency.

    Args:
        texts: The number of texts that have the word.
        count: The number of all texts.
    """
    return math.log1p((count - texts + 0.5) / (texts + 0.5))


def bm25(texts: Sequence[Sequence[str]]) -> Postings:
    """Return an index of texts in which the value of a word is its BM25 score.

    Args:
        texts: The ``words`` of each text.
    """
    import bm25s

    # On import it sets its logger to DEBUG, which would flood the application's log.
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
    """Return the BM25 score of a query in each text, without an index: shape ``(texts,)``.

    This is for texts that come with each request anew; the scores are those of ``bm25``. The words
    of each text are cached, so the same texts cost little the next time.

    Args:
        query: The ``words`` of the query, with the weight of each.
        texts: The texts, not yet split into words.
    """
    if not texts:
        return np.zeros(0)
    hashes = [_hashed_words(text) for text in texts]
    lengths = np.array([len(text_hashes) for text_hashes in hashes])
    all_hashes, place = np.concatenate(hashes), np.repeat(np.arange(len(texts)), lengths)
    damping = _K1 * (1 - _B + _B * lengths / max(1, lengths.mean()))
    scores = np.zeros(len(texts))
    for word, weight in query.items():
        times = np.bincount(place[all_hashes == hash(word)], minlength=len(texts))
        weight *= rarity(int(np.count_nonzero(times)), len(texts))
        scores += weight * times / (times + damping)
    return scores


@lru_cache(maxsize=_TEXTS_REMEMBERED)
def _hashed_words(text: str) -> NDArray[np.int64]:
    """Return the hashes of a text's words: with 64 bits, different words have different ones."""
    return np.array([hash(word) for word in words(text)], dtype=np.int64)


def name_shares(names: Sequence[str], texts: Sequence[Sequence[str]]) -> Postings:
    """Return an index of names in which the value of a word is its share of the name.

    The shares of a name's words add up to 1, and rarer words have larger shares.

    Args:
        names: Identifiers.
        texts: The ``words`` of each text that the rarity of words is taken from, such as the whole
            texts of the tools.
    """
    frequency = Counter(word for text in texts for word in set(text))
    shares_of: dict[str, list[tuple[int, float]]] = {}
    numbers: dict[str, int] = {}
    entries: list[tuple[int, int, float]] = []
    for place, name in enumerate(names):
        if name not in shares_of:
            rarities = {
                word: math.log1p(len(texts) / (frequency[word] + 0.5)) for word in set(words(name))
            }
            total = sum(rarities.values())
            shares_of[name] = [
                (numbers.setdefault(word, len(numbers)), weight / total)
                for word, weight in rarities.items()
            ]
        entries += [(number, place, share) for number, share in shares_of[name]]
    word = np.array([number for number, _, _ in entries], dtype=np.int64)
    position = np.array([position for _, position, _ in entries], dtype=np.int64)
    shares = np.array([share for _, _, share in entries], dtype=np.float32)
    return Postings.from_entries(numbers, word, position, shares, len(names))


def _stemmer() -> Stemmer.Stemmer:
    """Return the stemmer of this thread: PyStemmer's objects must not be shared by threads."""
    if not hasattr(_local, "stemmer"):
        _local.stemmer = Stemmer.Stemmer("english")
    return _local.stemmer
