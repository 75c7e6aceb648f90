"""An embedder of hashed words."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from toolret.text.lexical import words

__all__ = ["HashedWordsEmbedder"]


class HashedWordsEmbedder:
    """Embeds texts that share words near each other, by hashing the stems of the words.

    This is the feature hashing of Weinberger et al. (2009): each stem adds 1 to one dimension, or
    subtracts it. Vectors are the same in every process.

    Args:
        dimensions: The length of the vectors.
    """

    def __init__(self, dimensions: int = 256) -> None:
        self.dimensions = dimensions

    @property
    def id(self) -> str:
        """The embedder's id, the same for all embedders of one length, including subclasses."""
        return f"hashed-words:{self.dimensions}"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one unit vector per text."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of a text; if the text has no words, the first axis."""
        vector = np.zeros(self.dimensions)
        for word in words(text):
            digest = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big")
            vector[digest % self.dimensions] += 1 if digest >> 63 else -1
        if not vector.any():
            vector[0] = 1
        unit: list[float] = (vector / np.linalg.norm(vector)).tolist()
        return unit
