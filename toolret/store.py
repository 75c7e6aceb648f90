"""Records in a folder: one SQLite file, in which each sync is visible whole or not at all.

Every record says in which generation it was born, and a head says which one is current. A sync
stores its records under the next generation, in as many transactions as it likes; one last
transaction makes them current, for tools and demonstrations together. Killed before that, it has
changed nothing that readers see, and the next sync finds what was stored.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolret import database
from toolret.checked import keep_checked, read_checked
from toolret.derived import remove_left
from toolret.errors import StoreError
from toolret.locks import in_turn, locked
from toolret.records import KINDS, Contents, Generation, Kind, Record
from toolret.tables import (
    Head,
    any_live,
    first_heads,
    put_head,
    put_records,
    put_vectors,
    read_contents,
    read_heads,
    stored_records,
    vector_length,
    whole_vectors,
)

__all__ = ["Change", "FolderStore", "Writer"]

_DATABASE = "index.sqlite3"
_FIT = "fit.json"
_CHECKED = "checked.npz"
_LOCK = "write.lock"

_OLD_FOLDER = "chroma"
"""What an index of format 1 has."""


class FolderStore:
    """The records of an index in a folder.

    Several threads and processes may use it; writers take turns.

    Args:
        folder: Made at the first write.
        lock_timeout: Seconds that a writer waits for another one.
    """

    def __init__(self, folder: Path, *, lock_timeout: float) -> None:
        self.folder = folder.absolute()  # wherever the process may go
        self._path = self.folder / _DATABASE
        self._fit = self.folder / _FIT
        self._checked = self.folder / _CHECKED
        self._lock_timeout = lock_timeout
        self._thread_lock = threading.RLock()
        self._change: Change | None = None

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.folder)

    def exists(self) -> bool:
        """Whether an index was ever written here."""
        try:
            return self._path.exists()
        except OSError as error:  # the name is too long, or the folder must not be entered
            raise self._unusable(error) from error

    def check_new(self) -> None:
        """Raise ``StoreError`` if the folder holds something that a new index must not join."""
        try:
            self._check_new()
        except OSError as error:
            raise self._unusable(error) from error
        except StoreError:
            if not self.exists():  # or another process has made it in this moment
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
                f"{self.folder}: {_DATABASE} is missing: put back a copy, or delete the folder "
                "and index the catalogs again"
            )
        own = (_LOCK, f"{_DATABASE}.new")  # what is left of a writer that was killed at once
        if any(not path.name.startswith(own) for path in self.folder.iterdir()):
            raise StoreError(
                f"{self.folder}: holds something that is no index; name an empty or a new folder"
            )

    def generations(self, *, timeout: float = database.BUSY_SECONDS) -> tuple[Generation, ...]:
        """Of each collection; reads one page of the file.

        Args:
            timeout: Seconds to wait while another process commits.

        Raises:
            StoreError: If the file cannot be read.
        """
        return tuple((head.generation, head.digest) for head in self._heads(timeout).values())

    def spaces(self) -> dict[Kind, str]:
        """The identity of each collection's vectors; empty where there are none."""
        if not self.exists():
            return dict.fromkeys(KINDS, "")
        with database.reading(self._path) as connection:
            heads = read_heads(connection)
            return {
                kind: head.space if any_live(connection, head) else ""
                for kind, head in heads.items()
            }

    def load(self) -> dict[Kind, Contents]:
        """Both collections as of the latest complete sync.

        Raises:
            StoreError: If the file cannot be read, is damaged, or of another version of toolret.
        """
        if not self.exists():
            return {kind: Contents() for kind in KINDS}
        loaded: dict[Kind, Contents] = {}
        with database.reading(self._path) as connection:
            heads = read_heads(connection)
            if known := read_checked(connection, heads, self._checked):
                return known
            for kind, contents in read_contents(connection, heads):
                if contents is None:
                    raise self._damaged(kind)
                loaded[kind] = contents
            keep_checked(connection, heads, loaded, self._checked)
        return loaded

    @contextmanager
    def together(self) -> Iterator[Change]:
        """All that is published inside becomes visible in one step, at its end.

        Raises:
            StoreLockedError: If another writer, of this process or another one, kept writing for
                longer than the time-out.
            StoreError: If the file cannot be read or written.
        """
        with in_turn(self._thread_lock, self._lock_timeout, self.place):
            if self._change is not None:
                yield self._change
                return
            with locked(self.folder, _LOCK, seconds=self._lock_timeout):
                if not self.exists():
                    self.check_new()
                    database.create(self._path)
                with database.writing(self._path) as connection:
                    self._change = change = Change(connection)
                    try:
                        yield change
                        change.publish()
                    finally:
                        self._change = None

    @contextmanager
    def write(self, kind: Kind, *, space: str, anew: bool = False) -> Iterator[Writer]:
        """Change a collection; nothing is visible to readers before ``Writer.publish``.

        Args:
            kind: Which one.
            space: The identity of the vectors that will be added.
            anew: Whether everything that is to be seen will be given: then it may be damaged.

        Raises what ``together`` raises.
        """
        with self.together() as change:
            writer = Writer(change, kind, space=space)
            if not (writer.whole or anew):
                raise self._damaged(kind)
            yield writer

    def keep(self, vectors: Mapping[str, tuple[str, NDArray[np.float32]]]) -> None:
        """Put vectors that were lost in their places.

        Args:
            vectors: The text and its vector, by key.

        Raises what ``together`` raises.
        """
        with self.together() as change, database.transaction(change.connection):
            put_vectors(change.connection, vectors)

    def load_fit(self) -> bytes | None:
        """What ``keep_fit`` kept last, or None.

        Raises:
            StoreError: If it cannot be read, or is not what was kept.
        """
        try:
            kept = self._fit.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self._fit}: cannot be read: {error}") from error
        fit, _, digest = kept.rstrip(b"\n").rpartition(b"\n")
        if sha256(fit).hexdigest().encode() != digest:
            raise StoreError(f"{self._fit}: is damaged: delete it, and it is made again")
        return fit

    def keep_fit(self, fit: bytes) -> None:
        """Keep what was learnt from the demonstrations, whole or not at all, with its digest.

        Raises:
            StoreError: If it cannot be written.
        """
        fresh = self._fit.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            fresh.write_bytes(fit + b"\n" + sha256(fit).hexdigest().encode() + b"\n")
            fresh.replace(self._fit)
            remove_left(self._fit)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise StoreError(f"{self._fit}: cannot be written: {error}") from error

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


class Change:
    """What one holder of the write lock does to the file.

    Attributes:
        connection: Without a transaction.
        heads: As they were before.
        known: Keys of the vectors that are there.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        if heads := first_heads(connection):
            with database.transaction(connection):
                for head in heads:
                    put_head(connection, head)
        self.heads = read_heads(connection)
        self.known = whole_vectors(connection)
        self._published: list[tuple[Writer, frozenset[str]]] = []

    def publish_later(self, writer: Writer, keep: Collection[str]) -> None:
        """Note what is to be seen once the change is complete."""
        self._published.append((writer, frozenset(keep)))

    def publish(self) -> None:
        """Make all that was noted visible, in one transaction; in none if nothing changes."""
        changes = [
            (writer, keep)
            for writer, keep in self._published
            if not writer.whole
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

    def _publish(self, writer: Writer, keep: frozenset[str]) -> None:
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
        connection.execute(  # in case that damage had made it look younger than it is
            "UPDATE records SET born = ? "
            "WHERE kind = ? AND NOT (typeof(born) = 'integer' AND born <= ?)",
            (head.generation, kind, head.generation),
        )
        put_head(connection, replace(head, digest=head.digest_of(pairs)))


class Writer:
    """One change of one collection.

    Attributes:
        kind: Which one.
        space: The identity of the vectors that are added.
        live: What readers see: keys of records by their ids.
        stored: Keys that need not be added: what is live, and what an interrupted sync left.
        whole: Whether all that readers should see is there, as it was written.
        known: Keys of vectors that need not be made.
    """

    def __init__(self, change: Change, kind: Kind, *, space: str) -> None:
        self.kind = kind
        self.space = space
        self._change = change
        head = change.heads[kind]
        self.known = change.known
        self.live: dict[str, str] = {}
        self.stored: set[str] = set()
        self._whole_live = ""
        for record, born in stored_records(change.connection, kind):
            if record and born <= head.generation:
                self.live[record.id] = record.key
                if record.vector_key in self.known:
                    self._whole_live = record.vector_key
            if record and record.vector_key in self.known:
                self.stored.add(record.key)
        digest = head.digest_of(sorted((key, id_) for id_, key in self.live.items()))
        self.whole = digest == head.digest
        if not self.whole:
            database.check_structure(change.connection)
            self.stored.clear()  # all is written again; what is whole needs no embedding

    @property
    def live_space(self) -> str:
        """The identity of the vectors that readers see; empty where there are none."""
        return self._change.heads[self.kind].space if self.live else ""

    @property
    def live_length(self) -> int:
        """How many values a vector has that readers see; 0 where there are none."""
        return vector_length(self._change.connection, self._whole_live) if self._whole_live else 0

    def add(
        self,
        records: Sequence[Record],
        vectors: Mapping[str, tuple[str, NDArray[np.float32]]],
    ) -> None:
        """Store records, unseen until ``publish``; after this they survive a kill.

        Args:
            records: Some of one embedding: a transaction is made of them.
            vectors: The texts and vectors that are not yet known, by key.
        """
        born = self._change.heads[self.kind].generation + 1
        with database.transaction(self._change.connection):
            put_vectors(self._change.connection, vectors)
            put_records(self._change.connection, self.kind, born, records)
        self.known |= vectors.keys()
        self.stored |= {record.key for record in records}

    def publish(self, keep: Collection[str]) -> None:
        """Make exactly the records with these keys what readers see, at the end of the change."""
        self._change.publish_later(self, keep)
