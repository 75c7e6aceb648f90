"""Any LangChain vector store as an engine, using ``add_texts``, ``get_by_ids`` and ``delete``.

None of the three tells whether a name was new, so the atomic create works by waiting, as in
Fischer's algorithm (L. Lamport, A fast mutual exclusion algorithm, 1987): write, wait for as long
as any concurrent write may take, then check whose write stands.
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
from toolret.options import of_kind, seconds
from toolret.stores.engines import Document, Fields, holds
from toolret.stores.ledger import is_record, read_record

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore

__all__ = ["KnownVectors", "LangChainEngine"]

_BATCH = 500
"""Documents per call."""

_SPACE = UUID("6f0e6a4c-6d0f-4f0c-9d38-5c6d6f0b7c11")
"""Namespace of ids: UUIDs derived from names, since some vector stores accept no other ids."""

_MARK = "toolret"
"""Metadata field that marks the index's documents; its value is the document's name."""

_T = TypeVar("_T")


class KnownVectors(Embeddings):
    """Embeddings for a vector store that holds an index: they reuse the index's own vectors.

    Without this the vector store embeds everything a second time, which only costs time.

    Args:
        embedder: Embeds other texts, such as queries of the vector store's own search.
    """

    def __init__(self, embedder: Any) -> None:
        # Not an ``Embedder``, which lies in a layer above.
        if not (hasattr(embedder, "embed_documents") and hasattr(embedder, "embed_query")):
            raise TypeError(f"embedder is {embedder!r}: give LangChain's Embeddings, or the like")
        self._embedder = embedder
        self._known = threading.local()

    @contextmanager
    def knowing(self, vectors: Mapping[str, NDArray[np.float32]]) -> Iterator[None]:
        """Use these vectors for these texts inside the block, in this thread."""
        self._known.vectors = vectors
        try:
            yield
        finally:
            del self._known.vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return known vectors where available, and the embedder's otherwise."""
        known: Mapping[str, Any] = getattr(self._known, "vectors", {})
        other = [text for text in dict.fromkeys(texts) if text not in known]
        made = dict(zip(other, self._embedder.embed_documents(other), strict=True)) if other else {}
        return [known[t].tolist() if t in known else list(made[t]) for t in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the embedder's vector."""
        vector: list[float] = self._embedder.embed_query(text)
        return vector


class LangChainEngine:
    """An index in a LangChain vector store.

    Args:
        store: Must implement ``add_texts`` with ids, ``get_by_ids`` and ``delete``. Its other
            documents are left alone.
        name: Name of the index, unique in the whole database: pgvector, for example, keeps the
            ids of all its collections in one table.
        settle: Upper bound on how long a write takes to be visible to every client, in seconds.

    Raises:
        TypeError: If ``store`` is not a vector store.
        StoreError: If the name is empty or no text.
        InputError: If ``settle`` is not 0 or more.
    """

    def __init__(self, store: VectorStore, name: str, *, settle: float = 0.5) -> None:
        from langchain_core.vectorstores import VectorStore

        of_kind("vector_store", store, VectorStore, "a LangChain vector store")
        if not isinstance(name, str) or not name:
            raise StoreError(f"name is {name!r}: give the index a name, as a text")
        seconds("settle", settle, may_be_zero=True)
        self.place = f"{type(store).__name__}/{name}"
        self._store = store
        self._name = name
        self._settle = settle

    def get(self, names: Sequence[str]) -> dict[str, Fields]:
        """Return the documents that exist."""
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

    def present(self, names: Sequence[str]) -> set[str]:
        """Return which documents exist; damaged records count as absent, since all are read."""
        found = self.get(names)
        return {name for name in found if not is_record(name) or read_record(found[name])}

    def put(self, documents: Sequence[Document]) -> None:
        """Store documents, replacing those of the same name."""
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
        """Store a document if its name is free; check whose it is after ``settle`` seconds."""
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
        """Remove documents; unknown names are ignored."""
        for some in _batches(names):  # never empty: some vector stores would delete everything
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
        """Call a method of the vector store; turn any exception into ``StoreError``."""
        try:
            return method(*args, **more)
        except NotImplementedError as error:
            raise StoreError(
                f"{self.place}: this vector store lacks `{method.__name__}`; an index needs "
                "`add_texts` with ids, `get_by_ids` and `delete`"
            ) from error
        except Exception as error:  # each vector store has its own exception types
            raise StoreError(
                f"{self.place}: `{method.__name__}` failed: {type(error).__name__}: {error}"
            ) from error


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
