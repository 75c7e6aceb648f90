"""Calling API operations over HTTP."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from dataclasses import replace
from functools import cache
from secrets import token_hex
from typing import Any, TypeVar
from urllib.parse import unquote_plus

import httpx

from toolret.calling.requests import HttpRequest, build_request, is_operation, server_url
from toolret.calling.responses import LimitedBody, read_result
from toolret.calling.results import ToolResult, pauses_a_graph
from toolret.calling.security import Credentials, PlacedCredentials, place_credentials
from toolret.errors import CallError, InputError
from toolret.json_values import short_repr
from toolret.options import of_kind, whole_number
from toolret.tracing import log_error
from toolret.types import JsonObject, Tool

__all__ = ["HttpRunner"]

_log = logging.getLogger(__name__)

_Client = TypeVar("_Client", httpx.Client, httpx.AsyncClient)

_TIMEOUT = 30.0
"""Timeout in seconds of clients that are made here: how long a server may be silent."""

_ACCEPT = "application/json, text/*;q=0.9, */*;q=0.5"
"""The header ``Accept`` of requests without one: JSON first, then text, then anything."""

_REPLACEABLE_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-type", "user-agent"}
)
"""Headers that every client sends, and which a request may therefore replace."""


class HttpRunner:
    """Calls API operations that were read from OpenAPI documents.

    Args:
        credentials: Called for each secret that an operation needs, with what it is for and where
            it would be sent. Where it gives none for the header ``Authorization``, the client's own
            ``auth`` applies.
        base_url: Overrides scheme and host of the servers that the documents name; their paths are
            appended to it.
        origins: Servers that may be called, by scheme, host and port, such as
            ``["https://api.example.com"]``; their paths do not count. None for any.
            Documents name their servers themselves, so set this if ``client`` has credentials of
            its own.
        client: Sends ``call``s; by default a new client for each, with a timeout of 30 seconds.
            Redirects are never followed, whatever the client does otherwise: they may lead
            anywhere. Nor does it keep cookies of their responses: another user's call would send
            them.
        async_client: Sends ``acall``s.
        max_bytes: The most bytes of a response to keep; the text says so if there were more, or if
            the response had not ended after two minutes.

    Raises:
        InputError: If there are ``credentials``, but neither ``base_url`` nor ``origins`` to say
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
            raise InputError(
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
            _checked_origins([base_url])
            if not {"?", "#"}.isdisjoint(base_url):
                # It is not shown: a query may hold a key.
                raise InputError(
                    "base_url has a query or fragment: give scheme, host and path; a client= with "
                    "params of its own sends these with each request"
                )
        self.credentials = credentials
        self.origins = None if origins is None else _checked_origins(origins)
        self.base_url = base_url
        self.client = client
        self.async_client = async_client
        self.max_bytes = whole_number("max_bytes", max_bytes)

    def runs(self, tool: Tool) -> bool:
        """Whether the tool was read from an OpenAPI document."""
        return is_operation(tool)

    def request(self, tool: Tool, arguments: JsonObject) -> HttpRequest:
        """Return what ``call`` would send, including credentials; nothing is sent.

        Raises:
            CallError: If the server is not among the origins, the arguments do not fit, or
                credentials are missing.
        """
        return self._request(tool, arguments)[0]

    def _request(self, tool: Tool, arguments: JsonObject) -> tuple[HttpRequest, PlacedCredentials]:
        """Return a request and the credentials in it."""
        server = server_url(tool, self.base_url)
        origin = _origin_of(server)
        if self.origins is not None and origin not in self.origins:
            raise CallError(
                f"{tool.id!r} is of the server {short_repr(origin)}, which may not be called: it "
                "is none of the HttpRunner's origins"
            )
        if self.credentials is not None:  # which is not asked if the arguments are refused
            build_request(tool, arguments, server=server)
        placed = place_credentials(tool, origin, self.credentials)
        return build_request(tool, arguments, server=server, placed=placed), placed

    def call(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        """Send the request and read the response; not ``ok`` for a status of 300 or more, but 304.

        Raises:
            CallError: As ``request`` raises it, or if no response came.
        """
        request, placed = self._request(tool, arguments)
        with _mapped_errors(tool), self._client() as client:
            sent = _httpx_request(client, request, placed)
            auth = _auth(client, placed)
            response = client.send(sent, auth=auth, stream=True, follow_redirects=False)
            try:
                body = LimitedBody(self.max_bytes)
                for chunk in response.iter_bytes():
                    body.add(chunk)
                    if body.cut:
                        break
                return read_result(response, body, client, placed)
            finally:
                response.close()

    async def acall(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        """``call`` for event loops; credentials are asked for in a worker thread."""
        request, placed = await asyncio.to_thread(self._request, tool, arguments)
        with _mapped_errors(tool):
            async with self._async_client() as client:
                sent = _httpx_request(client, request, placed)
                auth = _auth(client, placed)
                response = await client.send(sent, auth=auth, stream=True, follow_redirects=False)
                try:
                    body = LimitedBody(self.max_bytes)
                    async for chunk in response.aiter_bytes():
                        body.add(chunk)
                        if body.cut:
                            break
                    return read_result(response, body, client, placed)
                finally:
                    await response.aclose()

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        if self.client is not None:
            yield _without_memory(self.client)
            return
        with httpx.Client(timeout=_TIMEOUT, verify=_tls_context()) as client:
            yield client

    @asynccontextmanager
    async def _async_client(self) -> AsyncIterator[httpx.AsyncClient]:
        if self.async_client is not None:
            yield _without_memory(self.async_client)
            return
        async with httpx.AsyncClient(timeout=_TIMEOUT, verify=_tls_context()) as client:
            yield client


@cache  # reading the certificates takes tens of milliseconds, and would keep an event loop waiting
def _tls_context() -> ssl.SSLContext:
    """Return the TLS settings of the clients that are made here: httpx's own."""
    return httpx.create_ssl_context()


def _without_memory(client: _Client) -> _Client:
    """Return a client that shares everything with another but the cookies that responses set."""
    once = copy(client)
    once.cookies = client.cookies  # which copies them
    return once


def _checked_origins(urls: Collection[str]) -> frozenset[str]:
    """Return the origins of servers.

    Raises:
        InputError: If one is not a URL with scheme and host.
    """
    if isinstance(urls, str):
        raise InputError(f"origins is the text {urls!r}: give a collection of servers")
    origins = set()
    for url in urls:
        try:
            origin = _origin_of(url)
        except CallError as exc:
            raise InputError(str(exc)) from exc
        if "" in origin.split("://"):
            raise InputError(
                f"the server {url!r} needs a scheme and a host: https://api.example.com"
            )
        origins.add(origin)
    return frozenset(origins)


def _origin_of(url: str) -> str:
    """Return scheme, host and port of a URL, normalised as the client that sends requests does.

    Raises:
        CallError: If that client cannot read the URL.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise CallError(f"the server {short_repr(url)} is no URL: {exc}") from exc
    return f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"


def _httpx_request(
    client: httpx.Client | httpx.AsyncClient, request: HttpRequest, placed: PlacedCredentials
) -> httpx.Request:
    """Return a request as httpx sends it.

    Headers, cookies and parameters that a client adds to all of its requests may be credentials, so
    no argument replaces them; credentials of the caller's hook do.
    """
    own = (
        client.headers.keys() - _REPLACEABLE_HEADERS - {name.lower() for name, _ in placed.headers}
    )
    cookies = dict(request.headers).get("Cookie")
    headers = [(k, v) for k, v in request.headers if k != "Cookie" and k.lower() not in own]
    sent = client.build_request(**_request_arguments(replace(request, headers=tuple(headers))))
    if cookies:  # httpx would send them instead of the client's
        of_client = "; ".join(sent.headers.get_list("Cookie"))
        sent.headers["Cookie"] = _join_pairs("; ", of_client, cookies, placed.cookies)
    if client.params:  # httpx would send them instead of the URL's query
        path, _, query = request.url.partition("?")
        sent.url = httpx.URL(f"{path}?{_join_pairs('&', str(client.params), query, placed.query)}")
    return sent


def _auth(client: httpx.Client | httpx.AsyncClient, placed: PlacedCredentials) -> httpx.Auth | None:
    """Return how a client authenticates: in no way of its own if the hook gave ``Authorization``.

    httpx would replace that by the client's ``auth``, or by a user whom the document's URL names.
    """
    is_given = any(name.lower() == "authorization" for name, _ in placed.headers)
    return httpx.Auth() if is_given else client.auth


def _join_pairs(
    separator: str, own: str, requested: str, secrets: Collection[tuple[str, str]]
) -> str:
    """Join a client's own pairs with those of a request; for a name in both, the client's win.

    Args:
        separator: The text between two pairs.
        own: The client's pairs.
        requested: The request's pairs.
        secrets: Credentials among the request's pairs, which win over the client's.
    """
    secret = {unquote_plus(name) for name, _ in secrets}
    own_pairs, requested_pairs = (
        list(filter(None, pairs.split(separator))) for pairs in (own, requested)
    )
    joined = [pair for pair in own_pairs if _pair_name(pair) not in secret]
    names = set(map(_pair_name, joined))
    joined += [pair for pair in requested_pairs if _pair_name(pair) not in names]
    return separator.join(joined)


def _pair_name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


def _request_arguments(request: HttpRequest) -> dict[str, Any]:
    """Return the arguments for httpx's ``build_request``."""
    headers = list(request.headers)
    if not any(name.lower() == "accept" for name, _ in headers):
        headers.insert(0, ("Accept", _ACCEPT))
    if request.parts:  # httpx would keep a client's own Content-Type
        headers.append(("Content-Type", f"multipart/form-data; boundary={token_hex(16)}"))
    arguments: dict[str, Any] = {
        "method": request.method,
        "url": request.url,
        # As bytes, since httpx encodes strings as ASCII.
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    if request.content is not None:
        arguments["content"] = request.content
    if request.parts:
        arguments["files"] = list(request.parts)
    return arguments


@contextmanager
def _mapped_errors(tool: Tool) -> Iterator[None]:
    """Raise the client's errors as ``CallError``, without URL or headers: they may hold secrets.

    What the caller's own code in the client raises, such as its ``event_hooks``, is logged.
    """
    method, path = tool.metadata["method"], tool.metadata["path"]
    try:
        yield
    except httpx.TimeoutException as exc:
        raise CallError(f"{method} {path}: the server did not answer in time") from exc
    except (httpx.RequestError, httpx.InvalidURL, httpx.StreamError) as exc:
        # The message of a ``LocalProtocolError`` quotes what the client refuses to send.
        message = "" if isinstance(exc, httpx.LocalProtocolError) else str(exc)
        reason = f"{type(exc).__name__}: {message}".rstrip(": ")
        raise CallError(f"{method} {path}: no answer came ({reason})") from exc
    except Exception as exc:
        if isinstance(exc, CallError) or pauses_a_graph(exc):
            raise
        log_error(_log, "the HTTP client", exc)
        reason = type(exc).__name__
        if isinstance(exc, httpx.HTTPStatusError):  # of this response, or of one that gives tokens
            reason += f" ({exc.response.status_code} {exc.response.reason_phrase})"
        raise CallError(f"{method} {path}: the HTTP client raised {reason}") from exc
