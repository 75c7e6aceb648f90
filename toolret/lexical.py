"""Words: BM25 over texts whose identifiers were split and whose words were stemmed."""

from __future__ import annotations

import math
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence

import bm25s
import numpy as np
import Stemmer
from numpy.typing import NDArray

from toolret.texts import split_identifier

__all__ = ["LexicalIndex", "NameIndex", "words"]

_K1 = 1.5
_B = 0.75
"""The usual values of BM25 (Robertson and Zaragoza, 2009), which bm25s has too."""

_TOKEN = re.compile(r"[^\W_]+")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
"""Scripts written without spaces; their runs are read as overlapping pairs of characters."""

_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    a an and are as at be but by for from had has have he her his how i if in into is it its me my
    no not of on or our please she so some such that the their them then there these they this to
    us was we were what when which who will with would you your
    """,
    )
)
"""Words that say nothing of what is wanted; in short tool texts they would pass for rare ones."""

_local = threading.local()


def words(text: str) -> list[str]:
    """The words of a text for BM25: identifiers split, stop words dropped, English stems."""
    found: list[str] = []
    for token in _TOKEN.findall(text):
        if _IDEOGRAPHS.fullmatch(token):
            found += [token[i : i + 2] for i in range(max(1, len(token) - 1))]
        else:
            found += split_identifier(token).lower().split()
    stems: list[str] = _stemmer().stemWords([word for word in found if word not in _STOP_WORDS])
    return stems


class LexicalIndex:
    """BM25 of a query against each of some texts.

    Args:
        texts: What is searched.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._count = len(texts)
        self._index: bm25s.BM25 | None = None
        corpus = [words(text) for text in texts]
        if any(corpus):
            self._index = bm25s.BM25(k1=_K1, b=_B)
            self._index.index(corpus, show_progress=False)

    def scores(self, query: str) -> NDArray[np.float32]:
        """BM25 of the query against each text: shape ``(texts,)``, 0 where no word is shared."""
        tokens = words(query)
        if self._index is None or not tokens:
            return np.zeros(self._count, dtype=np.float32)
        return np.asarray(self._index.get_scores(tokens), dtype=np.float32)


class NameIndex:
    """How much of each name a request says, rare words counting for more.

    Args:
        names: Identifiers.
        texts: Where the rarity of words is taken from, such as the whole texts of the tools.
    """

    def __init__(self, names: Sequence[str], texts: Sequence[str]) -> None:
        self._count = len(names)
        frequency = Counter(word for text in texts for word in set(words(text)))
        entries: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for position, name in enumerate(names):
            rarity = {
                word: math.log1p(len(texts) / (frequency[word] + 0.5)) for word in set(words(name))
            }
            for word, weight in rarity.items():
                entries[word].append((position, weight / sum(rarity.values())))
        self._entries = {
            word: (np.array([p for p, _ in uses]), np.array([w for _, w in uses], np.float32))
            for word, uses in entries.items()
        }

    def shares(self, request: str) -> NDArray[np.float32]:
        """Share of each name's words that the request has: shape ``(names,)``, 0 to 1."""
        shares = np.zeros(self._count, dtype=np.float32)
        for word in set(words(request)) & self._entries.keys():
            positions, weights = self._entries[word]
            shares[positions] += weights
        return shares


def _stemmer() -> Stemmer.Stemmer:
    """One a thread: PyStemmer's objects are not safe to share."""
    if not hasattr(_local, "stemmer"):
        _local.stemmer = Stemmer.Stemmer("english")
    return _local.stemmer
