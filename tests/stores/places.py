"""Places to keep an index in, of each kind, and machines that share one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, VectorParams

from tests.conftest import tool
from tests.http_servers import free_port, is_listening
from tests.waiting import until
from toolret.errors import EmbedderError
from toolret.index import ToolIndex
from toolret.stores import chroma_store, langchain_store, store_at
from toolret.stores.langchain import IndexEmbeddings
from toolret.stores.records import Store
from toolret.testing import HashedWordsEmbedder
from toolret.types import Tool

DIMENSIONS = 64


def embedder() -> HashedWordsEmbedder:
    return HashedWordsEmbedder(DIMENSIONS)


class CountingEmbedder(HashedWordsEmbedder):
    """Counts the texts that it embeds, and fails rather than embed more than it may."""

    def __init__(self, most: int | None = None, *, dimensions: int = 256) -> None:
        super().__init__(dimensions)
        self.embedded = 0
        self.most = most

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.most is not None and self.embedded + len(texts) > self.most:
            raise EmbedderError("out of breath")
        self.embedded += len(texts)
        return super().embed_documents(texts)


class SameName(HashedWordsEmbedder):
    """Has one id, however long its vectors are."""

    id = "same"


def many_tools(count: int, start: int = 0) -> list[Tool]:
    numbers = range(start, start + count)
    return [tool(f"tool_{i}", f"does thing number {i} and {i * i}") for i in numbers]


def ids(index: ToolIndex) -> set[str]:
    return {found.id for found in index}


@dataclass
class Place:
    """One index; ``machine`` opens it as a process on another machine would."""

    kind: str
    open: Callable[[Path], Store]
    folder: Path
    machines: int = 0

    def machine(self) -> Store:
        self.machines += 1
        return self.open(self.folder / f"machine-{self.machines}")


def opened(place: Place, most: int | None = None) -> tuple[ToolIndex, CountingEmbedder]:
    """Open and read an index as another machine does; its embedder counts."""
    counting = CountingEmbedder(most, dimensions=DIMENSIONS)
    index = ToolIndex(place.machine(), embedder=counting)
    assert index.snapshot  # it is read when it is first asked for
    return index, counting


@contextmanager
def chroma_server(folder: Path) -> Iterator[str]:
    """``chroma run`` on a free port of this machine."""
    port = free_port()
    process = start_chroma(folder, port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def start_chroma(folder: Path, port: int) -> subprocess.Popen[bytes]:
    program = Path(sys.executable).with_name("chroma")
    process = subprocess.Popen(
        [program, "run", "--path", folder, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if not until(lambda: is_listening(port), seconds=120):
        process.kill()
        raise AssertionError("chroma run does not start")
    return process


def vector_store(kind: str) -> VectorStore:
    """A new vector store of one kind, empty."""
    vectors = IndexEmbeddings(embedder())
    if kind == "memory":
        return InMemoryVectorStore(vectors)
    if kind == "qdrant":
        client = _one_at_a_time(QdrantClient(":memory:"))
        client.create_collection("all", VectorParams(size=DIMENSIONS, distance=Distance.COSINE))
        return QdrantVectorStore(client, "all", embedding=vectors)
    return _pgvector(vectors)


def _one_at_a_time(client: QdrantClient) -> QdrantClient:
    """Have a client's calls take turns: Qdrant's local mode, unlike a server, is for one thread."""
    lock = threading.RLock()

    def serialized(call: Callable[..., Any]) -> Callable[..., Any]:
        def call_alone(*args: Any, **options: Any) -> Any:
            with lock:
                return call(*args, **options)

        return call_alone

    for name in ("delete", "query_points", "retrieve", "upsert"):
        setattr(client, name, serialized(getattr(client, name)))
    return client


def _pgvector(vectors: IndexEmbeddings) -> VectorStore:
    from sqlalchemy import NullPool, create_engine

    postgres: Any = import_module("langchain_postgres")
    engine = create_engine(os.environ["TOOLRET_PGVECTOR"], poolclass=NullPool)
    store: VectorStore = postgres.PGVector(
        vectors, connection=engine, collection_name=f"c{uuid4().hex}"
    )
    return store


def make_place(kind: str, folder: Path, *, chroma: str = "", settle: float = 0.0) -> Place:
    if kind == "folder":
        return Place(kind, lambda _: store_at(folder / "index", lock_timeout=20), folder)
    if kind == "chroma":
        url = f"{chroma}/i{uuid4().hex}"
        return Place(
            kind, lambda cache: chroma_store(url, cache_dir=cache, lock_timeout=20), folder
        )
    engine = vector_store(kind)
    name = uuid4().hex

    def open_(cache: Path) -> Store:
        return langchain_store(engine, name, cache_dir=cache, settle=settle, lock_timeout=20)

    return Place(kind, open_, folder)
