"""Texts as vectors of their words: tf-idf and cosines (Salton and Buckley, 1988).

BM25 asks how much of a request a text says; the cosine asks besides how much else it says, and is
the same both ways, so that it can be a kernel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import hypot, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolret.ranking.arrays import Floats, Ints, ranges
from toolret.text.lexical import Postings

__all__ = ["WordRows", "WordVectors", "tf_idf"]


@dataclass(frozen=True, slots=True)
class WordVectors:
    """The unit vectors of some texts, one dimension a word.

    Attributes:
        postings: The vectors' components, word by word.
        rarity: Of each word by its number: the logarithm of how few texts have it.
    """

    postings: Postings
    rarity: Floats

    def cosines(self, queries: Sequence[Iterable[str]]) -> Floats:
        """Of the texts with others, of which words in none of the texts are left out.

        Args:
            queries: The others' words.

        Returns:
            Shape ``(queries, texts)``, 0 to 1.
        """
        return self.postings.scores([self._components(query) for query in queries])

    def _components(self, tokens: Iterable[str]) -> dict[str, float]:
        """Of another text's unit vector."""
        numbers = self.postings.numbers
        counts = Counter(token for token in tokens if token in numbers)
        weights = {
            word: (1 + log(count)) * float(self.rarity[numbers[word]])
            for word, count in counts.items()
        }
        length = max(hypot(*weights.values()), 1e-6)
        return {word: weight / length for word, weight in weights.items()}

    def rows(self) -> WordRows:
        """The same components, text by text."""
        order = np.argsort(self.postings.positions, kind="stable")
        texts = np.arange(self.postings.count + 1)
        words = np.repeat(np.arange(len(self.rarity)), np.diff(self.postings.starts))
        return WordRows(
            np.searchsorted(self.postings.positions[order], texts).astype(np.int64),
            words[order].astype(np.int32),
            self.postings.values[order],
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The same as arrays, to be kept in a file."""
        return {**self.postings.arrays(), "rarity": self.rarity}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> WordVectors:
        """The inverse of ``arrays``."""
        return cls(Postings.from_arrays(arrays), arrays["rarity"])


@dataclass(frozen=True, slots=True)
class WordRows:
    """The unit vectors of some texts, text by text.

    Attributes:
        starts: Where each text's components begin, and the end of the last: ``(texts + 1,)``.
        words: The word's number, for each component.
        values: For the same, its size.
    """

    starts: NDArray[np.int64]
    words: NDArray[np.int32]
    values: Floats

    def likeness(self, texts: Ints) -> Floats:
        """The cosines of some texts with each other: shape ``(texts, texts)``."""
        starts, ends = self.starts[texts], self.starts[texts + 1]
        places = ranges(starts, ends)
        words = self.words[places]
        times = np.bincount(words)
        # A word of one text alone has no part in a cosine with another.
        shared = times[words] > 1
        columns = np.cumsum(times > 1) - 1
        dense = np.zeros((len(texts), columns[-1] + 1 if len(columns) else 0), dtype=np.float32)
        of_text = np.repeat(np.arange(len(texts)), ends - starts)
        dense[of_text[shared], columns[words[shared]]] = self.values[places[shared]]
        found = dense @ dense.T
        found[np.diag_indices_from(found)] = ends > starts
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The same as arrays, to be kept in a file."""
        return asdict(self)


def tf_idf(texts: Sequence[Sequence[str]]) -> WordVectors:
    """The vectors of some texts.

    Args:
        texts: The words of each.
    """
    numbers: dict[str, int] = {}
    entries = [
        (numbers.setdefault(word, len(numbers)), position, count)
        for position, text in enumerate(texts)
        for word, count in Counter(text).items()
    ]
    word, position, count = np.array(entries, dtype=np.int64).reshape(-1, 3).T
    texts_of = np.bincount(word, minlength=len(numbers))
    rarity = np.log1p(len(texts) / np.maximum(texts_of, 1)).astype(np.float32)
    values = _weights(count.astype(np.float32), rarity[word])
    lengths = np.sqrt(np.bincount(position, weights=values**2, minlength=len(texts)))
    values /= lengths[position].astype(np.float32)
    return WordVectors(Postings.of(numbers, word, position, values, len(texts)), rarity)


def _weights(counts: Floats, rarity: Floats) -> Floats:
    return np.asarray((1 + np.log(counts)) * rarity, dtype=np.float32)
