"""Store an index in a folder: one SQLite file, in which each sync becomes visible all at once.

Every record carries the generation in which it was written; a head per collection names the
current one. A sync writes its records under the next generation, in any number of transactions;
one last transaction publishes them, tools and demonstrations together. If the sync is killed before
that, readers see no change, and the next sync reuses what was stored.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from toolret.errors import StoreError
from toolret.files.folders import INDEX_DATABASE
from toolret.forking import renew_in_children
from toolret.stores import database
from toolret.stores.checked import keep_checked, read_checked
from toolret.stores.locks import checked_seconds, file_lock, thread_lock
from toolret.stores.records import KINDS, Contents, Generation, Kind, Record, TextVectors
from toolret.stores.sealed import read_sealed, write_sealed
from toolret.stores.tables import (
    Head,
    any_live,
    initial_heads,
    intact_vectors,
    put_head,
    put_records,
    put_vectors,
    read_contents,
    read_heads,
    stored_records,
    vector_length,
)

__all__ = ["LOCK", "FolderChange", "FolderStore", "FolderWriter"]

_FIT = "fit.json"
"""Name of the file that holds what was learnt from the demonstrations."""

_CHECKED = "checked.npz"
"""Name of the file that spares the next process most checks (see ``toolret.stores.checked``)."""

LOCK = "write.lock"
"""Name of the file that a writer locks."""

_EXPENDABLE = ("replies.sqlite3", "derived.", "checked.")
"""Prefixes of the names of files that an index can do without."""

_OLD_FOLDER = "chroma"
"""Name of a subfolder of indexes of format 1."""


class FolderStore:
    """The records of an index in a folder.

    Several threads and processes may use it; writers take turns.

    Args:
        folder: The folder, which is created at the first write.
        lock_timeout: Seconds that a writer waits for another to finish.
    """

    def __init__(self, folder: Path, *, lock_timeout: float) -> None:
        self.folder = folder.absolute()  # the process may change its directory
        self._path = self.folder / INDEX_DATABASE
        self._fit = self.folder / _FIT
        self._checked = self.folder / _CHECKED
        self._lock_timeout = checked_seconds(lock_timeout)
        self.after_fork()
        renew_in_children(self)

    def after_fork(self) -> None:
        """Begin without a held lock and without a change: those of the parent are the parent's."""
        self._thread_lock = threading.RLock()
        self._change: FolderChange | None = None

    @property
    def place(self) -> str:
        """The folder's path."""
        return str(self.folder)

    def exists(self) -> bool:
        """Whether an index was ever written here."""
        try:
            return self._path.exists()
        except OSError as error:  # the name is too long, or access is denied
            raise self._unusable(error) from error

    def check_new(self) -> None:
        """Raise ``StoreError`` if a new index may not be created in this folder."""
        try:
            self._check_new()
        except OSError as error:
            raise self._unusable(error) from error
        except StoreError:
            if not self.exists():  # otherwise another process has just created it
                raise

    def _check_new(self) -> None:
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise StoreError(f"{self.folder}: is a file; name an empty or a new folder")
        if (self.folder / _OLD_FOLDER).is_dir():
            raise StoreError(
                f"{self.folder}: was written by an earlier version of toolret (format 1, this "
                f"one reads {database.FORMAT}): index the catalogs again into a new folder"
            )
        if self._fit.exists():
            raise StoreError(
                f"{self.folder}: {INDEX_DATABASE} is missing: put back a copy, or delete the "
                "folder and index the catalogs again"
            )
        # Left by a writer that was killed early on, or by a retriever of an index that is gone.
        expendable = (LOCK, f"{INDEX_DATABASE}.new", *_EXPENDABLE)
        if any(not path.name.startswith(expendable) for path in self.folder.iterdir()):
            raise StoreError(
                f"{self.folder}: holds something that is no index; name an empty or a new folder"
            )

    def generations(self, *, timeout: float = database.BUSY_SECONDS) -> tuple[Generation, ...]:
        """Return each collection's generation and digest; reads one page of the file.

        Args:
            timeout: Seconds to wait while another process commits.

        Raises:
            StoreError: If the file cannot be read.
        """
        return tuple((head.generation, head.digest) for head in self._heads(timeout).values())

    def spaces(self) -> dict[Kind, str]:
        """Return the identity of each collection's vectors; empty if it has none."""
        if not self.exists():
            return dict.fromkeys(KINDS, "")
        with database.reading(self._path) as connection:
            heads = read_heads(connection)
            return {
                kind: head.space if any_live(connection, head) else ""
                for kind, head in heads.items()
            }

    def load(self) -> dict[Kind, Contents]:
        """Return both collections as of the latest complete sync.

        Raises:
            StoreError: If the file cannot be read, is damaged, or is in another version's format.
        """
        if not self.exists():
            return {kind: Contents() for kind in KINDS}
        loaded: dict[Kind, Contents] = {}
        with database.reading(self._path) as connection:
            heads = read_heads(connection)
            if unchanged := read_checked(connection, heads, self._checked):
                return unchanged
            for kind, contents in read_contents(connection, heads):
                if contents is None:
                    raise self._damaged(kind)
                loaded[kind] = contents
            keep_checked(connection, heads, loaded, self._checked)
        return loaded

    @contextmanager
    def together(self) -> Iterator[FolderChange]:
        """Make everything published inside the block visible in one step when it ends.

        Raises:
            StoreLockedError: If another writer, in this process or another, kept writing for longer
                than the timeout.
            StoreError: If the file cannot be read or written.
        """
        with thread_lock(self._thread_lock, self._lock_timeout, self.place):
            if self._change is not None:
                yield self._change
                return
            with file_lock(self.folder, LOCK, seconds=self._lock_timeout):
                if not self.exists():
                    self.check_new()
                    database.create(self._path)
                with database.writing(self._path) as connection:
                    self._change = change = FolderChange(connection)
                    try:
                        yield change
                        change.publish()
                    finally:
                        self._change = None

    @contextmanager
    def write(self, kind: Kind, *, space: str, anew: bool = False) -> Iterator[FolderWriter]:
        """Change a collection; readers see what is published once ``together`` ends.

        Args:
            kind: The collection.
            space: Identity of the vectors to be added.
            anew: The caller supplies the whole collection, so existing damage may be ignored.

        Raises the same errors as ``together``.
        """
        with self.together() as change:
            writer = FolderWriter(change, kind, space=space)
            if not (writer.intact or anew):
                raise self._damaged(kind)
            yield writer

    def keep(self, vectors: TextVectors) -> None:
        """Store lost vectors again.

        Args:
            vectors: Texts and their vectors, by vector key.

        Raises the same errors as ``together``.
        """
        with self.together() as change, database.transaction(change.connection):
            put_vectors(change.connection, vectors)

    def load_fit(self) -> bytes | None:
        """Return what ``keep_fit`` last stored, or None.

        Raises:
            StoreError: If it cannot be read or is damaged.
        """
        return read_sealed(self._fit)

    def keep_fit(self, fit: bytes) -> None:
        """Store what was learnt from the demonstrations atomically, with its digest.

        Raises:
            StoreError: If it cannot be written.
        """
        write_sealed(self._fit, fit)

    def _heads(self, timeout: float = database.BUSY_SECONDS) -> dict[Kind, Head]:
        if not self.exists():
            return {kind: Head(kind) for kind in KINDS}
        with database.reading(self._path, timeout=timeout) as connection:
            return read_heads(connection)

    def _unusable(self, error: OSError) -> StoreError:
        return StoreError(f"{self.folder}: cannot be used: {error.strerror or error}")

    def _damaged(self, kind: Kind) -> StoreError:
        return StoreError(
            f"{self._path}: is damaged (the {kind} are not those of the last sync): sync all of "
            "them again, which repairs it, or put back a copy"
        )


class FolderChange:
    """All that the holder of the write lock changes in the file.

    Attributes:
        connection: Connection with no open transaction.
        heads: The heads before the change.
        known: Keys of the stored vectors that are undamaged.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        if heads := initial_heads(connection):
            with database.transaction(connection):
                for head in heads:
                    put_head(connection, head)
        self.heads = read_heads(connection)
        self.known = intact_vectors(connection)
        self._to_publish: list[tuple[FolderWriter, frozenset[str]]] = []

    def publish_later(self, writer: FolderWriter, keep: Collection[str]) -> None:
        """Note which records of a writer's collection to publish when the change completes."""
        self._to_publish.append((writer, frozenset(keep)))

    def publish(self) -> None:
        """Publish everything noted, in one transaction; do nothing if nothing changes."""
        changes = [
            (writer, keep)
            for writer, keep in self._to_publish
            if not writer.intact
            or keep != frozenset(writer.live.values())
            or writer.space != self.heads[writer.kind].space
        ]
        if not changes:
            return
        connection = self.connection
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("CREATE TEMP TABLE keep (key TEXT PRIMARY KEY) WITHOUT ROWID")
        connection.execute("CREATE TEMP TABLE gone (key TEXT PRIMARY KEY) WITHOUT ROWID")
        with database.transaction(connection):
            for writer, keep in changes:
                self._publish(writer, keep)
            if connection.execute("SELECT 1 FROM gone").fetchone():
                connection.execute(
                    "DELETE FROM vectors WHERE key IN (SELECT key FROM gone) "
                    "AND key NOT IN (SELECT vector_key FROM records)"
                )

    def _publish(self, writer: FolderWriter, keep: frozenset[str]) -> None:
        connection, kind, before = self.connection, writer.kind, self.heads[writer.kind]
        connection.execute("DELETE FROM keep")
        connection.executemany("INSERT INTO keep VALUES (?)", ((key,) for key in keep))
        unwanted = "FROM records WHERE kind = ? AND key NOT IN (SELECT key FROM keep)"
        connection.execute(f"INSERT OR IGNORE INTO gone SELECT vector_key {unwanted}", (kind,))
        connection.execute(f"DELETE {unwanted}", (kind,))
        counted = "SELECT count(*) FROM records WHERE kind = ?"
        (kept,) = connection.execute(counted, (kind,)).fetchone()
        if kept != len(keep):
            raise StoreError(f"{len(keep) - kept} of the {kind} were never stored")
        pairs = connection.execute(
            "SELECT key, id FROM records WHERE kind = ? ORDER BY key", (kind,)
        )
        head = Head(
            kind,
            generation=before.generation + 1,
            changes=before.changes + len(keep.symmetric_difference(writer.live.values())),
            space=writer.space,
        )
        connection.execute(  # repair generations that damage made invalid or too high
            "UPDATE records SET born = ? "
            "WHERE kind = ? AND NOT (typeof(born) = 'integer' AND born <= ?)",
            (head.generation, kind, head.generation),
        )
        put_head(connection, replace(head, digest=head.digest_of(pairs)))


class FolderWriter:
    """A change to one collection.

    Attributes:
        kind: The collection.
        space: Identity of the vectors to be added.
        live: Keys of the published records, by id.
        stored: Keys of records that need not be added: live, or left by an interrupted sync.
        intact: Whether all published records are present and undamaged.
        known: Keys of vectors that need not be computed.
    """

    def __init__(self, change: FolderChange, kind: Kind, *, space: str) -> None:
        self.kind = kind
        self.space = space
        self._change = change
        head = change.heads[kind]
        self.known = change.known
        self.live: dict[str, str] = {}
        self.stored: set[str] = set()
        self._intact_live = ""  # key of a published vector that is undamaged
        for record, born in stored_records(change.connection, kind):
            if record and born <= head.generation:
                self.live[record.id] = record.key
                if record.vector_key in self.known:
                    self._intact_live = record.vector_key
            if record and record.vector_key in self.known:
                self.stored.add(record.key)
        digest = head.digest_of(sorted((key, id_) for id_, key in self.live.items()))
        self.intact = digest == head.digest
        if not self.intact:
            database.check_structure(change.connection)
            self.stored.clear()  # rewrite all records; undamaged vectors need no embedding

    @property
    def live_space(self) -> str:
        """Identity of the published vectors; empty if there are none."""
        return self._change.heads[self.kind].space if self.live else ""

    @property
    def live_length(self) -> int:
        """Dimensions of the published vectors; 0 if there are none."""
        return vector_length(self._change.connection, self._intact_live) if self._intact_live else 0

    def add(self, records: Sequence[Record], vectors: TextVectors) -> None:
        """Store records without publishing them; once this returns they survive a kill.

        Args:
            records: A batch, stored in one transaction.
            vectors: Texts and vectors that are not yet known, by vector key.
        """
        born = self._change.heads[self.kind].generation + 1
        with database.transaction(self._change.connection):
            put_vectors(self._change.connection, vectors)
            put_records(self._change.connection, self.kind, born, records)
        self.known |= vectors.keys()
        self.stored |= {record.key for record in records}

    def publish(self, keep: Collection[str]) -> None:
        """Publish exactly the records with these keys when the change ends."""
        self._change.publish_later(self, keep)
