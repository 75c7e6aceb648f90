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

from toolret.errors import StoreError, message_of
from toolret.options import of_kind, seconds
from toolret.stores.engines import RECORDS_PER_CALL, Document, Fields, batches, holds
from toolret.stores.ledger import is_record, read_record

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore

__all__ = ["IndexEmbeddings", "LangChainEngine"]

_NAMESPACE = UUID("6f0e6a4c-6d0f-4f0c-9d38-5c6d6f0b7c11")
"""Namespace of the documents' ids, which are UUIDs derived from names: some vector stores accept no
other ids."""

_MARK = "toolret"
"""Metadata field that marks the index's documents; its value is the document's name."""

_T = TypeVar("_T")


class IndexEmbeddings(Embeddings):
    """Embeddings for a vector store that is to hold an index: they reuse the index's own vectors.

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
    def reusing(self, vectors: Mapping[str, NDArray[np.float32]]) -> Iterator[None]:
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
        vectors = self._embedder.embed_documents(other) if other else ()
        embedded = dict(zip(other, vectors, strict=True))
        return [known[t].tolist() if t in known else list(embedded[t]) for t in texts]

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
        stored: dict[str, Fields] = {}
        for batch in batches(names, RECORDS_PER_CALL):
            ids = [self._id(name) for name in batch]
            for document in self._call(self._store.get_by_ids, ids):
                fields = dict(document.metadata)
                if _MARK in fields:
                    name = fields.pop(_MARK)
                    if "key" in fields:
                        fields["text"] = document.page_content
                    stored[name] = fields
        return stored

    def present(self, names: Sequence[str]) -> set[str]:
        """Return which documents exist; damaged records count as absent, since all are read."""
        stored = self.get(names)
        return {
            name for name, fields in stored.items() if not is_record(name) or read_record(fields)
        }

    def put(self, documents: Sequence[Document]) -> None:
        """Store documents, replacing those of the same name."""
        latest = list({document.name: document for document in documents}.values())
        for batch in batches(latest, RECORDS_PER_CALL):
            texts = [document.fields.get("text", _MARK) for document in batch]
            metadatas = [
                {key: value for key, value in document.fields.items() if key != "text"}
                | {_MARK: document.name}
                for document in batch
            ]
            ids = [self._id(document.name) for document in batch]
            known = {
                text: document.vector
                for text, document in zip(texts, batch, strict=True)
                if document.vector is not None
            }
            with self._reusing(known):
                self._call(self._store.add_texts, texts, metadatas, ids=ids)

    def create(self, document: Document) -> bool:
        """Store a document if its name is free; check whose it is after ``settle`` seconds."""
        if document.name not in self.get([document.name]):
            self.put([document])
            time.sleep(self._settle)
        stored = self.get([document.name])
        if document.name not in stored:
            raise StoreError(
                f"{self.place}: what was written cannot be read back; if another collection of "
                f"the same database holds an index named {self._name!r}, give this one another name"
            )
        return holds(stored, document)

    def delete(self, names: Sequence[str]) -> None:
        """Remove documents; unknown names are ignored."""
        # No batch is empty: some vector stores would delete everything.
        for batch in batches(names, RECORDS_PER_CALL):
            self._call(self._store.delete, [self._id(name) for name in batch])

    def _id(self, name: str) -> str:
        return str(uuid5(_NAMESPACE, f"{self._name}/{name}"))

    @contextmanager
    def _reusing(self, vectors: Mapping[str, NDArray[np.float32]]) -> Iterator[None]:
        """Have the vector store use these vectors inside the block, if it can."""
        embeddings = self._store.embeddings
        if isinstance(embeddings, IndexEmbeddings):
            with embeddings.reusing(vectors):
                yield
        else:
            yield

    def _call(self, method: Callable[..., _T], *args: Any, **more: Any) -> _T:
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
                f"{self.place}: `{method.__name__}` failed: {type(error).__name__}: "
                f"{message_of(error)}"
            ) from error
