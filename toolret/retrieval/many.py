"""Many conversations at once: their requests, for which several threads write the queries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import NamedTuple

from toolret.errors import InputError
from toolret.queries import Conversation, GeneratedQueries, as_request
from toolret.tracing import Span, begin_span, use_span
from toolret.types import Request

__all__ = ["QueriedRequest", "as_requests", "generate_in_threads"]

_TOGETHER = 256
"""Conversations embedded in one batch: larger batches gain nothing, and the embedder's cache holds
the vectors of so many."""

_GENERATING = 8
"""How many conversations an LLM writes queries for at the same time."""

_OTHERS = frozenset({"assistant", "ai", "tool", "function", "system", "developer"})
"""Roles of messages that are not the user's."""


class QueriedRequest(NamedTuple):
    """A request with its queries, the seconds that these took, and its span, not yet ended."""

    request: Request
    generated: GeneratedQueries
    seconds: float
    span: Span


def as_requests(conversations: Iterable[Conversation]) -> list[Request]:
    """Convert conversations to requests.

    Raises:
        InputError: If they are a text or the messages of one conversation, or one holds no text.
    """
    if isinstance(conversations, str | Mapping):
        raise InputError("several conversations are needed: give a list of them")
    given = list(conversations)
    # A message of the user's may be a conversation by itself, but no other message.
    roles = [each.get("role") for each in given if isinstance(each, Mapping)]
    roles += [getattr(each, "role", getattr(each, "type", None)) for each in given]
    if any(isinstance(role, str) and role in _OTHERS for role in roles):
        raise InputError(
            "several conversations are needed, but these look like the messages of one: give a "
            "list of lists of messages"
        )
    return [as_request(conversation) for conversation in given]


def generate_in_threads(
    requests: Sequence[Request],
    write: Callable[[Request], GeneratedQueries],
    *,
    span_name: str,
) -> Iterator[Sequence[QueriedRequest]]:
    """Yield requests in batches, with the queries written for them.

    Each is written in a copy of the caller's context and in a span of its own, so that spans of the
    LLM's client stand where they do for one request.

    Args:
        requests: The requests.
        write: Writes the queries of one.
        span_name: Name of each request's span.
    """

    def timed(request: Request) -> QueriedRequest:
        started, current = time.perf_counter(), begin_span(span_name, "retrieval")
        with use_span(current, ends=False):
            generated = write(request)
        return QueriedRequest(request, generated, time.perf_counter() - started, current)

    with ThreadPoolExecutor(_GENERATING) as pool:
        for start in range(0, len(requests), _TOGETHER):
            some = requests[start : start + _TOGETHER]
            contexts = [copy_context() for _ in some]
            writing = [
                pool.submit(context.run, timed, one)
                for context, one in zip(contexts, some, strict=True)
            ]
            try:
                yield [each.result() for each in writing]
            finally:  # a span that was begun ends, whatever becomes of its request
                for each in writing:
                    if not each.exception() and each.result().span.is_recording():
                        each.result().span.end()
