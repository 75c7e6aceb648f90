"""Local cache of a remote store's records.

A record never changes under its key, so cached records never go stale. The cache saves fetching
everything at each start, and re-embedding after a failed sync. Losing it costs only time: entries
with a wrong checksum count as missing.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from toolret.errors import StoreError
from toolret.stores.database import BUSY_SECONDS
from toolret.stores.ledger import EmbeddedRecord
from toolret.stores.records import Record, TextVectors
from toolret.stores.vectors import checksum, pack, unpack

__all__ = ["RecordCache", "cache_folder"]

_SCHEMA = """
DROP TABLE IF EXISTS records;  -- of earlier versions, without checksums
DROP TABLE IF EXISTS vectors;
CREATE TABLE IF NOT EXISTS checked_records (
    key TEXT PRIMARY KEY, id TEXT NOT NULL, row TEXT NOT NULL, vector_key TEXT NOT NULL,
    checksum INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checked_vectors (
    key TEXT PRIMARY KEY, text TEXT NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TEMP TABLE wanted (key TEXT PRIMARY KEY);
"""


def cache_folder(place: str) -> Path:
    """Return the folder in the user's cache for the data of a place.

    Raises:
        StoreError: If the user has no home folder.
    """
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as error:
        raise StoreError(
            f"{place}: there is no home folder to cache its records in: give a folder as "
            "`cache_dir`, as in toolret.stores.chroma_store(url, cache_dir=...), or set "
            "XDG_CACHE_HOME"
        ) from error
    return Path(home) / "toolret" / sha256(place.encode()).hexdigest()[:16]


class RecordCache:
    """Records, texts and vectors of one index, in one SQLite file.

    Args:
        path: The file; it and its folder are created on first use.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, keys: Collection[str]) -> TextVectors:
        """Return the cached texts and vectors with these vector keys."""
        with self._wanting(keys) as connection:
            rows = connection.execute(
                "SELECT key, text, vector, checksum FROM checked_vectors JOIN wanted USING (key)"
            )
            return {row[0]: (row[1], unpack(row[2])) for row in rows if _is_intact_vector_row(*row)}

    def known(self) -> set[str]:
        """Return the keys of all cached vectors."""
        with self._connection() as connection:
            rows = connection.execute("SELECT key, text, vector, checksum FROM checked_vectors")
            return {row[0] for row in rows if _is_intact_vector_row(*row)}

    def put(self, vectors: TextVectors) -> None:
        """Store texts and vectors; once this returns they survive a kill."""
        with self._connection() as connection:
            _put_vectors(connection, vectors)

    def entries(self, keys: Collection[str]) -> dict[str, EmbeddedRecord]:
        """Return the cached records with these keys, with their texts and vectors."""
        with self._wanting(keys) as connection:
            rows = connection.execute(
                "SELECT r.key, r.id, r.row, r.vector_key, r.checksum, v.text, v.vector, v.checksum "
                "FROM wanted JOIN checked_records AS r USING (key) "
                "JOIN checked_vectors AS v ON v.key = r.vector_key"
            )
            return {
                record.key: EmbeddedRecord(record, text, unpack(packed))
                for *values, check, text, packed, vector_check in rows
                if _is_intact_record(record := Record(*values), check)
                and _is_intact_vector_row(record.vector_key, text, packed, vector_check)
            }

    def put_records(self, records: Sequence[Record], vectors: TextVectors) -> None:
        """Store records and their vectors."""
        rows = [(*record, _record_checksum(record)) for record in records]
        with self._connection() as connection:
            _put_vectors(connection, vectors)
            connection.executemany(
                "INSERT OR REPLACE INTO checked_records VALUES (?, ?, ?, ?, ?)", rows
            )

    def keep_only(self, keys: Collection[str], number: int) -> None:
        """Delete other records and their vectors; vectors that never had a cached record stay.

        Args:
            keys: Keys of the records of a head.
            number: Number of the head. Nothing is deleted if this was called for the head or a
                later one before: another process may be reading that head, or writing the next.
        """
        with self._wanting(keys) as connection:
            # A transaction that reads before it writes fails where another process is writing, and
            # does not wait for it.
            connection.commit()
            connection.execute("BEGIN IMMEDIATE")
            (last,) = connection.execute("PRAGMA user_version").fetchone()
            if number <= last:
                return
            obsolete = "SELECT vector_key FROM checked_records WHERE key NOT IN wanted"
            needed = "SELECT vector_key FROM checked_records JOIN wanted USING (key)"
            connection.execute(
                f"DELETE FROM checked_vectors WHERE key IN ({obsolete}) "  # noqa: S608
                f"AND key NOT IN ({needed})"
            )
            connection.execute("DELETE FROM checked_records WHERE key NOT IN wanted")
            connection.execute(f"PRAGMA user_version = {number}")

    @contextmanager
    def _wanting(self, keys: Iterable[str]) -> Iterator[sqlite3.Connection]:
        """Connect, with the keys in the temporary table ``wanted``."""
        with self._connection() as connection:
            rows = ((key,) for key in keys)
            connection.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", rows)
            yield connection

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
            try:
                connection.executescript(_SCHEMA)
                with connection:
                    yield connection
            finally:
                connection.close()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"{self._path}: the cache cannot be used: {error}; it may be deleted at any time, "
                "and `cache_dir` names another folder"
            ) from error


def _put_vectors(connection: sqlite3.Connection, vectors: TextVectors) -> None:
    rows = [
        (key, text, packed := pack(vector), _vector_checksum(key, text, packed))
        for key, (text, vector) in vectors.items()
    ]
    connection.executemany("INSERT OR REPLACE INTO checked_vectors VALUES (?, ?, ?, ?)", rows)


def _record_checksum(record: Record) -> int:
    return zlib.crc32("\0".join(record).encode("utf-8", "surrogatepass"))


def _is_intact_record(record: Record, check: int) -> bool:
    return all(isinstance(value, str) for value in record) and _record_checksum(record) == check


def _vector_checksum(key: str, text: str, packed: bytes) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"), checksum(key, packed))


def _is_intact_vector_row(key: str, text: str, packed: bytes, check: int) -> bool:
    typed = isinstance(key, str) and isinstance(text, str) and isinstance(packed, bytes)
    return typed and _vector_checksum(key, text, packed) == check
