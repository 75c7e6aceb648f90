"""A Chroma server as an engine, through its documented HTTP API (version 2).

Chroma's own client has no timeouts, and importing it takes longer than opening an index. An index
has two collections: ``NAME`` with one record and vector per tool or demonstration, which other
clients may search; and ``NAME.ledger`` with the bookkeeping.
"""

from __future__ import annotations

import base64
import os
import re
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx
import numpy as np
from numpy.typing import NDArray
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from toolret.errors import StoreError
from toolret.forking import RenewedLock
from toolret.stores.engines import Document, Fields, batches, holds
from toolret.stores.ledger import is_record

__all__ = ["ChromaEngine"]

_BATCH = 1_000
"""Documents per request; servers accept about 5,000."""

_TRIES = 4
"""Attempts before a server counts as unreachable; all requests are idempotent."""

_DEFAULTS = ("default_tenant", "default_database")
"""Chroma's own names of the tenant and the database where a URL gives none."""

_UNWELL = frozenset({429, 502, 503, 504})
"""HTTP statuses that are retried: the server, or its proxy, is starting, stopping or overloaded."""

_SHOWN = 200
"""Number of characters of an error response that are shown: enough for Chroma's messages."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,498}[a-zA-Z0-9]")
"""Names that Chroma accepts, leaving room for the second collection's suffix."""

_CONFIGURATION = {"hnsw": {"space": "cosine"}}
"""Configuration of new collections: unit vectors are compared by cosine when others search them."""

_NO_VECTOR = np.ones(1, np.float32)
"""Placeholder vector of bookkeeping documents: Chroma requires one."""


class _NotFoundError(StoreError):
    """The server does not have what was asked for."""


class ChromaEngine:
    """An index in a Chroma server.

    Args:
        url: ``http://HOST:PORT/NAME`` or ``https://HOST/TENANT/DATABASE/NAME``.
        headers: Sent with each request, such as ``{"x-chroma-token": ...}``.
        timeout: Timeout of one request in seconds.
        verify: Certificates to trust, as in ``httpx``, such as an ``ssl.SSLContext``.

    Raises:
        StoreError: If the URL names no index, or holds credentials.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        verify: Any = True,
    ) -> None:
        database_url, self._name = _split_url(url)
        self.place = url.rstrip("/")
        self._new_client = partial(
            httpx.Client,
            base_url=database_url,
            headers=headers,
            timeout=timeout,
            verify=verify,
        )
        self._connect()
        self._patient = Retrying(
            stop=stop_after_attempt(_TRIES) | stop_after_delay(timeout),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            retry=retry_if_exception_type(httpx.TransportError),
            reraise=True,
        )
        self._paths: dict[str, str] = {}
        self._looking_up = RenewedLock()

    def get(self, names: Sequence[str]) -> dict[str, Fields]:
        """Return the documents that exist."""
        stored: dict[str, Fields] = {}
        for answer in self._look_up(names, ["metadatas"]):
            with self._parsing():
                pairs = zip(answer["ids"], answer["metadatas"], strict=True)
                stored |= {name: dict(fields or {}) for name, fields in pairs}
        return stored

    def present(self, names: Sequence[str]) -> set[str]:
        """Return which documents exist; whether they are damaged is not checked."""
        present: set[str] = set()
        for answer in self._look_up(names, []):
            with self._parsing():
                present.update(answer["ids"])
        return present

    def put(self, documents: Sequence[Document]) -> None:
        """Store documents, replacing those of the same name."""
        self._store("upsert", documents)

    def create(self, document: Document) -> bool:
        """Store a document unless its name is taken: the server ignores existing ids."""
        self._store("add", [document])
        return holds(self.get([document.name]), document)

    def delete(self, names: Sequence[str]) -> None:
        """Remove documents; unknown names are ignored."""
        for collection, batch in self._by_collection(names):
            self._send(f"{collection}/delete", {"ids": batch})

    def _look_up(self, names: Sequence[str], include: Sequence[str]) -> list[Any]:
        """Return the server's answers about the documents of these names."""

        def answers() -> list[Any]:
            return [
                self._send(f"{collection}/get", {"ids": batch, "include": include})
                for collection, batch in self._by_collection(names)
            ]

        try:
            return answers()
        except _NotFoundError:  # a collection created again has another id, to be looked up
            return answers()

    def _store(self, operation: str, documents: Sequence[Document]) -> None:
        by_name = {document.name: document for document in documents}
        for collection, batch in self._by_collection(list(by_name), create=True):
            chosen = [by_name[name] for name in batch]
            vectors = [_NO_VECTOR if d.vector is None else d.vector for d in chosen]
            body = {
                "ids": batch,
                "embeddings": [_as_text(vector) for vector in vectors],
                "metadatas": [document.fields for document in chosen],
            }
            self._send(f"{collection}/{operation}", body)

    def _by_collection(
        self, names: Sequence[str], *, create: bool = False
    ) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield each collection's path with a batch of its names; skip missing collections."""
        for suffix, of_records in (("", True), (".ledger", False)):
            own = [name for name in names if is_record(name) is of_records]
            if own and (path := self._collection(self._name + suffix, create=create)):
                for batch in batches(own, _BATCH):
                    yield path, batch

    def _collection(self, name: str, *, create: bool) -> str | None:
        """Return a collection's path on the server; None if it does not exist."""
        with self._looking_up.current:
            if name not in self._paths:
                if create:
                    body = {"name": name, "get_or_create": True, "configuration": _CONFIGURATION}
                    collection = self._send("/collections", body)
                else:
                    collection = self._send(f"/collections/{quote(name, safe='')}", None)
                    if collection is None:
                        return None
                with self._parsing():
                    self._paths[name] = f"/collections/{collection['id']}"
            return self._paths[name]

    def _send(self, path: str, body: Mapping[str, Any] | None) -> Any:
        """Send a request (GET if ``body`` is None); a GET returns None if nothing is found."""
        try:
            response = self._patient(self._request, path, body)
        except httpx.HTTPError as error:
            raise StoreError(
                f"{self.place}: the Chroma server cannot be reached: "
                f"{error or type(error).__name__}; see that it runs and that the address is right"
            ) from error
        if response.status_code == httpx.codes.NOT_FOUND:
            self._paths.clear()
            if body is None:
                return None
        if response.is_error:
            advice = "; give `headers` that it knows" if response.status_code in (401, 403) else ""
            missing = response.status_code == httpx.codes.NOT_FOUND
            raise (_NotFoundError if missing else StoreError)(
                f"{self.place}: the Chroma server answers {response.status_code}: "
                f"{response.text[:_SHOWN]}{advice}"
            )
        with self._parsing():
            answer = response.json()
            if body is None and answer is None:
                raise ValueError("no collection is described")
            return answer

    @contextmanager
    def _parsing(self) -> Iterator[None]:
        """Raise ``StoreError`` if a response does not look like Chroma's."""
        try:
            yield
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(f"{self.place}: what answers there is no Chroma server") from error

    def _connect(self) -> None:
        self._client, self._process = self._new_client(), os.getpid()
        weakref.finalize(self, self._client.close)  # there is no close()

    def _request(self, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        if self._process != os.getpid():  # after a fork, parent and child would share a socket
            self._connect()
        response = self._client.request("GET" if body is None else "POST", path, json=body)
        if response.status_code in _UNWELL:
            raise httpx.NetworkError(f"it answers {response.status_code}")
        return response


def _split_url(url: str) -> tuple[str, str]:
    """Return the URL of the API of an index's database, and the name of the index in it.

    Raises:
        StoreError: If the index's URL names no index, or holds credentials.
    """
    try:
        parts = urlsplit(url)
        httpx.URL(url, port=parts.port)  # each rejects URLs that the other accepts
    except (ValueError, httpx.InvalidURL) as error:
        # Do not show the URL: it may hold credentials.
        raise StoreError(f"the index's URL cannot be read: {error}") from error
    names = [unquote(name) for name in parts.path.strip("/").split("/") if name]
    if parts.username or parts.password:
        raise StoreError("an index's URL holds no credentials: give them in `headers`")
    if len(names) not in (1, 3) or not parts.hostname or parts.query or parts.fragment:
        raise StoreError(
            f"{url}: names no index: write http://HOST:PORT/NAME, or with a tenant "
            "http://HOST:PORT/TENANT/DATABASE/NAME"
        )
    if not _NAME.fullmatch(names[-1]):
        raise StoreError(
            f"{url}: {names[-1]!r} cannot be an index's name: it needs 3 to 500 characters, "
            "letters, digits, dots, underscores and hyphens, a letter or digit first and last"
        )
    tenant, database = names[:2] if len(names) == 3 else _DEFAULTS
    base = f"{parts.scheme}://{parts.netloc}/api/v2/tenants/{quote(tenant, safe='')}"
    return f"{base}/databases/{quote(database, safe='')}", names[-1]


def _as_text(vector: NDArray[np.float32]) -> str:
    """Encode a vector for Chroma's API, in a quarter of the size of a list of numbers."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
