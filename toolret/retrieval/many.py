"""Many conversations at once: their requests, with queries that several threads write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import NamedTuple

from toolret.errors import InputError
from toolret.permissions import Allow
from toolret.queries import Conversation, GeneratedQueries, as_request
from toolret.queries.combining import expand_queries
from toolret.retrieval.reader import Reader
from toolret.tracing import Span, begin_span, use_span
from toolret.types import Request

__all__ = ["QueriedRequest", "as_requests", "embed_ahead", "generate_in_threads"]

_BATCH_SIZE = 256
"""How many conversations are embedded in one batch: larger batches gain nothing, and the embedder's
cache holds the vectors of so many."""

_THREADS = 8
"""For how many conversations an LLM writes queries at the same time."""

_OTHER_ROLES = frozenset({"assistant", "ai", "tool", "function", "system", "developer"})
"""The roles of messages that are not the user's."""


class QueriedRequest(NamedTuple):
    """A request with the queries that were written for it.

    Attributes:
        request: The request.
        generated: Its queries.
        seconds: The time that writing them took.
        span: The request's span, which has not ended yet.
    """

    request: Request
    generated: GeneratedQueries
    seconds: float
    span: Span


def as_requests(conversations: Iterable[Conversation]) -> list[Request]:
    """Convert conversations to requests.

    Raises:
        InputError: If the argument is a text or the messages of one conversation, or one of the
            conversations holds no text.
    """
    if isinstance(conversations, str | Mapping):
        raise InputError("several conversations are needed: give a list of them")
    several = list(conversations)
    # A message of the user's may be a conversation by itself; no other message can be.
    roles = [item.get("role") for item in several if isinstance(item, Mapping)]
    roles += [getattr(item, "role", getattr(item, "type", None)) for item in several]
    roles += [item[0] for item in several if isinstance(item, tuple) and len(item) == 2]
    if any(isinstance(role, str) and role in _OTHER_ROLES for role in roles):
        raise InputError(
            "several conversations are needed, but these look like the messages of one: give a "
            "list of lists of messages"
        )
    return [as_request(conversation) for conversation in several]


def generate_in_threads(
    requests: Sequence[Request],
    write: Callable[[Request], GeneratedQueries],
    *,
    span_name: str,
) -> Iterator[Sequence[QueriedRequest]]:
    """Write the queries of requests in several threads; yield the requests with them, in batches.

    Queries are written in a copy of the caller's context and in a span for each request, so that
    spans of the LLM's client have the same parents as for a single request.

    Args:
        requests: The requests.
        write: Writes the queries of a request.
        span_name: The name of each request's span.
    """

    def write_one(request: Request) -> QueriedRequest:
        started, current = time.perf_counter(), begin_span(span_name, "retrieval")
        with use_span(current, ends=False):
            generated = write(request)
        return QueriedRequest(request, generated, time.perf_counter() - started, current)

    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(requests), _BATCH_SIZE):
            batch = requests[start : start + _BATCH_SIZE]
            contexts = [copy_context() for _ in batch]
            futures = [
                pool.submit(context.run, write_one, request)
                for context, request in zip(contexts, batch, strict=True)
            ]
            try:
                yield [future.result() for future in futures]
            finally:  # a span that was begun ends, whatever becomes of its request
                for future in futures:
                    if not future.exception() and future.result().span.is_recording():
                        future.result().span.end()


def embed_ahead(reader: Reader, batch: Iterable[QueriedRequest], allow: Allow) -> None:
    """Embed the queries of several requests at once; the embedder's cache then has their vectors.

    Args:
        reader: Will rank the tools for them.
        batch: The requests.
        allow: The caller's permissions.
    """
    allowed = reader.allowed(allow)
    corrected = [reader.corrected(one.generated.queries, allowed) for one in batch]
    reader.embed([query for queries in corrected for query in expand_queries(queries)])
