"""Any LangChain vector store as an engine, by ``add_texts``, ``get_by_ids`` and ``delete``.

None of the three says whether a name was new, so being the first is decided by waiting, as in
Fischer's algorithm (L. Lamport, A fast mutual exclusion algorithm, 1987): write, wait for as long
as any other write may take, and see whose writing stands.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid5

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from toolret.errors import StoreError
from toolret.stores.engines import Document, Fields, holds

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore

__all__ = ["KnownVectors", "LangChainEngine"]

_BATCH = 500
"""Documents in one call."""

_SPACE = UUID("6f0e6a4c-6d0f-4f0c-9d38-5c6d6f0b7c11")
"""Ids are UUIDs made of names, for some engines take no others."""

_MARK = "toolret"
"""The metadata field that tells the index's documents from others; its value is the name."""

_T = TypeVar("_T")


class KnownVectors(Embeddings):
    """For the embedding of a vector store under an index: texts get the index's own vectors.

    Without it the vector store embeds everything a second time, which costs time and nothing else.

    Args:
        embedder: For other texts, such as the queries of the vector store's own search.
    """

    def __init__(self, embedder: Any) -> None:
        self._embedder = embedder
        self._known = threading.local()

    @contextmanager
    def knowing(self, vectors: Mapping[str, NDArray[np.float32]]) -> Iterator[None]:
        """Within it, and in this thread, these texts have these vectors."""
        self._known.vectors = vectors
        try:
            yield
        finally:
            del self._known.vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The known vectors, and the embedder's of each other text."""
        known: Mapping[str, Any] = getattr(self._known, "vectors", {})
        other = [text for text in dict.fromkeys(texts) if text not in known]
        made = dict(zip(other, self._embedder.embed_documents(other), strict=True)) if other else {}
        return [known[t].tolist() if t in known else list(made[t]) for t in texts]

    def embed_query(self, text: str) -> list[float]:
        """The embedder's vector."""
        vector: list[float] = self._embedder.embed_query(text)
        return vector


class LangChainEngine:
    """An index in a LangChain vector store.

    Args:
        store: Implements ``add_texts`` with ids, ``get_by_ids`` and ``delete``. What else is in it
            is left alone.
        name: Of the index, and unique in the whole database: pgvector, for one, has the ids of
            all its collections in one table.
        settle: Seconds within which any write of any machine is done, and seen by all others.
    """

    def __init__(self, store: VectorStore, name: str, *, settle: float = 0.5) -> None:
        self.place = f"{type(store).__name__}/{name}"
        self._store = store
        self._name = name
        self._settle = settle

    def get(self, names: Sequence[str]) -> dict[str, Fields]:
        """The documents that are there."""
        found: dict[str, Fields] = {}
        for some in _batches(names):
            ids = [self._id(name) for name in some]
            for document in self._calling(self._store.get_by_ids, ids):
                fields = dict(document.metadata)
                if _MARK in fields:
                    name = fields.pop(_MARK)
                    if "key" in fields:
                        fields["text"] = document.page_content
                    found[name] = fields
        return found

    def put(self, documents: Sequence[Document]) -> None:
        """Store documents; one of a known name takes its place."""
        for some in _batches(list({d.name: d for d in documents}.values())):
            texts = [document.fields.get("text", _MARK) for document in some]
            metadatas = [
                {key: value for key, value in document.fields.items() if key != "text"}
                | {_MARK: document.name}
                for document in some
            ]
            ids = [self._id(document.name) for document in some]
            known = {
                text: document.vector
                for text, document in zip(texts, some, strict=True)
                if document.vector is not None
            }
            with self._knowing(known):
                self._calling(self._store.add_texts, texts, metadatas, ids=ids)

    def create(self, document: Document) -> bool:
        """Store a document under a new name, and see whose it is after ``settle`` seconds."""
        if document.name not in self.get([document.name]):
            self.put([document])
            time.sleep(self._settle)
        found = self.get([document.name])
        if document.name not in found:
            raise StoreError(
                f"{self.place}: what was written cannot be read back; if another collection of "
                f"the same database holds an index named {self._name!r}, give this one another name"
            )
        return holds(found, document)

    def delete(self, names: Sequence[str]) -> None:
        """Remove documents; names that are not there are passed over."""
        for some in _batches(names):  # never empty: some engines take that for all
            self._calling(self._store.delete, [self._id(name) for name in some])

    def _id(self, name: str) -> str:
        return str(uuid5(_SPACE, f"{self._name}/{name}"))

    @contextmanager
    def _knowing(self, vectors: Mapping[str, NDArray[np.float32]]) -> Iterator[None]:
        embeddings = self._store.embeddings
        if isinstance(embeddings, KnownVectors):
            with embeddings.knowing(vectors):
                yield
        else:
            yield

    def _calling(self, method: Callable[..., _T], *args: Any, **more: Any) -> _T:
        """What a method of the vector store gives; whatever it raises is a ``StoreError``."""
        try:
            return method(*args, **more)
        except NotImplementedError as error:
            raise StoreError(
                f"{self.place}: this vector store lacks `{method.__name__}`; an index needs "
                "`add_texts` with ids, `get_by_ids` and `delete`"
            ) from error
        except Exception as error:  # each engine has errors of its own
            raise StoreError(
                f"{self.place}: `{method.__name__}` failed: {type(error).__name__}: {error}"
            ) from error


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
