"""Where an index is kept: in a folder, on a Chroma server, in any LangChain vector store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolret.errors import StoreError
from toolret.stores.folder import FolderStore
from toolret.stores.locks import LOCK_SECONDS
from toolret.stores.records import Store
from toolret.stores.temporary import temporary_store

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore

    from toolret.stores.langchain import IndexEmbeddings

__all__ = ["IndexEmbeddings", "Store", "chroma_store", "langchain_store", "temporary_store"]


def store_at(place: str | Path, *, lock_timeout: float) -> Store:
    """Return the store for a place: a Chroma server for a URL, otherwise a folder.

    Raises:
        StoreError: If the URL names no index, or was given as a ``Path``, which loses a slash; or
            the place is empty or ``:memory:``, which would be a folder of that name.
    """
    if place in ("", ":memory:"):
        raise StoreError(
            f"{place!r} is no folder: name one; for an index that is not kept, give "
            "toolret.stores.temporary_store()"
        )
    scheme, colon, _ = str(place).partition(":/")
    if colon and scheme.lower() in ("http", "https"):
        if not isinstance(place, str):
            raise StoreError("an index's URL is given as a text, not as a path")
        return chroma_store(place, lock_timeout=lock_timeout)
    return FolderStore(Path(place), lock_timeout=lock_timeout)


def absent(store: Store) -> StoreError:
    """Return the error that a store holds no index."""
    return StoreError(f"{store.place}: there is no index here; make one with toolret index")


def chroma_store(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30.0,
    verify: Any = True,
    cache_dir: str | Path | None = None,
    lock_timeout: float = LOCK_SECONDS,
) -> Store:
    """Return a store in a Chroma server, which any number of machines may read and write.

    Args:
        url: ``http://HOST:PORT/NAME`` or, with a tenant, ``https://HOST/TENANT/DATABASE/NAME``.
        headers: Sent with each request, for example a token; never shown or stored.
        timeout: Timeout of one request in seconds.
        verify: Certificates to trust, as in ``httpx``, such as an ``ssl.SSLContext``.
        cache_dir: Local folder for fetched records; by default in the user's cache.
        lock_timeout: Seconds to wait while another process writes.

    Raises:
        StoreError: If the URL names no index, or holds credentials.
    """
    from toolret.stores.chroma import ChromaEngine
    from toolret.stores.remote import RemoteStore

    engine = ChromaEngine(url, headers=headers, timeout=timeout, verify=verify)
    return RemoteStore(engine, cache_dir=cache_dir, lock_timeout=lock_timeout)


def langchain_store(
    vector_store: VectorStore,
    name: str,
    *,
    settle: float = 0.5,
    cache_dir: str | Path,
    lock_timeout: float = LOCK_SECONDS,
) -> Store:
    """Return a store in a LangChain vector store; its other documents are left alone.

    Args:
        vector_store: Must implement ``add_texts`` with ids, ``get_by_ids`` and ``delete``. With
            ``IndexEmbeddings`` as its embedding, nothing is embedded a second time.
        name: Name of the index, unique in the whole database: pgvector, for example, keeps the
            ids of all its collections in one table.
        settle: Upper bound on how long a write takes to be visible to every client, in seconds. Too
            small a value lets two writers corrupt each other's sync.
        cache_dir: Local folder for records fetched from this index.
        lock_timeout: Seconds to wait while another process writes.

    Raises:
        TypeError: If ``vector_store`` is not one.
        StoreError: If the name is empty or no text.
        InputError: If ``settle`` is not 0 or more.
    """
    from toolret.stores.langchain import LangChainEngine
    from toolret.stores.remote import RemoteStore

    engine = LangChainEngine(vector_store, name, settle=settle)
    return RemoteStore(engine, cache_dir=cache_dir, lock_timeout=lock_timeout)


if not TYPE_CHECKING:  # it would tell type checkers that the module has any name

    def __getattr__(name: str) -> object:
        if name == "IndexEmbeddings":  # langchain_core is only loaded when needed
            from toolret.stores.langchain import IndexEmbeddings

            return IndexEmbeddings
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
