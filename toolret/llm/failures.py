"""``LLMCallError``, to which every failure of a model call is converted; it says how to react."""

from __future__ import annotations

import email.utils
import logging
import re
import time
from collections.abc import Mapping
from typing import Any

from toolret.errors import LLMError, ToolretError, message_of
from toolret.tracing import log_error

__all__ = ["LLMCallError", "call_failure", "empty_reply", "foreign_failure", "response_failure"]

_LONGEST_REASON = 200
"""The most characters of another library's error message that are passed on."""

_TOO_MANY_REQUESTS = 429
"""The HTTP status of a server that asks to be called less often."""

_FIRST_SERVER_ERROR = 500
"""The lowest of the HTTP statuses that stand for an error of the server."""

_REQUEST_AT_FAULT = frozenset({400, 413, 422})
"""The HTTP statuses that blame the request: it is malformed, or too long."""

_TRANSIENT_CODES = frozenset({"rate_limit_exceeded", "server_error"})
"""The error codes that OpenAI's servers send in place of a transient HTTP status."""

_CONNECTION_ERRORS = frozenset(
    {"APIConnectionError", "ConnectionError", "TimeoutError", "TransportError"}
)
"""The names of the base classes of connection errors: in ``openai`` and ``anthropic``, in Python,
and in ``httpx``. They are compared by name, so that none of these libraries is imported."""

_USED_UP = frozenset({"length", "max_output_tokens", "max_tokens"})
"""The reasons that OpenAI and Anthropic give when a model stopped because of its token limit."""

_CUT_OFF = "LengthFinishReasonError"
"""The name of the error that the ``openai`` package raises, also through LangChain, if a reply that
follows a schema is cut off by the token limit."""

_KEY_HEADERS = ("authorization", "api-key", "x-api-key")
"""The headers that hold API keys: OpenAI's, Azure's and Anthropic's."""

_SHORTEST_KEY = 8
"""The fewest characters of a key that is masked. Shorter ones are placeholders for local servers,
and may be ordinary words of the message."""

_QUERY = re.compile(r"\?[\w.~%\[\]-]+=[^\s'\"<>)]*")
"""The query of a URL, possibly cut off. It may hold a Google API key, or a signature."""


class LLMCallError(LLMError):
    """A failed call of a model.

    Attributes:
        transient: Whether the same call may succeed a little later.
        blames_request: Whether the model works, but rejects this request.
        retry_after: The time after which the server allows a retry, in seconds; None if unknown.
        input_tokens: The number of tokens that the call read; None if unknown, as after a timeout.
        output_tokens: The number of tokens that the call wrote; None if unknown.
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


def call_failure(error: BaseException) -> LLMError:
    """Convert an exception that a model call raised to an error with a message of one line.

    Errors are classified by the HTTP status that the exceptions of ``openai``, ``anthropic`` and
    ``httpx`` hold, or by the name of their class. Only the statuses 429 and 5xx and network errors
    are transient.
    """
    if isinstance(error, LLMError):
        return error
    if type(error).__name__ == _CUT_OFF:
        usage = _attribute(_attribute(error, "completion"), "usage")
        return empty_reply(
            "length",
            input_tokens=_attribute(usage, "prompt_tokens"),
            output_tokens=_attribute(usage, "completion_tokens"),
        )
    message = _in_one_line(_without_keys(message_of(error), error))
    response = _attribute(error, "response")
    status = _attribute(error, "status_code") or _attribute(response, "status_code")
    if not isinstance(status, int):
        status = None
    failed = LLMCallError(
        f"{type(error).__name__}: {message}".rstrip(": "),
        transient=_is_connection_error(error) or _is_transient(status),
        blames_request=status in _REQUEST_AT_FAULT,
        retry_after=_retry_after(_attribute(response, "headers")),
        # If the server answered with an error, no model has read or written anything.
        input_tokens=None if status is None else 0,
        output_tokens=None if status is None else 0,
    )
    failed.__cause__ = error
    return failed


def foreign_failure(log: logging.Logger, what: str, error: Exception) -> str:
    """Return in one line why foreign code failed that may call an LLM, such as a user's reranker.

    Anything but a failure of an LLM is also logged, since it is a mistake in that code.

    Args:
        log: The logger.
        what: What raised the error, for the log's reader.
        error: The error.

    Raises:
        ToolretError: ``error`` itself, if it is one of toolret's own that is no failure of an LLM,
            such as a ``ReplayError``.
    """
    if not isinstance(error, LLMError):
        if isinstance(error, ToolretError):
            raise error
        log_error(log, what, error)
    return str(call_failure(error))


def response_failure(error: Any) -> LLMCallError:
    """Convert an error that a gateway reports within a response of status 200.

    Args:
        error: The response's ``error``: a text, a mapping, or an object with attributes.
    """
    fields = error if isinstance(error, Mapping) else vars(error) if hasattr(error, "code") else {}
    code = fields.get("code")
    status = int(str(code)) if str(code).isdecimal() else None
    return LLMCallError(
        f"the server's answer is an error: {_in_one_line(str(fields.get('message') or error))}",
        transient=code in _TRANSIENT_CODES or _is_transient(status),
        blames_request=status in _REQUEST_AT_FAULT,
        input_tokens=0,
        output_tokens=0,
    )


def empty_reply(
    reason: Any, *, input_tokens: int | None = None, output_tokens: int | None = None
) -> LLMCallError:
    """Return the error for an empty reply.

    Args:
        reason: Why the model stopped, in its server's words, if the server says so.
        input_tokens: The number of tokens read; None if unknown.
        output_tokens: The number of tokens written; None if unknown.
    """
    message = "the model gave an empty reply"
    if reason in _USED_UP:
        message = (
            f"the model used up its tokens before it had answered ({reason}): raise how many it "
            "may write, or let it think less"
        )
    elif isinstance(reason, str) and reason not in ("", "stop", "end_turn"):
        message += f" ({reason:.40})"
    return LLMCallError(message, input_tokens=input_tokens, output_tokens=output_tokens)


def _attribute(value: Any, name: str) -> Any:
    """Return an attribute of a foreign object; None if there is none, or if reading it fails.

    That of ``request`` fails in an ``httpx`` error that has none.
    """
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - anyone's property may raise anything
        return None


def _in_one_line(message: str) -> str:
    return " ".join(_QUERY.sub("", message).split())[:_LONGEST_REASON]


def _is_transient(status: int | None) -> bool:
    return status is not None and (status == _TOO_MANY_REQUESTS or status >= _FIRST_SERVER_ERROR)


def _without_keys(message: str, error: BaseException) -> str:
    """Mask the request's API key in an error's message, since servers may echo it."""
    headers = _attribute(_attribute(error, "request"), "headers")
    if not isinstance(headers, Mapping):
        return message
    for name in _KEY_HEADERS:
        key = str(headers.get(name, "")).removeprefix("Bearer ").strip()
        if len(key) >= _SHORTEST_KEY:
            message = message.replace(key, "***")
    return message


def _is_connection_error(error: BaseException) -> bool:
    return any(kind.__name__ in _CONNECTION_ERRORS for kind in type(error).__mro__)


def _retry_after(headers: Any) -> float | None:
    """Return the seconds in a ``Retry-After`` header, a number or a date; None without one.

    The header's format is that of RFC 9110, section 10.2.3.
    """
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
