"""Calling API operations over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from http import HTTPStatus
from secrets import token_hex
from typing import Any
from urllib.parse import unquote_plus

import httpx

from toolret.calling.outcome import Outcome
from toolret.calling.requests import HttpRequest, build_request, server_url
from toolret.calling.security import Credentials, Placed, placed_credentials
from toolret.errors import CallError
from toolret.json_values import short_repr
from toolret.options import of_kind, whole_number
from toolret.types import JsonObject, Tool

__all__ = ["HttpRunner"]

_TIMEOUT = 30.0
"""Timeout in seconds, for a server's silence, of clients that are made here."""

_MAX_SECONDS = 120.0
"""How long a response is read once it has begun: a stream of events may never end."""

_LEAST_SECRET = 8
"""Length from which a client's own value is a secret even within a word; others, such as the
version of an API, may be part of one by chance."""

_NOTHING = r"(?!)"
_SERVER = re.compile(r"^((?:[a-zA-Z][\w+.-]*:)?(?://[^/#]*)?)")
"""The server at the beginning of an address, if it names one."""

_ACCEPT = "application/json, text/*;q=0.9, */*;q=0.5"

_USUAL = frozenset({"accept", "accept-encoding", "connection", "content-type", "user-agent"})
"""Headers that every client sends, and that a request may change."""

_TEXTUAL = ("json", "text/", "xml", "yaml", "csv", "javascript", "x-www-form-urlencoded")


class HttpRunner:
    """Calls API operations that were read from OpenAPI documents.

    Args:
        credentials: Called for each secret that an operation needs, with what it is for and where
            it would be sent. Without it nothing is added, and the client's own ``auth`` applies.
        base_url: Overrides scheme and host of the servers that the documents name; their paths are
            appended to it.
        origins: Servers that may be called, such as ``["https://api.example.com"]``; None for any.
            Documents name their servers themselves, so set this if ``client`` has credentials of
            its own.
        client: Sends ``call``s; by default a new client for each, with a timeout of 30 seconds.
            Redirects are never followed, whatever the client does otherwise: they may lead
            anywhere.
        async_client: Sends ``acall``s.
        max_bytes: The most bytes of a response to keep; the text says so if there were more, or if
            the response had not ended after two minutes.

    Raises:
        ValueError: If there are ``credentials``, but neither ``base_url`` nor ``origins`` to say
            where they may go; if an origin or ``base_url`` is not a URL with scheme and host; or if
            ``max_bytes`` is not 1 or more.
        TypeError: If ``credentials`` are no function, or a client is of another kind.
    """

    def __init__(
        self,
        *,
        credentials: Credentials | None = None,
        base_url: str | None = None,
        origins: Collection[str] | None = None,
        client: httpx.Client | None = None,
        async_client: httpx.AsyncClient | None = None,
        max_bytes: int = 1_000_000,
    ) -> None:
        if credentials is not None and base_url is None and origins is None:
            raise ValueError(
                "credentials need base_url or origins: a document names its server itself, so say "
                "where secrets may go"
            )
        if credentials is not None and not callable(credentials):
            # The value is not shown: it may be the secret itself.
            raise TypeError(
                f"credentials are of the type {type(credentials).__name__}: give a function that "
                "is told what a secret is for, and returns it"
            )
        give = "with a timeout of your choice, or None"
        of_kind("client", client, httpx.Client | None, f"an httpx.Client {give}")
        of_kind("async_client", async_client, httpx.AsyncClient | None, f"an AsyncClient {give}")
        if base_url is not None:
            _origins([base_url])
        self.credentials = credentials
        self.origins = None if origins is None else _origins(origins)
        self.base_url = base_url
        self.client = client
        self.async_client = async_client
        self.max_bytes = whole_number("max_bytes", max_bytes, error=ValueError)

    def runs(self, tool: Tool) -> bool:
        """Whether the tool was read from an OpenAPI document."""
        return {"method", "path", "server", "arguments"} <= tool.metadata.keys()

    def request(self, tool: Tool, arguments: JsonObject) -> HttpRequest:
        """Return what ``call`` would send, including credentials; nothing is sent.

        Raises:
            CallError: If the server is not among the origins, the arguments do not fit, or
                credentials are missing.
        """
        return self._request(tool, arguments)[0]

    def _request(self, tool: Tool, arguments: JsonObject) -> tuple[HttpRequest, Placed]:
        """Return a request, and the credentials in it."""
        server = server_url(tool, self.base_url)
        origin = _origin(server)
        if self.origins is not None and origin not in self.origins:
            raise CallError(
                f"{tool.id!r} is of the server {short_repr(origin)}, which may not be called: it "
                "is none of the HttpRunner's origins"
            )
        placed = placed_credentials(tool, origin, self.credentials)
        return build_request(tool, arguments, server=server, placed=placed), placed

    def call(self, tool: Tool, arguments: JsonObject) -> Outcome:
        """Send the request and read the response; not ``ok`` for a status of 400 or more.

        Raises:
            CallError: As ``request`` raises it, or if no response came.
        """
        request, placed = self._request(tool, arguments)
        with _faults_of(tool), self._client() as client:
            built = _built(client, request, placed)
            response = client.send(built, stream=True, follow_redirects=False)
            try:
                kept = _Kept(self.max_bytes)
                for chunk in response.iter_bytes():
                    if kept.is_cut_by(chunk):
                        break
                return _outcome(response, kept, _secrets(client, placed))
            finally:
                response.close()

    async def acall(self, tool: Tool, arguments: JsonObject) -> Outcome:
        """``call`` for event loops; credentials are asked for in a worker thread."""
        request, placed = await asyncio.to_thread(self._request, tool, arguments)
        with _faults_of(tool):
            async with self._async_client() as client:
                built = _built(client, request, placed)
                response = await client.send(built, stream=True, follow_redirects=False)
                try:
                    kept = _Kept(self.max_bytes)
                    async for chunk in response.aiter_bytes():
                        if kept.is_cut_by(chunk):
                            break
                    return _outcome(response, kept, _secrets(client, placed))
                finally:
                    await response.aclose()

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        if self.client is not None:
            yield self.client
            return
        with httpx.Client(timeout=_TIMEOUT) as client:
            yield client

    @asynccontextmanager
    async def _async_client(self) -> AsyncIterator[httpx.AsyncClient]:
        if self.async_client is not None:
            yield self.async_client
            return
        async with httpx.AsyncClient(timeout=_TIMEOUT) as client:
            yield client


class _Kept:
    """What is kept of a response.

    Attributes:
        data: The bytes.
        cut: Why there are no more; empty if the response ended.
    """

    def __init__(self, most: int) -> None:
        self.data = bytearray()
        self.cut = ""
        self._most = most
        self._until = time.monotonic() + _MAX_SECONDS

    def is_cut_by(self, chunk: bytes) -> bool:
        """Add bytes; whether no more are kept."""
        self.data += chunk
        if len(self.data) > self._most:
            del self.data[self._most :]
            self.cut = f"the response is longer than {self._most:,} bytes"
        elif time.monotonic() > self._until:
            self.cut = f"the response did not end within {_MAX_SECONDS:g} seconds"
        return bool(self.cut)


def _outcome(response: httpx.Response, kept: _Kept, secrets: re.Pattern[str]) -> Outcome:
    status = response.status_code
    ok = status < HTTPStatus.BAD_REQUEST
    value, text = _read(response, kept)
    if kept.cut:
        text += f"\n(cut: {kept.cut})"
    if not ok or not kept.data or response.has_redirect_location:
        about = f"HTTP {status} {response.reason_phrase}".strip()
        if response.has_redirect_location:
            about += f", which leads to {_without(secrets, response.headers['location'])}"
        text = f"{about}: {text}" if kept.data else about
    return Outcome(text=text, value=value, ok=ok, status=status)


def _secrets(client: httpx.Client | httpx.AsyncClient, placed: Placed) -> re.Pattern[str]:
    """Return what finds secrets that were sent in the query: keys, and the client's own values."""
    found = {re.escape(unquote_plus(value)) for _, value in placed.query if value}
    for _, value in client.params.multi_items():
        if len(value) >= _LEAST_SECRET:
            found.add(re.escape(value))
        elif value:
            found.add(rf"(?<!\w){re.escape(value)}(?!\w)")
    return re.compile("|".join(sorted(found)) or _NOTHING)


def _without(secrets: re.Pattern[str], location: str) -> str:
    """Return where a redirect leads, which often quotes the whole URL that was asked for."""

    def is_told(part: str) -> bool:
        # In a link to a page for signing in, the URL stands encoded.
        return not secrets.search(unquote_plus(unquote_plus(part)))

    address, mark, query = location.partition("?")
    _, server, path = _SERVER.split(address, maxsplit=1)
    path = "/".join(part if is_told(part) else "..." for part in path.split("/"))
    parts = query.split("&")
    for place, part in enumerate(parts):
        if not is_told(part):
            name = part.partition("=")[0]
            parts[place] = f"{name if is_told(name) else ''}=..."
    return server + (path if is_told(path) else "/...") + mark + "&".join(parts)


def _origins(urls: Collection[str]) -> frozenset[str]:
    if isinstance(urls, str):
        raise ValueError(f"origins is the text {urls!r}: give a collection of servers")
    origins = set()
    for url in urls:
        try:
            origin = _origin(url)
        except CallError as exc:
            raise ValueError(str(exc)) from exc
        if "" in origin.split("://"):
            raise ValueError(
                f"the server {url!r} needs a scheme and a host: https://api.example.com"
            )
        origins.add(origin)
    return frozenset(origins)


def _origin(url: str) -> str:
    """Return scheme, host and port, normalised as the client that sends the request reads them.

    Raises:
        CallError: If that client cannot read the URL.
    """
    try:
        read = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise CallError(f"the server {short_repr(url)} is no URL: {exc}") from exc
    return f"{read.scheme}://{read.netloc.decode('ascii')}"


def _built(
    client: httpx.Client | httpx.AsyncClient, request: HttpRequest, placed: Placed
) -> httpx.Request:
    """Return a request as httpx sends it.

    What a client adds to all of its requests may be credentials, so no argument replaces it; those
    of the caller's hook do.
    """
    own = client.headers.keys() - _USUAL - {name.lower() for name, _ in placed.headers}
    cookies = dict(request.headers).get("Cookie")
    headers = [(k, v) for k, v in request.headers if k != "Cookie" and k.lower() not in own]
    built = client.build_request(**_sent(replace(request, headers=tuple(headers))))
    if cookies:  # httpx would send them instead of the client's
        of_client = "; ".join(built.headers.get_list("Cookie"))
        built.headers["Cookie"] = _joined("; ", of_client, cookies, placed.cookies)
    if client.params:  # httpx would send them instead of the URL's query
        path, _, query = request.url.partition("?")
        built.url = httpx.URL(f"{path}?{_joined('&', str(client.params), query, placed.query)}")
    return built


def _joined(between: str, own: str, given: str, secrets: Collection[tuple[str, str]]) -> str:
    """Join a client's own pairs with those of a request; of one name, the client's are sent.

    Args:
        between: What stands between two pairs.
        own: The client's pairs.
        given: The request's pairs.
        secrets: Credentials among those of the request, which go before the client's.
    """
    secret = {unquote_plus(name) for name, _ in secrets}
    kept = [pair for pair in filter(None, own.split(between)) if _name(pair) not in secret]
    names = set(map(_name, kept))
    kept += [pair for pair in filter(None, given.split(between)) if _name(pair) not in names]
    return between.join(kept)


def _name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


def _sent(request: HttpRequest) -> dict[str, Any]:
    """Return the arguments for httpx's ``build_request``."""
    headers = [("Accept", _ACCEPT)] if not _has(request, "accept") else []
    headers += request.headers
    if request.parts:  # said here, since httpx leaves a client's own Content-Type as it is
        headers.append(("Content-Type", f"multipart/form-data; boundary={token_hex(16)}"))
    sent: dict[str, Any] = {
        "method": request.method,
        "url": request.url,
        # As bytes, since httpx encodes strings as ASCII.
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    if request.content is not None:
        sent["content"] = request.content
    if request.parts:
        sent["files"] = list(request.parts)
    return sent


def _has(request: HttpRequest, header: str) -> bool:
    return any(name.lower() == header for name, _ in request.headers)


def _read(response: httpx.Response, kept: _Kept) -> tuple[Any, str]:
    """Return JSON values, text or bytes, as the response's content type says, and their text."""
    media_type = response.headers.get("content-type", "").lower()
    data = bytes(kept.data)
    if not data:
        return None, ""
    if media_type and not any(mark in media_type for mark in _TEXTUAL):
        return data, f"({media_type}, {len(data):,} bytes)"
    text = _decoded(response, data, is_json="json" in media_type)
    if "json" in media_type and not kept.cut:
        with suppress(RecursionError, ValueError):
            value = json.loads(text)
            return value, value if isinstance(value, str) else text
    return text, text


def _decoded(response: httpx.Response, data: bytes, *, is_json: bool) -> str:
    if is_json:  # which is Unicode whatever its charset says, except from old servers
        with suppress(UnicodeDecodeError):
            return data.decode(json.detect_encoding(data))
    try:
        return data.decode(response.encoding or "utf-8", "replace")
    except LookupError:  # a codec of Python's that is not for text
        return data.decode("utf-8", "replace")


@contextmanager
def _faults_of(tool: Tool) -> Iterator[None]:
    """Raise the client's errors as ``CallError``, without URL or headers: they may hold secrets."""
    method, path = tool.metadata["method"], tool.metadata["path"]
    try:
        yield
    except httpx.TimeoutException as exc:
        raise CallError(f"{method} {path}: the server did not answer in time") from exc
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as exc:
        # This error quotes what the client refuses to send.
        told = "" if isinstance(exc, httpx.LocalProtocolError) else str(exc)
        reason = f"{type(exc).__name__}: {told}".rstrip(": ")
        raise CallError(f"{method} {path}: no answer came ({reason})") from exc
