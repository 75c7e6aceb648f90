"""Reading the response to a call, as far as it is kept, into the call's result."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import httpx

from toolret.calling.redirects import secret_pattern, without_secrets
from toolret.calling.results import ToolResult
from toolret.calling.security import PlacedCredentials

__all__ = ["LimitedBody", "read_result"]

_MAX_SECONDS = 120.0
"""Most seconds to read a response once it has begun: a stream of events may never end."""

_TEXTUAL_MARKS = ("json", "text/", "xml", "yaml", "csv", "javascript", "x-www-form-urlencoded")
"""Parts of the media types whose content is text; any other content is returned as bytes."""


class LimitedBody:
    """The body of a response, as far as it is kept.

    Args:
        max_bytes: The most bytes to keep.

    Attributes:
        data: The bytes read so far.
        cut: Why no more are kept; empty as long as the body is complete.
    """

    def __init__(self, max_bytes: int) -> None:
        self.data = bytearray()
        self.cut = ""
        self._max_bytes = max_bytes
        self._deadline = time.monotonic() + _MAX_SECONDS

    def add(self, chunk: bytes) -> None:
        """Add bytes; if they are too many, or came too late, ``cut`` says so."""
        self.data += chunk
        if len(self.data) > self._max_bytes:
            del self.data[self._max_bytes :]
            self.cut = f"the response is longer than {self._max_bytes:,} bytes"
        elif time.monotonic() > self._deadline:
            self.cut = f"the response did not end within {_MAX_SECONDS:g} seconds"


def read_result(
    response: httpx.Response,
    body: LimitedBody,
    client: httpx.Client | httpx.AsyncClient,
    placed: PlacedCredentials,
) -> ToolResult:
    """Return a response as a call's result; the text names the status unless all went well."""
    status = response.status_code
    # What is not modified is no redirect: it answers a condition that the request had.
    ok = status < HTTPStatus.MULTIPLE_CHOICES or status == HTTPStatus.NOT_MODIFIED
    value, text = _value_and_text(response, body)
    if body.cut:
        text += f"\n(cut: {body.cut})"
    if not ok or not body.data:
        status_line = f"HTTP {status} {response.reason_phrase}".strip()
        if not ok and (wait := response.headers.get("retry-after")):
            status_line += f" (Retry-After: {wait})"
        if response.has_redirect_location:
            secrets = secret_pattern(client, placed)
            location = without_secrets(secrets, response.headers["location"])
            status_line += f", which leads to {location}"
        if not ok and status < HTTPStatus.BAD_REQUEST:
            status_line += " (redirects are not followed)"
        text = f"{status_line}: {text}" if body.data else status_line
    return ToolResult(text=text, value=value, ok=ok, status=status)


def _value_and_text(response: httpx.Response, body: LimitedBody) -> tuple[Any, str]:
    """Return a body as JSON values, text or bytes, as its content type says, and as text."""
    media_type = response.headers.get("content-type", "").lower()
    data = bytes(body.data)
    if not data:
        return None, ""
    if media_type and not any(mark in media_type for mark in _TEXTUAL_MARKS):
        return data, f"({media_type}, {len(data):,} bytes)"
    text = _decode(response, data, is_json="json" in media_type)
    if "json" in media_type and not body.cut:
        with suppress(RecursionError, ValueError):
            value = json.loads(text)
            return value, value if isinstance(value, str) else text
    return text, text


def _decode(response: httpx.Response, data: bytes, *, is_json: bool) -> str:
    """Return a body as text; bytes that are invalid in its encoding are replaced."""
    if is_json:  # JSON is Unicode whatever its charset says, except from old servers
        with suppress(UnicodeDecodeError):
            return data.decode(json.detect_encoding(data))
    try:
        return data.decode(response.encoding or "utf-8", "replace")
    except LookupError:  # the charset names a codec of Python that is not for text
        return data.decode("utf-8", "replace")
