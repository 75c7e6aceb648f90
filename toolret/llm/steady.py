"""A model with retries for transient failures, and a circuit breaker for lasting ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from toolret.errors import QueryGenerationError
from toolret.llm.asking import total
from toolret.llm.circuit import Circuit
from toolret.llm.failures import ModelError
from toolret.llm.model import ChatModel, Completion, Messages, Schema, checked_model
from toolret.options import of_kind, seconds, whole_number

__all__ = ["Patience", "SteadyModel"]

_backoff = wait_random_exponential(multiplier=0.25, max=4)
"""Random waits up to 0.25 s, 0.5 s, 1 s ..., so that many callers do not retry at once. A server's
``Retry-After`` takes precedence."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Timeouts, retries and circuit breaker settings for a model.

    Attributes:
        call_timeout: Timeout of one call in seconds; None for the time left until the deadline.
        attempts: Most attempts in case of 429, 5xx or network errors.
        failures: Consecutive failures, not counting retries, after which it is not called.
        rest: Seconds for which it is then not called.

    Raises:
        InputError: If a number is not above 0; ``rest`` may be 0.
    """

    call_timeout: float | None = None
    attempts: int = 3
    failures: int = 5
    rest: float = 30.0

    def __post_init__(self) -> None:
        if self.call_timeout is not None:
            seconds("call_timeout", self.call_timeout)
        whole_number("attempts", self.attempts)
        whole_number("failures", self.failures)
        seconds("rest", self.rest, may_be_zero=True)


class SteadyModel:
    """A model with retries and a circuit breaker.

    Args:
        model: The model.
        patience: Timeouts and retries.
        circuit: Circuit breaker to share with others that call the same model; by default its own.

    Raises:
        TypeError: If ``model`` is not a ``ChatModel``, or ``patience`` not a ``Patience``.
    """

    def __init__(
        self, model: ChatModel, patience: Patience | None = None, *, circuit: Circuit | None = None
    ) -> None:
        self._model = checked_model(model)
        of_kind("patience", patience, Patience | None, "a Patience, such as Patience(attempts=2)")
        self._patience = patience or Patience()
        self._circuit = circuit or Circuit(
            failures=self._patience.failures, rest=self._patience.rest
        )

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    def complete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """See ``ChatModel``; ``timeout`` covers all attempts together."""
        tries = _Tries(self._patience, timeout)
        with self._circuit.call(), tries.counted():
            for attempt in Retrying(**tries.rules()):
                with attempt:
                    reply = self._model.complete(messages, schema, timeout=tries.next())
        return tries.count(reply)

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """See ``ChatModel``; ``timeout`` covers all attempts together."""
        tries = _Tries(self._patience, timeout)
        with self._circuit.call(), tries.counted():
            async for attempt in AsyncRetrying(**tries.rules()):
                with attempt:
                    reply = await self._model.acomplete(messages, schema, timeout=tries.next())
        return tries.count(reply)


class _Tries:
    """The attempts of one call."""

    def __init__(self, patience: Patience, timeout: float) -> None:
        self._patience = patience
        self._timeout = timeout
        if timeout <= 0:
            raise QueryGenerationError("no time is left")
        self._end = time.monotonic() + timeout
        self._calls = 0
        self._failed: list[QueryGenerationError] = []

    def rules(self) -> dict[str, Any]:
        """Return tenacity's settings; it gives up at once if a wait would pass the deadline."""
        return {
            "retry": retry_if_exception(_is_transient),
            "wait": _wait,
            "stop": stop_after_attempt(self._patience.attempts) | stop_before_delay(self._timeout),
            "before_sleep": self._note,
            "reraise": True,
        }

    def next(self) -> float:
        """Start the next attempt, and return its timeout in seconds."""
        self._calls += 1
        left = max(self._end - time.monotonic(), 0.0)
        most = self._patience.call_timeout
        return left if most is None else min(left, most)

    def count(self, reply: Completion) -> Completion:
        """Return the reply with its cost including failed attempts."""
        read, wrote = self._tokens(reply)
        calls = reply.calls + self._calls - 1
        return replace(reply, calls=calls, input_tokens=read, output_tokens=wrote)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Set the cost of all attempts on an error."""
        try:
            yield
        except QueryGenerationError as error:
            error.calls = self._calls
            error.input_tokens, error.output_tokens = self._tokens(error)
            raise

    def _note(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, QueryGenerationError):
            self._failed.append(error)

    def _tokens(self, last: Completion | QueryGenerationError) -> tuple[int | None, int | None]:
        spent = (*self._failed, last)
        return total(each.input_tokens for each in spent), total(e.output_tokens for e in spent)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, ModelError) and error.transient


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, ModelError) else None
    return _backoff(state) if asked is None else asked
