"""OpenTelemetry spans: what was selected and called, and how long each stage took.

Without an SDK the spans record nothing. Names and attributes follow OpenTelemetry's semantic
conventions for generative AI where they have one; the others begin with ``toolret.``. What people
or tools said is left out, unless the environment variable that the conventions have for this asks
for it: ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

__all__ = [
    "CAPTURE_CONTENT",
    "Span",
    "add_stages",
    "annotate",
    "begin_span",
    "captures_content",
    "log_error",
    "mark_failed",
    "span",
    "use_span",
]

CAPTURE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The name of the environment variable that turns on the recording of content, by ``true``."""

_ON = frozenset({"1", "true", "span_only", "span_and_event"})
"""The values of that variable, in lower case, with which spans may hold content."""

_NANOSECONDS = 1_000_000_000
"""Nanoseconds per second: OpenTelemetry's times are in nanoseconds."""

_tracer = trace.get_tracer("toolret")
"""The tracer of all spans; without an SDK, one that records nothing."""

Attributes: TypeAlias = Mapping[str, Any]
"""Attributes of a span, by name: numbers, strings, booleans and lists of them; None if unknown."""


@contextmanager
def span(name: str, operation: str = "") -> Iterator[Span]:
    """Open a span around a block; of an error that leaves the block, only the type is recorded.

    Args:
        name: The span's name.
        operation: The span's ``gen_ai.operation.name``, where the conventions have one.
    """
    with use_span(begin_span(name, operation)) as current:
        yield current


def begin_span(name: str, operation: str = "") -> Span:
    """Begin a span; ``use_span`` then makes it the current one, here or in another thread.

    Args:
        name: The span's name.
        operation: The span's ``gen_ai.operation.name``, where the conventions have one.
    """
    current = _tracer.start_span(name, kind=SpanKind.INTERNAL)
    if operation:
        current.set_attribute("gen_ai.operation.name", operation)
    return current


@contextmanager
def use_span(current: Span, *, ends: bool = True) -> Iterator[Span]:
    """Make a span the current one within a block, and end it with the block.

    Args:
        current: The span.
        ends: Whether to end it when the block succeeds; a failure always ends it.
    """
    with trace.use_span(current, record_exception=False, set_status_on_exception=False):
        try:
            yield current
        except BaseException as error:
            # The message may quote what was said.
            mark_failed(current, type(error).__qualname__)
            current.end()
            raise
    if ends:
        current.end()


def add_stages(
    seconds: Mapping[str, float], notes: Mapping[str, Attributes], *, ended: int
) -> None:
    """Add a child span ``toolret.NAME`` for each of some consecutive stages.

    Args:
        seconds: The time that each stage took, by the stage's name, in the order of the stages; a
            stage that took no time was skipped and gets no span.
        notes: The attributes of stages, by the stages' names.
        ended: The time at which the last stage ended, in nanoseconds since 1970.
    """
    if not trace.get_current_span().is_recording():
        return
    start = ended - int(sum(seconds.values()) * _NANOSECONDS)
    for name, duration in seconds.items():
        end = start + int(duration * _NANOSECONDS)
        if duration:
            current = _tracer.start_span(f"toolret.{name}", start_time=start)
            annotate(current, notes.get(name, {}))
            current.end(end)
        start = end


def annotate(
    current: Span, attributes: Attributes, *, content: Callable[[], Attributes] | None = None
) -> None:
    """Set attributes on a span if it is recording, except those that are None.

    Args:
        current: The span.
        attributes: The attributes by name.
        content: Returns further attributes, which quote what was said; it is called only if content
            is to be recorded.
    """
    if not current.is_recording():
        return
    known = dict(attributes)
    if content is not None and captures_content():
        known |= content()
    current.set_attributes({key: value for key, value in known.items() if value is not None})


def mark_failed(current: Span, error_type: str) -> None:
    """Mark a span as failed, with the type of the error."""
    current.set_status(Status(StatusCode.ERROR))
    current.set_attribute("error.type", error_type)


def log_error(log: logging.Logger, what: str, error: Exception) -> None:
    """Log an error of foreign code: its type and traceback, its message only if content is wanted.

    Args:
        log: The logger.
        what: The code that raised the error, in words for the log's reader.
        error: The error.
    """
    if captures_content():
        log.warning("%s raised an error", what, exc_info=error)
    else:
        place = "".join(traceback.format_tb(error.__traceback__)).rstrip()
        log.warning("%s raised %s:\n%s", what, type(error).__qualname__, place)


def captures_content() -> bool:
    """Whether spans may hold what was said; the environment is read at each call."""
    return os.environ.get(CAPTURE_CONTENT, "").strip().lower() in _ON
