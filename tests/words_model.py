"""A stand-in for the default embedder, which needs a model's files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from toolret.embedders import SentenceTransformerEmbedder, Vectors
from toolret.testing import HashedWordsEmbedder

__all__ = ["WordsModel", "use_words_model"]


class WordsModel(SentenceTransformerEmbedder):
    """The hashed words in the place of a sentence-transformers model of any name."""

    def __init__(self, model: str | Path = "words") -> None:
        self.model = str(model)
        self.backend = "torch"

    @property
    def id(self) -> str:
        return self.model

    @property
    def prompts(self) -> dict[str, str]:
        return {}

    def prepare(self) -> None:
        pass

    def encode(self, texts: Sequence[str], *, prompt: str = "") -> Vectors:
        words = HashedWordsEmbedder().embed_documents([prompt + text for text in texts])
        return np.asarray(words, dtype=np.float32)


def use_words_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ``WordsModel`` taken for every sentence-transformers model, the default one included."""
    monkeypatch.setattr("toolret.embedders.role_embedder.SentenceTransformerEmbedder", WordsModel)
