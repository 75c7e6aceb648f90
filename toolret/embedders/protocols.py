"""The interfaces of embedders."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["BatchEmbedder", "Embedder"]


@runtime_checkable
class Embedder(Protocol):
    """An embedder: the methods of LangChain's ``Embeddings`` that toolret needs."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text, all of the same length."""
        ...

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a search text."""
        ...


@runtime_checkable
class BatchEmbedder(Protocol):
    """An optional interface of an ``Embedder``: many requests are embedded in one call."""

    def embed_queries(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per search text, all of the same length."""
        ...
