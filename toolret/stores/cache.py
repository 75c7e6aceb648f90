"""Records of a store beyond this machine, kept on this one.

A record never changes under its key, so what is here is right for ever; it saves fetching
everything at each start, and embedding again what a failed sync had embedded. Losing it costs
time and nothing else.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolret.errors import StoreError
from toolret.records import Record, TextVectors

__all__ = ["RecordCache", "cache_folder"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    key TEXT PRIMARY KEY, id TEXT NOT NULL, row TEXT NOT NULL, vector_key TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vectors (
    key TEXT PRIMARY KEY, text TEXT NOT NULL, vector BLOB NOT NULL
) WITHOUT ROWID;
CREATE TEMP TABLE wanted (key TEXT PRIMARY KEY);
"""

_BUSY_SECONDS = 30.0
"""How long a process waits for another one's transaction, which lasts milliseconds."""


def cache_folder(place: str) -> Path:
    """The folder in the user's cache for what comes from a place."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "toolret" / sha256(place.encode()).hexdigest()[:16]


class RecordCache:
    """Records, texts and vectors of one index, in one SQLite file.

    Args:
        path: The file; it and its folder are made when first used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, keys: Collection[str]) -> dict[str, tuple[str, NDArray[np.float32]]]:
        """The texts and vectors that are there, by the vectors' keys."""
        with self._wanting(keys) as connection:
            rows = connection.execute(
                "SELECT key, text, vector FROM vectors JOIN wanted USING (key)"
            )
            return {key: (text, np.frombuffer(blob, dtype="<f4")) for key, text, blob in rows}

    def known(self) -> set[str]:
        """The keys of all vectors that are there."""
        with self._connection() as connection:
            return {key for (key,) in connection.execute("SELECT key FROM vectors")}

    def put(self, vectors: TextVectors) -> None:
        """Keep texts and vectors; after this returns they survive a kill."""
        with self._connection() as connection:
            _put_vectors(connection, vectors)

    def records(self, keys: Collection[str]) -> dict[str, Record]:
        """The records that are there with their vectors, by key."""
        with self._wanting(keys) as connection:
            rows = connection.execute(
                "SELECT key, id, row, vector_key FROM records JOIN wanted USING (key) "
                "WHERE vector_key IN (SELECT key FROM vectors)"
            )
            return {key: Record(key, id_, row, vector) for key, id_, row, vector in rows}

    def put_records(self, records: Sequence[Record], vectors: TextVectors) -> None:
        """Keep records with their vectors."""
        rows = [(record.key, record.id, record.row, record.vector_key) for record in records]
        with self._connection() as connection:
            _put_vectors(connection, vectors)
            connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", rows)

    def keep_only(self, keys: Collection[str]) -> None:
        """Forget other records, and their vectors; vectors that no record ever had stay."""
        with self._wanting(keys) as connection:
            gone = "SELECT vector_key FROM records WHERE key NOT IN (SELECT key FROM wanted)"
            needed = "SELECT vector_key FROM records JOIN wanted USING (key)"
            connection.execute(
                f"DELETE FROM vectors WHERE key IN ({gone}) AND key NOT IN ({needed})"  # noqa: S608
            )
            connection.execute("DELETE FROM records WHERE key NOT IN (SELECT key FROM wanted)")

    @contextmanager
    def _wanting(self, keys: Iterable[str]) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection:
            rows = ((key,) for key in keys)
            connection.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", rows)
            yield connection

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS)
            try:
                connection.executescript(_SCHEMA)
                with connection:
                    yield connection
            finally:
                connection.close()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"{self._path}: the cache cannot be used: {error}; it may be deleted at any time, "
                "and `cache` names another folder"
            ) from error


def _put_vectors(connection: sqlite3.Connection, vectors: TextVectors) -> None:
    rows = [(key, text, vector.astype("<f4").tobytes()) for key, (text, vector) in vectors.items()]
    connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
