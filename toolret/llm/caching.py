"""Caches of a model's replies, so that it is asked the same question only once."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from toolret.llm.model import ChatModel, Completion, Messages, Schema, checked_model
from toolret.options import whole_number
from toolret.text.surrogates import replace_surrogates

__all__ = ["CachedModel", "ReplyCache", "question_key"]

_T = TypeVar("_T")

_log = logging.getLogger(__name__)

_BUSY_SECONDS = 0.5
"""The longest wait for another process's write, in seconds; a write normally takes milliseconds."""

_REST_SECONDS = 60.0
"""The time for which the cache is bypassed after an error of its file, in seconds: a broken file is
not tried for each reply, and one that was mended is used again within a minute."""

_MAX_BYTES = 64 * 1024 * 1024
"""The default limit of a cache's size: room for about 100,000 replies."""

_ROW_BYTES = 200
"""The estimated size of a row besides its reply: the key, stored in two B-trees, and numbers."""

_VERSION = 1
"""The ``user_version`` of a file with the tables below."""

_TABLES = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, reply TEXT NOT NULL, bytes INTEGER NOT NULL, used INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS replies_by_use ON replies (used);
CREATE TABLE IF NOT EXISTS total (bytes INTEGER NOT NULL);
INSERT INTO total SELECT 0 WHERE NOT EXISTS (SELECT * FROM total);
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON replies
    BEGIN UPDATE total SET bytes = bytes + new.bytes; END;
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON replies
    BEGIN UPDATE total SET bytes = bytes - old.bytes; END;
PRAGMA user_version = 1;
COMMIT;
"""
"""The SQL that creates the tables in a new file; triggers keep the total size up to date."""

_NEXT_USE = "(SELECT coalesce(max(used), 0) + 1 FROM replies)"
"""The SQL expression for the ``used`` of the row that is used now: uses are numbered."""


def question_key(messages: Messages, schema: Schema) -> str:
    """Return the key of a question: the SHA-256 of its messages and schema, in hexadecimal."""
    question = json.dumps([list(map(dict, messages)), dict(schema)], sort_keys=True)
    return sha256(question.encode()).hexdigest()


class ReplyCache:
    """Replies by key in one SQLite file, shared safely by threads and processes.

    Errors of the file never reach the caller: they are logged once, and the cache is bypassed.

    Args:
        path: The file. It is created at the first reply, and only its owner can read it.
        max_bytes: The limit of the replies' total size, in bytes; beyond it, the least recently
            used ones are evicted.
        make_folder: Whether to create a missing folder; otherwise the cache is bypassed.
        ready: Returns whether the file may be created by now; if not, the reply is not stored.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_bytes: int = _MAX_BYTES,
        make_folder: bool = True,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self.path = Path(path).absolute()  # the process may change its directory
        self._max_bytes = whole_number("max_bytes", max_bytes)
        self._make_folder = make_folder
        self._ready = ready
        self._off_until = 0.0
        self._has_warned = False

    def get(self, key: str) -> str | None:
        """Return the reply stored under a key; None if there is none, or the cache is bypassed."""
        return self._try(lambda: self._get(key))

    def put(self, key: str, reply: str) -> None:
        """Store a reply under a key, in place of any other."""
        self._try(lambda: self._put(key, replace_surrogates(reply)))

    def remove(self, key: str) -> None:
        """Delete the reply under a key."""
        self._try(lambda: self._remove(key))

    def _get(self, key: str) -> str | None:
        if not self.path.exists():
            return None
        with self._connection() as connection:
            row = connection.execute("SELECT reply FROM replies WHERE key = ?", [key]).fetchone()
            if row is None:
                return None
            # The use is not recorded if another process is writing, or the file is read-only.
            connection.execute("PRAGMA busy_timeout = 0")
            with suppress(sqlite3.OperationalError):
                connection.execute(f"UPDATE replies SET used = {_NEXT_USE} WHERE key = ?", [key])  # noqa: S608 - a constant
            return str(row[0])

    def _put(self, key: str, reply: str) -> None:
        size = len(reply.encode()) + _ROW_BYTES
        if size > self._max_bytes:
            return
        if not self.path.exists():
            if not self._ready():
                return
            if self._make_folder:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM replies WHERE key = ?", [key])
            connection.execute(
                f"INSERT INTO replies VALUES (?, ?, ?, {_NEXT_USE})",  # noqa: S608 - a constant
                [key, reply, size],
            )
            self._make_room(connection)
            connection.execute("COMMIT")

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Evict the least recently used replies until the size is within its limit."""
        excess = connection.execute("SELECT bytes FROM total").fetchone()[0] - self._max_bytes
        if excess <= 0:
            return
        evicted = []
        for key, size in connection.execute("SELECT key, bytes FROM replies ORDER BY used"):
            evicted.append([key])
            excess -= size
            if excess <= 0:
                break
        connection.executemany("DELETE FROM replies WHERE key = ?", evicted)

    def _remove(self, key: str) -> None:
        if self.path.exists():
            with self._connection() as connection:
                connection.execute("DELETE FROM replies WHERE key = ?", [key])

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one operation, and create its tables if there are none.

        No connection is kept, so none outlives a fork or is shared by threads.
        """
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        with closing(connection):
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if tables and version != _VERSION:
                raise sqlite3.DatabaseError("holds something else, or is of another version")
            if version != _VERSION:
                with suppress(sqlite3.OperationalError):  # another process is doing it right now
                    connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_TABLES)
            # Safe if the process is killed. A power cut may corrupt the file, but it is only a
            # cache; waiting for the disk would add some 25 ms to each reply, cached or new.
            connection.execute("PRAGMA synchronous = OFF")
            yield connection

    def _try(self, work: Callable[[], _T]) -> _T | None:
        """Return the result of an operation; None if it fails, or the cache is bypassed."""
        if time.monotonic() < self._off_until:
            return None
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            self._off_until = time.monotonic() + _REST_SECONDS
            if not self._has_warned:
                self._has_warned = True
                _log.warning(
                    "%s: the replies of models are not kept: %s; mend or delete the file",
                    self.path,
                    error,
                )
            return None


class CachedModel:
    """A model whose replies are cached.

    Args:
        model: The model.
        cache: The path of a file, or a ``ReplyCache``, which several models may share.
        identity: A text that identifies the model, for example by name, server and settings. By
            default, it is the model's name.
    """

    def __init__(
        self, model: ChatModel, cache: ReplyCache | str | Path, *, identity: str | None = None
    ) -> None:
        self._model = checked_model(model)
        self._cache = cache if isinstance(cache, ReplyCache) else ReplyCache(cache)
        self._identity = identity or model.name

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    def complete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """See ``ChatModel``; if the reply is cached, the model is not called."""
        key = self._key(messages, schema)
        cached = self._cache.get(key)
        if cached is not None:
            return _free_completion(cached)
        reply = self._model.complete(messages, schema, timeout=timeout)
        self._cache.put(key, reply.text)
        return reply

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """See ``ChatModel``; the file is read and written in worker threads."""
        key = self._key(messages, schema)
        cached = await asyncio.to_thread(self._cache.get, key)
        if cached is not None:
            return _free_completion(cached)
        reply = await self._model.acomplete(messages, schema, timeout=timeout)
        await asyncio.to_thread(self._cache.put, key, reply.text)
        return reply

    def forget(self, messages: Messages, schema: Schema) -> None:
        """Discard the cached reply to a question, because it was unusable."""
        self._cache.remove(self._key(messages, schema))

    def _key(self, messages: Messages, schema: Schema) -> str:
        question = f"{self._identity}\0{question_key(messages, schema)}"
        return sha256(question.encode("utf-8", "replace")).hexdigest()


def _free_completion(text: str) -> Completion:
    """Return a cached reply, which cost nothing."""
    return Completion(text, input_tokens=0, output_tokens=0, cached=True, calls=0)
