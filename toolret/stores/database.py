"""The SQLite file of an index: creating it, opening it, and rejecting foreign files."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from toolret.errors import StoreError

__all__ = [
    "BUSY_SECONDS",
    "FORMAT",
    "check_structure",
    "create",
    "reading",
    "transaction",
    "writing",
]

FORMAT = 2
"""Version of the database schema; files of other versions are rejected."""

_APPLICATION = 0x746F6F6C
"""SQLite's ``application_id``, which identifies the file as an index: ``tool`` in ASCII."""

BUSY_SECONDS = 30.0
"""Seconds to wait for another process's transaction, which normally lasts milliseconds."""

_PAGE = 16_384
"""Page size in bytes: a page holds several vectors, so little space is wasted."""

_ADVICE = {
    "SQLITE_BUSY": ": a process has been reading or writing it all the time; end that one, or try "
    "again later",
    "SQLITE_READONLY_ROLLBACK": ": a writer was killed, and what it began must be undone: open the "
    "index once where it can be written",
}
"""Advice for some SQLite errors, by prefix of their names."""

_SCHEMA = f"""
PRAGMA page_size = {_PAGE};
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {FORMAT};
CREATE TABLE heads (
    kind TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    changes INTEGER NOT NULL,
    space TEXT NOT NULL,
    digest TEXT NOT NULL
);
CREATE TABLE records (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    vector_key TEXT NOT NULL,
    born INTEGER NOT NULL,
    row TEXT NOT NULL,
    UNIQUE (kind, key)
);
CREATE TABLE vectors (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    vector BLOB NOT NULL
);
"""


def create(path: Path) -> None:
    """Create an empty database atomically; the caller must hold the write lock.

    Raises:
        StoreError: If it cannot be written.
    """
    fresh = path.with_name(f"{path.name}.new")
    try:
        with _mapping_errors(path):
            for stale in (fresh, fresh.with_name(f"{fresh.name}-journal")):
                stale.unlink(missing_ok=True)
            connection = sqlite3.connect(fresh)
            try:
                connection.executescript(_SCHEMA)
            finally:
                connection.close()
            fresh.replace(path)
            _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: cannot be used: {error.strerror or error}") from error


@contextmanager
def reading(path: Path, *, timeout: float = BUSY_SECONDS) -> Iterator[sqlite3.Connection]:
    """Open the database for reading; everything read inside comes from one snapshot.

    Args:
        path: The file.
        timeout: Seconds to wait for another process's transaction.

    Raises:
        StoreError: If the file is not an index, has another version, is damaged, or is unreadable.
    """
    with _connected(path, timeout) as connection:
        connection.execute("BEGIN")
        yield connection


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the database for writing, with no transaction begun.

    Raises:
        StoreError: As for ``reading``, and if the disk is full or read-only.
    """
    with _connected(path, BUSY_SECONDS) as connection:
        # Without spilling, readers are blocked only during a commit, however large it is.
        connection.execute("PRAGMA cache_spill = OFF")
        yield connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all or nothing inside the block; after it, the data survives a kill or power cut."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # after some errors SQLite has already rolled back
            connection.execute("ROLLBACK")
        raise


def check_structure(connection: sqlite3.Connection) -> None:
    """Raise ``sqlite3.DatabaseError`` if the file fails SQLite's integrity check."""
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(" ".join(verdict.split()))


@contextmanager
def _connected(path: Path, timeout: float) -> Iterator[sqlite3.Connection]:
    """Open a database that is an index of this version."""
    with _mapping_errors(path):
        # SQLite itself falls back to read-only if the file is not writable.
        uri = f"{path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)
        try:
            # The file may be damaged or malicious: it must not make SQLite run code.
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            _check_format(connection, path)
            yield connection
        finally:
            connection.close()


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Raise ``StoreError`` if the database is no index, or is one of another version."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION:
        raise _damaged(path, "it does not begin as an index does")
    if version != FORMAT:
        raise StoreError(
            f"{path}: was written by another version of toolret (format {version}, this one "
            f"reads {FORMAT}): index the catalogs again into a new folder"
        )


@contextmanager
def _mapping_errors(path: Path) -> Iterator[None]:
    """Turn SQLite errors into ``StoreError``, naming the file and what to do.

    Other errors pass through: they come from the caller's code, such as reading tools from a file.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL":
            raise StoreError(
                f"{path}: the disk is full; the index is as it was before: make room, then sync "
                "again, which embeds no more than the last batch twice"
            ) from error
        if name in ("", "SQLITE_ERROR"):  # bad text, or a missing table: our own SQL is valid
            raise _damaged(path, str(error)) from error
        advice = next((text for start, text in _ADVICE.items() if name.startswith(start)), "")
        raise StoreError(f"{path}: cannot be used: {error}{advice}") from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, problem: str) -> StoreError:
    return StoreError(
        f"{path}: is damaged ({problem}): put back a copy, or delete the folder "
        f"{path.parent.name!r} and index the catalogs again"
    )


def _sync_folder(folder: Path) -> None:
    """Sync a folder to disk: only then does a new file name survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
