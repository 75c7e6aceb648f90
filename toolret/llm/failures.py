"""Turn every failure of a model call into one error type that says how to react."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any

from toolret.errors import QueryGenerationError

__all__ = ["ModelError", "call_failure", "empty_reply", "response_failure"]

_LONGEST_REASON = 200
"""Characters of another library's error message to pass on."""

_TOO_MANY, _SERVER = 429, 500
"""HTTP statuses: too many requests, and the first of the server errors."""

_REQUEST_AT_FAULT = frozenset({400, 413, 422})
"""HTTP statuses that blame the request: too long, or malformed."""

_TRANSIENT_CODES = frozenset({"rate_limit_exceeded", "server_error"})
"""Error codes that OpenAI's servers send in place of a transient status."""

_CONNECTION_ERRORS = frozenset(
    {"APIConnectionError", "ConnectionError", "TimeoutError", "TransportError"}
)
"""Base classes of connection errors in ``openai`` and ``anthropic``, Python, and ``httpx``.
Compared by name, so that none of them is imported."""

_USED_UP = frozenset({"length", "max_output_tokens", "max_tokens"})
"""Reasons for which OpenAI's and Anthropic's models stop when they may write no more."""

_CUT_OFF = "LengthFinishReasonError"
"""Raised by the ``openai`` package, for LangChain too, if a reply that follows a schema is cut."""

_KEYS = ("authorization", "api-key", "x-api-key")
"""Headers that hold API keys: OpenAI's, Azure's and Anthropic's."""

_SHORTEST_KEY = 8
"""Fewest characters of a key to mask; shorter ones are placeholders for local servers, and may be
ordinary words of the message."""

_QUERY = re.compile(r"\?[\w.~%\[\]-]+=[^\s'\"<>)]*")
"""The query of a URL, possibly truncated: it may hold a Google API key, or a signature."""


class ModelError(QueryGenerationError):
    """A call of a model failed.

    Attributes:
        transient: Whether the same call may succeed a little later.
        blames_request: Whether the model works, but rejects this request.
        retry_after: Seconds after which the server allows a retry; None if unknown.
        input_tokens: Tokens that the call read; None if unknown, as after a timeout.
        output_tokens: Tokens that it wrote; None likewise.
    """

    def __init__(
        self,
        message: str,
        *,
        transient: bool = False,
        blames_request: bool = False,
        retry_after: float | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
    ) -> None:
        super().__init__(message)
        self.transient = transient
        self.blames_request = blames_request
        self.retry_after = retry_after
        self.calls = 1
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens


def call_failure(error: BaseException) -> QueryGenerationError:
    """Convert an exception to a one-line error; only 429, 5xx and network errors are transient.

    Errors are classified by an HTTP status, as on the exceptions of ``openai``, ``anthropic`` and
    ``httpx``, or by the name of a class.
    """
    if isinstance(error, QueryGenerationError):
        return error
    if type(error).__name__ == _CUT_OFF:
        usage = getattr(getattr(error, "completion", None), "usage", None)
        read, wrote = (getattr(usage, f"{kind}_tokens", None) for kind in ("prompt", "completion"))
        return empty_reply("length", input_tokens=read, output_tokens=wrote)
    message = _in_one_line(_without_keys(_said(error), error))
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    if not isinstance(status, int):
        status = None
    failed = ModelError(
        f"{type(error).__name__}: {message}".rstrip(": "),
        transient=_is_of_connection(error) or _may_pass(status),
        blames_request=status in _REQUEST_AT_FAULT,
        retry_after=_retry_after(getattr(response, "headers", None)),
        # A server that answers with an error has no model read or write.
        input_tokens=None if status is None else 0,
        output_tokens=None if status is None else 0,
    )
    failed.__cause__ = error
    return failed


def response_failure(error: Any) -> ModelError:
    """Convert an error reported in a response of status 200 by a gateway: a text or an object."""
    told = error if isinstance(error, Mapping) else vars(error) if hasattr(error, "code") else {}
    code = told.get("code")
    status = int(str(code)) if str(code).isdecimal() else None
    return ModelError(
        f"the server's answer is an error: {_in_one_line(str(told.get('message') or error))}",
        transient=code in _TRANSIENT_CODES or _may_pass(status),
        blames_request=status in _REQUEST_AT_FAULT,
        input_tokens=0,
        output_tokens=0,
    )


def empty_reply(
    reason: Any, *, input_tokens: int | None = None, output_tokens: int | None = None
) -> ModelError:
    """Return the error for an empty reply.

    Args:
        reason: Why the model stopped, in its server's words, if it says so.
        input_tokens: Tokens that were read; None if unknown.
        output_tokens: Tokens that were written; None likewise.
    """
    message = "the model gave an empty reply"
    if reason in _USED_UP:
        message = (
            f"the model used up its tokens before it had answered ({reason}): raise how many it "
            "may write, or let it think less"
        )
    elif isinstance(reason, str) and reason not in ("", "stop", "end_turn"):
        message += f" ({reason:.40})"
    return ModelError(message, input_tokens=input_tokens, output_tokens=output_tokens)


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a message that cannot be made is none
        return ""


def _in_one_line(message: str) -> str:
    return " ".join(_QUERY.sub("", message).split())[:_LONGEST_REASON]


def _may_pass(status: int | None) -> bool:
    return status is not None and (status == _TOO_MANY or status >= _SERVER)


def _without_keys(message: str, error: BaseException) -> str:
    """Mask the request's API key in a message, since servers may echo it."""
    try:
        headers = getattr(getattr(error, "request", None), "headers", None)
    except RuntimeError:  # raised by ``httpx`` errors that have no request
        return message
    if not isinstance(headers, Mapping):
        return message
    for name in _KEYS:
        key = str(headers.get(name, "")).removeprefix("Bearer ").strip()
        if len(key) >= _SHORTEST_KEY:
            message = message.replace(key, "***")
    return message


def _is_of_connection(error: BaseException) -> bool:
    return any(kind.__name__ in _CONNECTION_ERRORS for kind in type(error).__mro__)


def _retry_after(headers: Any) -> float | None:
    """Parse ``Retry-After`` as seconds, from a number or a date (RFC 9110, section 10.2.3)."""
    value = headers.get("retry-after") if isinstance(headers, Mapping) else None
    if not isinstance(value, str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        date = email.utils.parsedate_tz(value)
        if date is None:
            return None
        try:
            seconds = email.utils.mktime_tz(date) - time.time()
        except (ValueError, OverflowError):  # a year that no calendar has
            return None
    return max(seconds, 0.0) if seconds < float("inf") else None
