"""Read an index's file in bulk if it was fully checked before.

Checking 20,000 records and vectors one by one takes Python a third of a second. After a full check,
offsets and digests are stored; if they still match at the next start, the per-record check is
skipped. If anything differs, every record is checked again.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolret.stores.derived import Arrays, nested, read_arrays, under, write_arrays
from toolret.stores.records import Contents, Kind, Record
from toolret.stores.tables import Head
from toolret.stores.vectors import unpack

__all__ = ["keep_checked", "read_checked"]

_FORMAT = 1
"""Version of the stored file's format."""

_WORTH = 2_000
"""Fewest records for which the file is worthwhile; checking fewer is faster than using it."""

_KEY = 64
"""Length of a key (a digest) in characters."""

_ROWS = 2_048
"""Rows joined per query: a few megabytes."""

_LONGEST = 100_000
"""Longest row or text in characters: SQLite can join at most a gigabyte."""


@dataclass(frozen=True, slots=True)
class _Joined:
    """A run of table rows, each column concatenated, with a digest that detects changes.

    Attributes:
        columns: The concatenated columns: UTF-8 text, or raw bytes.
        digest: SHA-256 of the texts and CRC-32 of the vectors: as strong as the per-record checks.
    """

    columns: Sequence[bytes]
    digest: str


def read_checked(
    connection: sqlite3.Connection, heads: Mapping[Kind, Head], path: Path
) -> dict[Kind, Contents] | None:
    """Return both collections if the database is unchanged since ``keep_checked``; otherwise None.

    Args:
        connection: Connection with an open transaction.
        heads: The current heads.
        path: File written by ``keep_checked``.
    """
    kept = read_arrays(path, _of(heads))
    if kept is None:
        return None
    digests = iter(kept["digests"].tolist())
    texts: list[str] = []
    matrices = {kind: _Matrix(under(kept, kind)["vector"]) for kind in heads}
    lengths = kept["texts"].tolist()
    for some in _vectors(connection, int(kept["last"])):
        if next(digests, None) != some.digest:
            return None
        _, joined, _, packed = some.columns
        count = len(some.columns[0]) // _KEY
        vectors = unpack(packed).reshape(count, -1)
        for matrix in matrices.values():
            matrix.take(len(texts), vectors)
        texts += _split(joined, lengths[len(texts) :][:count])
    contents: dict[Kind, Contents] = {}
    for kind, head in heads.items():
        arrays = under(kept, kind)
        records: list[Record] = []
        sizes = arrays["ids"].tolist(), arrays["rows"].tolist()
        for some in _records(connection, head):
            if next(digests, None) != some.digest:
                return None
            keys, ids, rows, vectors_of = some.columns
            count = len(keys) // _KEY
            part = slice(len(records), len(records) + count)
            records += map(
                Record,
                _keys(keys),
                _split(ids, sizes[0][part]),
                _split(rows, sizes[1][part]),
                _keys(vectors_of),
            )
        ordered = [records[place] for place in arrays["order"].tolist()]
        contents[kind] = Contents(
            generation=head.generation,
            digest=head.digest,
            changes=head.changes,
            space=head.space,
            records={record.key: record for record in ordered},
            texts=[texts[place] for place in arrays["vector"].tolist()],
            vectors=matrices[kind].vectors,
        )
    return contents if next(digests, None) is None else None


def keep_checked(
    connection: sqlite3.Connection,
    heads: Mapping[Kind, Head],
    contents: Mapping[Kind, Contents],
    path: Path,
) -> None:
    """Store offsets and digests for ``read_checked``, if worthwhile and nothing is lost.

    Args:
        connection: Connection in the transaction in which the contents were read and checked.
        heads: The current heads.
        contents: Both collections.
        path: File to write.
    """
    texts_of: dict[str, str] = {}
    for each in contents.values():
        pairs = zip(each.records.values(), each.texts, strict=True)
        texts_of |= {record.vector_key: text for record, text in pairs if text is not None}
        if any(text is None for text in each.texts):
            return
    if len({each.vectors.shape[1] for each in contents.values() if each.records}) > 1:
        return  # from several embedders
    if not texts_of or sum(len(each.records) for each in contents.values()) < _WORTH:
        return
    rows = (record.row for each in contents.values() for record in each.records.values())
    if max(map(len, chain(rows, texts_of.values()))) > _LONGEST:
        return
    digests: list[str] = []
    stored: list[str] = []
    (last,) = connection.execute("SELECT max(number) FROM vectors").fetchone()
    for some in _vectors(connection, last):
        digests.append(some.digest)
        stored += _keys(some.columns[0])
    if texts_of.keys() != set(stored):  # an interrupted sync has left extra vectors
        return
    numbers = {key: number for number, key in enumerate(stored)}
    parts: dict[str, Arrays] = {}
    for kind, head in heads.items():
        records = contents[kind].records
        keys: list[str] = []
        for some in _records(connection, head):
            digests.append(some.digest)
            keys += _keys(some.columns[0])
        places = {key: place for place, key in enumerate(keys)}
        parts[kind] = {
            "ids": _lengths(records[key].id for key in keys),
            "rows": _lengths(records[key].row for key in keys),
            "order": np.array([places[key] for key in records], dtype=np.int32),
            "vector": np.array([numbers[r.vector_key] for r in records.values()], dtype=np.int32),
        }
    kept: dict[str, NDArray[Any]] = {
        "digests": np.array(digests),
        "last": np.array(last),
        "texts": _lengths(texts_of[key] for key in stored),
        **nested(**parts),
    }
    write_arrays(path, _of(heads), kept)


class _Matrix:
    """A collection's vectors, filled in batch by batch in the order of the file.

    Args:
        vector_of: For each record, the position of its vector in the file: shape ``(records,)``.
    """

    def __init__(self, vector_of: NDArray[np.int32]) -> None:
        self.vectors = np.empty((0, 0), dtype=np.float32)
        self._places = np.argsort(vector_of, kind="stable")
        self._wanted = vector_of[self._places]

    def take(self, start: int, vectors: NDArray[np.float32]) -> None:
        """Take the vectors that records need from a batch whose first one is at ``start``."""
        first, end = self._wanted.searchsorted([start, start + len(vectors)])
        if first == end:
            return
        if not self.vectors.size:
            self.vectors = np.empty((len(self._places), vectors.shape[1]), dtype=np.float32)
        self.vectors[self._places[first:end]] = vectors[self._wanted[first:end] - start]


def _records(connection: sqlite3.Connection, head: Head) -> Iterator[_Joined]:
    """Yield the live records: keys, ids, rows and vector keys."""
    columns = ("key", "id", "row", "vector_key")
    live = "records WHERE +kind = ? AND born <= ?"
    return _joined(connection, columns, live, head.kind, head.generation)


def _vectors(connection: sqlite3.Connection, last: int) -> Iterator[_Joined]:
    """Yield the vectors up to the number ``last``: keys, texts, checksums and vectors."""
    columns = ("key", "text", "checksum", "vector")
    return _joined(connection, columns, "vectors WHERE number <= ?", last)


def _joined(
    connection: sqlite3.Connection, columns: Sequence[str], where: str, *values: object
) -> Iterator[_Joined]:
    """Yield the rows by number; SQLite joins them, which lets other threads run."""
    joined = ", ".join(f"CAST(group_concat({column}, '') AS BLOB)" for column in columns)
    some = f"SELECT * FROM {where} AND number > ? ORDER BY number LIMIT {_ROWS}"  # noqa: S608
    number = 0
    while True:
        query = f"SELECT max(number), {joined} FROM ({some})"  # noqa: S608
        number, *found = connection.execute(query, (*values, number)).fetchone()
        if number is None:
            return
        texts = sha256()
        vectors = 0
        for column, content in zip(columns, found, strict=True):
            if column == "vector":
                vectors = zlib.crc32(content)
            else:
                texts.update(b"%d|" % len(content))
                texts.update(content)
        yield _Joined(found, f"{texts.hexdigest()}{vectors:08x}")


def _of(heads: Mapping[Kind, Head]) -> str:
    """Return an identity of the index's content: heads hold digests of all their records."""
    return f"{_FORMAT}|{list(heads.values())}"


def _keys(joined: bytes) -> list[str]:
    return _split(joined, [_KEY] * (len(joined) // _KEY))


def _split(joined: bytes, lengths: Sequence[int]) -> list[str]:
    text = joined.decode()
    return [text[start:end] for start, end in pairwise(accumulate(lengths, initial=0))]


def _lengths(texts: Iterable[str]) -> NDArray[np.int32]:
    return np.array([len(text) for text in texts], dtype=np.int32)
