"""Compare texts by their words: cosines of tf-idf vectors (Salton and Buckley, 1988).

BM25 measures how much of a request a text says. The cosine takes into account how much else it says
too, and is symmetric, so that it can be a kernel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import hypot, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolret.ranking.arrays import Floats, Ints, products, ranges
from toolret.text.lexical import Postings

__all__ = ["WordRows", "WordVectors", "tf_idf"]


@dataclass(frozen=True, slots=True)
class WordVectors:
    """The unit vectors of some texts, stored by word; each word is a dimension.

    Attributes:
        postings: Components of the vectors, word by word.
        rarity: Logarithm of how few texts have each word, by the word's number, shape ``(words,)``.
    """

    postings: Postings
    rarity: Floats

    def cosines(self, queries: Sequence[Iterable[str]]) -> Floats:
        """Return the cosines of queries with the texts.

        Args:
            queries: Words of each query; those that no text has are ignored.

        Returns:
            Shape ``(queries, texts)``, 0 to 1.
        """
        return self.postings.scores([self._components(query) for query in queries])

    def _components(self, tokens: Iterable[str]) -> dict[str, float]:
        """Return the components of the unit vector of a query with these words."""
        numbers = self.postings.numbers
        counts = Counter(token for token in tokens if token in numbers)
        weights = {
            word: (1 + log(count)) * float(self.rarity[numbers[word]])
            for word, count in counts.items()
        }
        length = max(hypot(*weights.values()), 1e-6)
        return {word: weight / length for word, weight in weights.items()}

    def rows(self) -> WordRows:
        """Return the same vectors, stored by text."""
        order = np.argsort(self.postings.positions, kind="stable")
        texts = np.arange(self.postings.count + 1)
        words = np.repeat(np.arange(len(self.rarity)), np.diff(self.postings.starts))
        return WordRows(
            np.searchsorted(self.postings.positions[order], texts).astype(np.int64),
            words[order].astype(np.int32),
            self.postings.values[order],
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the vectors as arrays, to be stored in a file."""
        return {**self.postings.arrays(), "rarity": self.rarity}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> WordVectors:
        """Return the vectors whose ``arrays`` these are."""
        return cls(Postings.from_arrays(arrays), arrays["rarity"])


@dataclass(frozen=True, slots=True)
class WordRows:
    """The unit vectors of some texts, stored by text.

    Attributes:
        starts: Position of each text's first component, and the number of components, shape
            ``(texts + 1,)``.
        words: The number of each component's word, shape ``(components,)``.
        values: The value of each component, shape ``(components,)``.
    """

    starts: NDArray[np.int64]
    words: NDArray[np.int32]
    values: Floats

    def likeness(self, texts: Ints) -> Floats:
        """Return the cosines of some texts with each other: shape ``(texts, texts)``."""
        starts, ends = self.starts[texts], self.starts[texts + 1]
        components = ranges(starts, ends)
        words = self.words[components]
        texts_with = np.bincount(words)
        # A word of one text alone has no part in a cosine with another.
        shared = texts_with[words] > 1
        columns = np.cumsum(texts_with > 1) - 1
        dense = np.zeros((len(texts), columns[-1] + 1 if len(columns) else 0), dtype=np.float32)
        text_of_component = np.repeat(np.arange(len(texts)), ends - starts)
        dense[text_of_component[shared], columns[words[shared]]] = self.values[components[shared]]
        cosines = products(dense, dense)  # which leaves BLAS no thread that spins on a core
        np.fill_diagonal(cosines, ends > starts)
        return cosines

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the vectors as arrays, to be stored in a file."""
        return asdict(self)


def tf_idf(texts: Sequence[Sequence[str]]) -> WordVectors:
    """Return the tf-idf vectors of some texts.

    Args:
        texts: Words of each text.
    """
    numbers: dict[str, int] = {}
    entries = [
        (numbers.setdefault(word, len(numbers)), position, count)
        for position, text in enumerate(texts)
        for word, count in Counter(text).items()
    ]
    word, position, count = np.array(entries, dtype=np.int64).reshape(-1, 3).T
    texts_with = np.bincount(word, minlength=len(numbers))
    rarity = np.log1p(len(texts) / np.maximum(texts_with, 1)).astype(np.float32)
    values = np.asarray((1 + np.log(count.astype(np.float32))) * rarity[word], dtype=np.float32)
    lengths = np.sqrt(np.bincount(position, weights=values**2, minlength=len(texts)))
    values /= lengths[position].astype(np.float32)
    return WordVectors(Postings.from_entries(numbers, word, position, values, len(texts)), rarity)
