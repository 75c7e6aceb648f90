"""Read an index's file in bulk if it was fully checked before.

Checking 20,000 records and vectors one by one takes Python a third of a second. After a full check,
offsets and digests are stored; if they still match at the next start, the per-record check is
skipped. If anything differs, every record is checked again.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
"""Version of the format of the stored file."""

_WORTH = 2_000
"""Smallest number of records for which the file is worthwhile: checking fewer is faster."""

_KEY = 64
"""Length of a key (a digest) in characters."""

_ROWS = 2_048
"""Number of rows joined per query: a few megabytes."""

_LONGEST = 100_000
"""Longest row or text in characters: SQLite can join at most a gigabyte."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of table rows, each column concatenated, with a digest that detects changes.

    Attributes:
        columns: The concatenated columns: UTF-8 text, or raw bytes.
        digest: SHA-256 of the texts and CRC-32 of the vectors: as strong as the per-record checks.
    """

    columns: Sequence[bytes]
    digest: str


class _ChangedError(Exception):
    """The database is not the one that was checked."""


def read_checked(
    connection: sqlite3.Connection, heads: Mapping[Kind, Head], path: Path
) -> dict[Kind, Contents] | None:
    """Return both collections if the database is unchanged since ``keep_checked``; otherwise None.

    Args:
        connection: Connection with an open transaction.
        heads: The current heads.
        path: File written by ``keep_checked``.
    """
    stored = read_arrays(path, _identity(heads))
    if stored is None:
        return None
    parts = {kind: under(stored, kind) for kind in heads}
    matrices = {kind: _Matrix(part["vector"]) for kind, part in parts.items()}
    digests = iter(stored["digests"].tolist())
    contents: dict[Kind, Contents] = {}
    try:
        runs = _unchanged(_vector_runs(connection, int(stored["last"])), digests)
        texts = _read_vectors(runs, stored["texts"].tolist(), matrices.values())
        for kind, head in heads.items():
            runs = _unchanged(_record_runs(connection, head), digests)
            records = _read_records(runs, parts[kind])
            own_texts = [texts[number] for number in parts[kind]["vector"].tolist()]
            contents[kind] = head.contents(records, own_texts, matrices[kind].vectors)
    except _ChangedError:
        return None
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
    texts_of = _texts_if_worthwhile(list(contents.values()))
    if texts_of is None:
        return
    (last,) = connection.execute("SELECT max(number) FROM vectors").fetchone()
    vector_keys, digests = _keys_and_digests(_vector_runs(connection, last))
    if texts_of.keys() != set(vector_keys):  # an interrupted sync has left extra vectors
        return
    numbers = {key: number for number, key in enumerate(vector_keys)}
    parts: dict[str, Arrays] = {}
    for kind, head in heads.items():
        keys, record_digests = _keys_and_digests(_record_runs(connection, head))
        digests += record_digests
        parts[kind] = _layout(contents[kind].records, keys, numbers)
    arrays: dict[str, NDArray[Any]] = {
        "digests": np.array(digests),
        "last": np.array(last),
        "texts": _lengths(texts_of[key] for key in vector_keys),
        **nested(**parts),
    }
    write_arrays(path, _identity(heads), arrays)


def _texts_if_worthwhile(collections: Sequence[Contents]) -> dict[str, str] | None:
    """Return all texts by vector key; None if the file is not worthwhile or cannot be made."""
    if any(text is None for contents in collections for text in contents.texts):
        return None
    if len({contents.vectors.shape[1] for contents in collections if contents.records}) > 1:
        return None  # from several embedders
    if sum(len(contents.records) for contents in collections) < _WORTH:
        return None
    texts_of = {
        record.vector_key: text
        for contents in collections
        for record, text in zip(contents.records.values(), contents.texts, strict=True)
        if text is not None
    }
    rows = (record.row for contents in collections for record in contents.records.values())
    longest = max(map(len, chain(rows, texts_of.values())), default=0)
    return texts_of if texts_of and longest <= _LONGEST else None


def _layout(
    records: Mapping[str, Record], keys: Sequence[str], numbers: Mapping[str, int]
) -> dict[str, NDArray[np.int32]]:
    """Return where a collection's records and vectors stand in the database.

    Args:
        records: Records by key, ordered by id.
        keys: Their keys, in the order of the database.
        numbers: Positions of all vectors in the database, by vector key.

    Returns:
        ``ids`` and ``rows``, lengths in characters in the order of the database; and ``order`` and
        ``vector``, positions of each record and of its vector in the database.
    """
    places = {key: place for place, key in enumerate(keys)}
    return {
        "ids": _lengths(records[key].id for key in keys),
        "rows": _lengths(records[key].row for key in keys),
        "order": np.array([places[key] for key in records], dtype=np.int32),
        "vector": np.array([numbers[r.vector_key] for r in records.values()], dtype=np.int32),
    }


class _Matrix:
    """A collection's vectors, filled in batch by batch in the order of the database.

    Args:
        vector_of: Position of each record's vector in the database: shape ``(records,)``.

    Attributes:
        vectors: Shape ``(records, dimensions)``; empty before the first vector.
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


def _read_vectors(
    runs: Iterable[_Run], lengths: Sequence[int], matrices: Collection[_Matrix]
) -> list[str]:
    """Return the texts of all vectors, and fill in the matrices.

    Args:
        runs: The rows of the vectors.
        lengths: Length of each text in characters.
        matrices: Receive the vectors that they need.
    """
    texts: list[str] = []
    for run in runs:
        keys, joined, _, packed = run.columns
        count = len(keys) // _KEY
        vectors = unpack(packed).reshape(count, -1)
        for matrix in matrices:
            matrix.take(len(texts), vectors)
        texts += _split(joined, lengths[len(texts) :][:count])
    return texts


def _read_records(runs: Iterable[_Run], layout: Arrays) -> list[Record]:
    """Return the records of a collection, ordered by id; ``layout`` is made by ``_layout``."""
    id_lengths, row_lengths = layout["ids"].tolist(), layout["rows"].tolist()
    records: list[Record] = []
    for run in runs:
        keys, ids, rows, vector_keys = run.columns
        part = slice(len(records), len(records) + len(keys) // _KEY)
        records += map(
            Record,
            _keys(keys),
            _split(ids, id_lengths[part]),
            _split(rows, row_lengths[part]),
            _keys(vector_keys),
        )
    return [records[place] for place in layout["order"].tolist()]


def _unchanged(runs: Iterable[_Run], digests: Iterator[str]) -> Iterator[_Run]:
    """Yield the runs; raise ``_ChangedError`` at one that has not the next digest."""
    for run in runs:
        if next(digests, None) != run.digest:
            raise _ChangedError
        yield run


def _keys_and_digests(runs: Iterable[_Run]) -> tuple[list[str], list[str]]:
    """Return the keys of all rows, and the digests of all runs."""
    keys: list[str] = []
    digests: list[str] = []
    for run in runs:
        keys += _keys(run.columns[0])
        digests.append(run.digest)
    return keys, digests


def _record_runs(connection: sqlite3.Connection, head: Head) -> Iterator[_Run]:
    """Yield the live records: keys, ids, rows and vector keys."""
    columns = ("key", "id", "row", "vector_key")
    live = "records WHERE +kind = ? AND born <= ?"
    return _runs(connection, columns, live, head.kind, head.generation)


def _vector_runs(connection: sqlite3.Connection, last: int) -> Iterator[_Run]:
    """Yield the vectors up to the number ``last``: keys, texts, checksums and vectors."""
    columns = ("key", "text", "checksum", "vector")
    return _runs(connection, columns, "vectors WHERE number <= ?", last)


def _runs(
    connection: sqlite3.Connection, columns: Sequence[str], where: str, *values: object
) -> Iterator[_Run]:
    """Yield the rows by number; SQLite joins them, which lets other threads run."""
    joined = ", ".join(f"CAST(group_concat({column}, '') AS BLOB)" for column in columns)
    rows = f"SELECT * FROM {where} AND number > ? ORDER BY number LIMIT {_ROWS}"  # noqa: S608
    number = 0
    while True:
        query = f"SELECT max(number), {joined} FROM ({rows})"  # noqa: S608
        number, *contents = connection.execute(query, (*values, number)).fetchone()
        if number is None:
            return
        texts = sha256()
        vectors = 0
        for column, content in zip(columns, contents, strict=True):
            if column == "vector":
                vectors = zlib.crc32(content)
            else:
                texts.update(b"%d|" % len(content))
                texts.update(content)
        yield _Run(contents, f"{texts.hexdigest()}{vectors:08x}")


def _identity(heads: Mapping[Kind, Head]) -> str:
    """Return an identity of the index's content: heads hold digests of all their records.

    It holds the name of their class too: under another name, stored files would be made again.
    """
    return f"{_FORMAT}|{list(heads.values())}"


def _keys(joined: bytes) -> list[str]:
    return _split(joined, [_KEY] * (len(joined) // _KEY))


def _split(joined: bytes, lengths: Sequence[int]) -> list[str]:
    text = joined.decode()
    return [text[start:end] for start, end in pairwise(accumulate(lengths, initial=0))]


def _lengths(texts: Iterable[str]) -> NDArray[np.int32]:
    return np.array([len(text) for text in texts], dtype=np.int32)
