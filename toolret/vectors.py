"""Vectors kept by what they are vectors of, so that no text is embedded twice.

Chroma's own vector files do not survive a killed writer; its records do. This SQLite file is
what they are restored from, and what the search reads. It is written in transactions, before
the records that need it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolret.errors import StoreError

__all__ = ["VectorCache", "vector_key"]

_MOST_VARIABLES = 10_000
"""Keys asked for in one statement, well below SQLite's limit of 32,766 variables."""

_BUSY_SECONDS = 30.0
"""How long a reader waits for a writer's transaction, which lasts milliseconds."""


def vector_key(space: str, text: str) -> str:
    """The identity of a vector: whose it is (embedder, instruction, renderer) and of what text."""
    return sha256(f"{space}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()


class VectorCache:
    """Vectors by key in one SQLite file.

    Args:
        path: The file; it is made at the first write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, keys: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors that are there, by key; each of shape ``(dimensions,)``."""
        found: dict[str, NDArray[np.float32]] = {}
        if not self._path.exists():
            return found
        with self._connection() as connection:
            for start in range(0, len(keys), _MOST_VARIABLES):
                some = keys[start : start + _MOST_VARIABLES]
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT key, vector FROM vectors WHERE key IN ({marks})",  # noqa: S608 - only marks
                    list(some),
                )
                found |= {key: np.frombuffer(blob, dtype="<f4") for key, blob in rows}
        return found

    def put(self, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep vectors; after this returns they survive a kill."""
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]
        with self._connection() as connection:
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def keep_only(self, keys: Iterable[str]) -> None:
        """Forget all other vectors."""
        if not self._path.exists():
            return
        with self._connection() as connection:
            connection.execute("CREATE TEMP TABLE live (key TEXT PRIMARY KEY)")
            connection.executemany("INSERT OR IGNORE INTO live VALUES (?)", ((k,) for k in keys))
            connection.execute("DELETE FROM vectors WHERE key NOT IN (SELECT key FROM live)")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS)
            try:
                with connection:
                    connection.execute(
                        "CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB) "
                        "WITHOUT ROWID"
                    )
                    yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error
