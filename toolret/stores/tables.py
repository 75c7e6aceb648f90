"""Read and write the tables of an index's file, with integrity checks.

A record's key is a digest of its content. A head holds a digest of its records' keys and ids, which
reveals missing and extra records. A vector has a checksum, and its key is a digest of its text.
SQLite checks none of this, and a disk may return something other than what was written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from hashlib import sha256
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from toolret.stores.records import KINDS, Contents, Kind, Record, TextVectors, record_key
from toolret.stores.vectors import BYTES, checksum, pack, unpack, vector_key

__all__ = [
    "Head",
    "any_live",
    "initial_heads",
    "intact_vectors",
    "put_head",
    "put_records",
    "put_vectors",
    "read_contents",
    "read_heads",
    "stored_records",
    "vector_length",
]

_AT_A_TIME = 1_024
"""Number of vectors per read: enough to make unpacking cheap."""

_HEAD_TYPES = (str, int, int, str, str)
"""Types of the columns of a head. SQLite does not enforce them, and damage may change them."""


@dataclass(frozen=True, slots=True)
class Head:
    """The published state of a collection.

    Attributes:
        kind: The collection.
        generation: Number of published changes; records of a later generation are not visible.
        changes: Total number of records that these changes added or removed.
        space: Identity of its vectors; empty if there are none.
        digest: Digest of the other fields and of its records' keys and ids.
    """

    kind: Kind
    generation: int = 0
    changes: int = 0
    space: str = ""
    digest: str = ""

    def digest_of(self, records: Iterable[tuple[str, str]]) -> str:
        """Return the digest for this head with these records.

        Args:
            records: Keys and ids of the live records, ordered by key.
        """
        head = f"{self.kind}\0{self.generation}\0{self.changes}\0{self.space}"
        lines = [f"\n{key}\0{id_}" for key, id_ in records]
        return sha256("".join([head, *lines]).encode()).hexdigest()

    def contents(
        self,
        records: Iterable[Record],
        texts: Sequence[str | None],
        vectors: NDArray[np.float32],
    ) -> Contents:
        """Return the collection with its records, ordered by id, their texts and vectors."""
        return Contents(
            generation=self.generation,
            digest=self.digest,
            changes=self.changes,
            space=self.space,
            records={record.key: record for record in records},
            texts=texts,
            vectors=vectors,
        )


def read_heads(connection: sqlite3.Connection) -> dict[Kind, Head]:
    """Return both heads; a lost or malformed one gets an empty digest, which matches no records."""
    rows = connection.execute("SELECT kind, generation, changes, space, digest FROM heads")
    stored = {row[0]: Head(*row) for row in rows if tuple(map(type, row)) == _HEAD_TYPES}
    initial = {head.kind: head for head in initial_heads(connection)}
    return {kind: stored.get(kind) or initial.get(kind) or Head(kind) for kind in KINDS}


def initial_heads(connection: sqlite3.Connection) -> Sequence[Head]:
    """Return initial heads for collections that have neither a head nor records.

    A writer stores these before any records, so a collection with records but no head has lost it.
    """
    kinds = {kind for (kind,) in connection.execute("SELECT kind FROM heads")}
    some = "SELECT 1 FROM records WHERE kind = ? LIMIT 1"
    return [
        replace(Head(kind), digest=Head(kind).digest_of(()))
        for kind in KINDS
        if kind not in kinds and not connection.execute(some, (kind,)).fetchone()
    ]


def put_head(connection: sqlite3.Connection, head: Head) -> None:
    """Store a head, replacing its collection's previous one."""
    connection.execute("INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?, ?)", astuple(head))


def stored_records(
    connection: sqlite3.Connection, kind: Kind
) -> Iterator[tuple[Record | None, int]]:
    """Yield a collection's records with their generations; None in place of a damaged record."""
    rows = connection.execute(
        # The plus keeps SQLite from using the index, which would mean random access to the file.
        "SELECT born, key, id, row, vector_key FROM records WHERE +kind = ?",
        (kind,),
    )
    for born, key, id_, row, vector in rows:
        texts = isinstance(key, str) and isinstance(id_, str) and isinstance(row, str)
        intact = texts and isinstance(born, int) and key == record_key(vector, row)
        yield Record(key, id_, row, vector) if intact else None, born


def any_live(connection: sqlite3.Connection, head: Head) -> bool:
    """Whether any record of a collection is published."""
    some = "SELECT 1 FROM records WHERE kind = ? AND born <= ? LIMIT 1"
    return connection.execute(some, (head.kind, head.generation)).fetchone() is not None


def vector_length(connection: sqlite3.Connection, key: str) -> int:
    """Return the number of dimensions of the vector with this key."""
    (size,) = connection.execute(
        "SELECT length(vector) FROM vectors WHERE key = ?", (key,)
    ).fetchone()
    return int(size) // BYTES


def read_contents(
    connection: sqlite3.Connection, heads: Mapping[Kind, Head]
) -> Iterator[tuple[Kind, Contents | None]]:
    """Yield both collections with their vectors; None for one whose records are damaged."""
    records = {kind: _live_records(connection, head) for kind, head in heads.items()}
    collectors = {
        kind: _Collector(heads[kind].space, live)
        for kind, live in records.items()
        if live is not None
    }
    rows = connection.execute("SELECT key, text, checksum, vector FROM vectors")
    while batch := rows.fetchmany(_AT_A_TIME):
        for collector in collectors.values():
            collector.take(batch)
    for kind, head in heads.items():
        yield kind, collectors[kind].contents(head) if kind in collectors else None


class _Collector:
    """Collects the texts and vectors of a collection's live records.

    Vectors of another length than the first come from another embedder and count as lost.

    Args:
        space: Identity of the collection's vectors.
        records: The live records, ordered by id.
    """

    def __init__(self, space: str, records: Sequence[Record]) -> None:
        self._records = records
        self._space = space
        self._texts: list[str | None] = [None] * len(records)
        self._vectors = np.empty((0, 0), dtype=np.float32)
        self._bytes = 0  # per packed vector
        self._positions: dict[str, list[int]] = {}
        for position, record in enumerate(records):
            self._positions.setdefault(record.vector_key, []).append(position)

    def take(self, rows: Iterable[tuple[str, str, int, bytes]]) -> None:
        """Take the vectors that belong to this collection and are undamaged, with their texts.

        Args:
            rows: Keys, texts, checksums and packed vectors.
        """
        places: list[int] = []
        taken: list[bytes] = []
        for key, text, check, packed in rows:
            if (
                (positions := self._positions.get(key))
                and _is_intact_vector(key, check, packed)
                and vector_key(self._space, text) == key
                and len(packed) == (self._bytes or len(packed))
            ):
                self._bytes = len(packed)
                places += positions
                taken += [packed] * len(positions)
                for position in positions:
                    self._texts[position] = text
        if not taken:
            return
        vectors = unpack(b"".join(taken)).reshape(len(taken), -1)
        if not self._vectors.size:
            self._vectors = np.zeros((len(self._records), vectors.shape[1]), dtype=np.float32)
        self._vectors[places] = vectors

    def contents(self, head: Head) -> Contents:
        """Return the collection with the texts and vectors that were taken."""
        return head.contents(self._records, self._texts, self._vectors)


def _live_records(connection: sqlite3.Connection, head: Head) -> list[Record] | None:
    """Return the live records by id; None if they do not match the head's digest."""
    live = [r for r, born in stored_records(connection, head.kind) if r and born <= head.generation]
    live.sort(key=attrgetter("key"))
    if head.digest != head.digest_of((r.key, r.id) for r in live):
        return None
    live.sort(key=attrgetter("id"))
    return live


def intact_vectors(connection: sqlite3.Connection) -> set[str]:
    """Return the keys of all undamaged vectors."""
    rows = connection.execute("SELECT key, checksum, vector FROM vectors")
    return {key for key, check, packed in rows if _is_intact_vector(key, check, packed)}


def _is_intact_vector(key: str, check: int, packed: bytes) -> bool:
    return isinstance(packed, bytes) and isinstance(key, str) and checksum(key, packed) == check


def put_vectors(connection: sqlite3.Connection, vectors: TextVectors) -> None:
    """Store texts and their vectors, by key."""
    packed = ((key, text, pack(vector)) for key, (text, vector) in vectors.items())
    connection.executemany(
        "INSERT OR REPLACE INTO vectors (key, text, checksum, vector) VALUES (?, ?, ?, ?)",
        ((key, text, checksum(key, data), data) for key, text, data in packed),
    )


def put_records(
    connection: sqlite3.Connection, kind: Kind, born: int, records: Iterable[Record]
) -> None:
    """Store records; an existing record keeps its generation."""
    connection.executemany(
        "INSERT INTO records (kind, born, key, id, row, vector_key) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (kind, key) DO UPDATE SET "
        "id = excluded.id, row = excluded.row, vector_key = excluded.vector_key",
        ((kind, born, r.key, r.id, r.row, r.vector_key) for r in records),
    )
