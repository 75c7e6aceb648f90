"""Records on disk: Chroma's, made whole.

What of embedded Chroma can be trusted is its records (ids and metadata, in SQLite); its vector
files lose vectors when a writer is killed, or when two long-lived clients take turns. So

- a client is opened for each piece of work and closed after it, and writers take turns;
- every record says in which generation it was born and in which it died, and its collection's
  metadata says which generation is current: one small atomic write makes a whole sync visible;
- a marker stands while a writer works. Who finds it without a writer removes Chroma's vector
  files (reading damaged ones can end the process) and writes the collections anew, from their
  records and the vectors kept beside them.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from toolret.errors import StoreError, StoreLockedError
from toolret.records import Contents, Kind, Record
from toolret.vectors import VectorCache

if TYPE_CHECKING:
    import chromadb
    from chromadb.api.client import Client

__all__ = ["ChromaStore", "Writer"]

_T = TypeVar("_T")

_clients = threading.RLock()
"""Chroma keeps one system a folder for all clients of a process: to open or close one while
another is at work breaks both, so threads take turns."""

_FORMAT = 1
"""Version of what stands in the records; another version is refused."""

_ALIVE = 0
"""``died`` of a record that no sync has removed: generations count from one."""

_BATCH = 1_000
"""Records in one call of Chroma, below the limit of every SQLite that it is built with."""

_READ_TRIES = 5
"""A commit during a read makes the reader start again; five in a row are no coincidence."""


class ChromaStore:
    """The records of an index in a folder, through embedded Chroma.

    Args:
        folder: Made at the first write.
        lock_timeout: Seconds that a writer waits for another one.
    """

    def __init__(self, folder: Path, *, lock_timeout: float) -> None:
        self._folder = folder
        self._chroma = folder / "chroma"
        self._marker = folder / "writing"
        self._lock_timeout = lock_timeout

    def exists(self) -> bool:
        """Whether an index was ever written here."""
        return self._chroma.is_dir()

    def vectors(self, kind: Kind) -> VectorCache:
        """The vectors of a collection."""
        return VectorCache(self._folder / f"{kind}.vectors.sqlite3")

    def read(self, kind: Kind) -> Contents:
        """A collection as of its latest complete sync.

        Raises:
            StoreError: If the files cannot be read, or are of another version of toolret.
        """
        if not self.exists():
            return Contents()
        with self._client() as client:
            for _ in range(_READ_TRIES):
                collection = _current(client, kind)
                if collection is None:
                    return Contents()
                contents = _contents(collection)
                again = _current(client, kind)
                if again and again.id == collection.id and again.metadata == collection.metadata:
                    return contents
        raise StoreError(f"{self._folder}: is being written too fast to be read")

    @contextmanager
    def write(self, kind: Kind, *, space: str) -> Iterator[Writer]:
        """Change a collection; nothing is visible to readers before ``Writer.publish``.

        A collection whose vectors are of another space is written anew.

        Raises:
            StoreLockedError: If another process kept writing for longer than the time-out.
            StoreError: If the files cannot be read or written.
        """
        with self._locked(self._lock_timeout):
            self._restore()
            with self._marked(), self._client() as client:
                yield Writer(client, kind, space=space, vectors=self.vectors(kind))

    def heal(self) -> None:
        """After a killed writer: put Chroma's vectors in order, if no writer is at work.

        What the killed sync had embedded is left for the next sync to use.
        """
        if not self._marker.exists():
            return
        try:
            with self._locked(timeout=0):
                self._restore()
        except StoreLockedError:
            return  # a writer is at work: the marker is its own

    def _restore(self) -> None:
        if not self._marker.exists():
            return
        for folder in self._chroma.glob("*/"):
            shutil.rmtree(folder)
        kinds: tuple[Kind, ...] = ("tools", "demos")
        with self._marked(), self._client() as client:
            for kind in kinds:
                self._rewrite(client, kind)

    def _rewrite(self, client: Client, kind: Kind) -> None:
        current = _current(client, kind)
        if current is None:
            return
        contents = _contents(current)
        cache = self.vectors(kind)
        vectors = cache.get([record.vector_key for record in contents.records.values()])
        kept = [r for r in contents.records.values() if r.vector_key in vectors]
        writer = Writer(client, kind, space=contents.space, vectors=cache, anew=True)
        writer.add(kept, [vectors[record.vector_key] for record in kept])
        writer.publish([record.key for record in kept], prune=False)

    @contextmanager
    def _marked(self) -> Iterator[None]:
        """The marker stays behind if the process is killed, or if Chroma fails."""
        self._marker.touch()
        try:
            yield
        except StoreError:
            raise
        except BaseException:
            self._marker.unlink()
            raise
        self._marker.unlink()

    @contextmanager
    def _locked(self, timeout: float) -> Iterator[None]:
        from filelock import FileLock, Timeout

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / "write.lock")
            with lock.acquire(timeout=timeout):
                yield
        except Timeout as error:
            raise StoreLockedError(
                f"{self._folder}: another process has been writing for more than "
                f"{self._lock_timeout:g} s; wait for it, or raise lock_timeout"
            ) from error
        except OSError as error:
            raise StoreError(f"{self._folder}: cannot be written: {error}") from error

    @contextmanager
    def _client(self) -> Iterator[Client]:
        from chromadb.api.client import Client
        from chromadb.config import Settings
        from chromadb.errors import ChromaError

        settings = Settings(
            is_persistent=True, persist_directory=str(self._chroma), anonymized_telemetry=False
        )
        try:
            with _clients:
                client = Client(settings=settings)
                try:
                    yield client
                finally:
                    client.close()
        except ChromaError as error:
            raise StoreError(f"{self._folder}: Chroma failed: {error}") from error


class Writer:
    """One change of one collection.

    Attributes:
        live: What readers see, by key.
        stored: Keys that need not be added: what is live, and what an interrupted sync left.
    """

    def __init__(
        self,
        client: Client,
        kind: Kind,
        *,
        space: str,
        vectors: VectorCache,
        anew: bool = False,
    ) -> None:
        self._client = client
        self._kind = kind
        self._space = space
        self._vectors = vectors
        current = _current(client, kind)
        before = _contents(current) if current else Contents()
        self._generation = before.generation + 1
        self._changes = before.changes
        self.live = before.records
        if current is None or anew or before.space not in ("", space):
            self._collection = _create(client, kind)
        else:
            self._collection = current
        self.stored = frozenset(self._collection.get(include=[])["ids"])

    def add(self, records: Sequence[Record], vectors: Sequence[NDArray[np.float32]]) -> None:
        """Store records, unseen until ``publish``; the vectors are kept first."""
        pairs = list(zip(records, vectors, strict=True))
        self._vectors.put({record.vector_key: vector for record, vector in pairs})
        for some in _batches(pairs):
            self._collection.upsert(
                ids=[record.key for record, _ in some],
                embeddings=np.stack([vector for _, vector in some]),
                metadatas=[
                    {
                        "id": record.id,
                        "row": record.row,
                        "vector": record.vector_key,
                        "born": self._generation,
                        "died": _ALIVE,
                    }
                    for record, _ in some
                ],
            )

    def publish(self, keep: Collection[str], *, prune: bool = True) -> None:
        """Make exactly the records with these keys what readers see, in one step.

        Args:
            keep: Keys.
            prune: Whether to forget vectors that no record has.
        """
        wanted = frozenset(keep)
        found = _records(self._collection)
        live = {key for key, data in found.items() if _is_live(data, self._generation - 1)}
        _delete(self._collection, found.keys() - live - wanted)
        # What a sync that was interrupted here had marked, this one may see otherwise.
        spared = {key for key in live & wanted if found[key]["died"] != _ALIVE}
        returning = {key for key in found.keys() & wanted - live if found[key]["died"] != _ALIVE}
        _update(self._collection, spared, {"died": _ALIVE})
        _update(self._collection, returning, {"died": _ALIVE, "born": self._generation})
        _update(self._collection, live - wanted, {"died": self._generation})
        self._collection.modify(
            metadata=_metadata(
                generation=self._generation,
                changes=self._changes + len(self.live.keys() ^ wanted),
                space=self._space,
                complete=True,
            )
        )
        _delete(self._collection, live - wanted)
        for other in _collections(self._client, self._kind):
            if other.id != self._collection.id:
                self._client.delete_collection(other.name)
        if prune:
            self._vectors.keep_only(found[key]["vector"] for key in wanted)


def _metadata(
    *, generation: int = 0, changes: int = 0, space: str = "", complete: bool
) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "generation": generation,
        "changes": changes,
        "space": space,
        "complete": complete,
    }


def _collections(client: Client, kind: Kind) -> list[chromadb.Collection]:
    """The collections of one kind, oldest first: more than one while one is written anew."""
    named = [c for c in client.list_collections() if re.fullmatch(rf"{kind}-\d+", c.name)]
    return sorted(named, key=_number)


def _number(collection: chromadb.Collection) -> int:
    return int(collection.name.rpartition("-")[2])


def _current(client: Client, kind: Kind) -> chromadb.Collection | None:
    complete = [c for c in _collections(client, kind) if c.metadata["complete"]]
    if not complete:
        return None
    if complete[-1].metadata["format"] != _FORMAT:
        raise StoreError(
            "the index was written by another version of toolret "
            f"(format {complete[-1].metadata['format']}, this one reads {_FORMAT}): "
            "build it again in a new folder"
        )
    return complete[-1]


def _create(client: Client, kind: Kind) -> chromadb.Collection:
    existing = _collections(client, kind)
    for collection in existing:
        if not collection.metadata["complete"]:
            client.delete_collection(collection.name)
    number = _number(existing[-1]) + 1 if existing else 1
    return client.create_collection(
        f"{kind}-{number:06d}",
        metadata=_metadata(complete=False),
        configuration={"hnsw": {"space": "cosine"}},
        embedding_function=None,
    )


def _records(collection: chromadb.Collection) -> dict[str, Mapping[str, Any]]:
    stored = collection.get(include=["metadatas"])
    return dict(zip(stored["ids"], stored["metadatas"] or (), strict=True))


def _is_live(data: Mapping[str, Any], generation: int) -> bool:
    return data["born"] <= generation and not _ALIVE < data["died"] <= generation


def _contents(collection: chromadb.Collection) -> Contents:
    metadata = collection.metadata
    return Contents(
        generation=metadata["generation"],
        changes=metadata["changes"],
        space=metadata["space"],
        records={
            key: Record(key=key, id=data["id"], row=data["row"], vector_key=data["vector"])
            for key, data in _records(collection).items()
            if _is_live(data, metadata["generation"])
        },
    )


def _delete(collection: chromadb.Collection, keys: Collection[str]) -> None:
    for some in _batches(sorted(keys)):
        collection.delete(ids=some)


def _update(collection: chromadb.Collection, keys: Collection[str], data: dict[str, Any]) -> None:
    for some in _batches(sorted(keys)):
        collection.update(ids=some, metadatas=[data] * len(some))


def _batches(items: list[_T]) -> Iterator[list[_T]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
