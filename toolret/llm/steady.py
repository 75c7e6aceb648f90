"""``SteadyModel``: a model with retries for transient failures, and a circuit breaker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypedDict

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    wait_random_exponential,
)

from toolret.errors import LLMError
from toolret.llm.asking import total
from toolret.llm.circuit import Circuit
from toolret.llm.failures import LLMCallError
from toolret.llm.model import ChatModel, Completion, Messages, Schema, checked_model
from toolret.options import of_kind, seconds, whole_number

__all__ = ["Patience", "SteadyModel"]

_backoff = wait_random_exponential(multiplier=0.25, max=4)
"""The wait before each retry, unless the server sent a ``Retry-After``: a random time of at most
0.25 s, 0.5 s, 1 s and so on up to 4 s, so that many callers do not retry at once."""


@dataclass(frozen=True, slots=True)
class Patience:
    """The timeouts, retries and circuit breaker settings for a model.

    Attributes:
        call_timeout: The timeout of one call in seconds; None for the time left until the deadline.
        attempts: The most attempts in case of 429, 5xx or network errors.
        failures: The number of consecutive failures, not counting retries, after which the model is
            not called for a while.
        rest: How long it is then not called, in seconds.

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
        patience: The timeouts and retries.
        circuit: The circuit breaker, to share it with others that call the same model; by default
            a new one.

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
        attempts = _Attempts(self._patience, timeout)
        with self._circuit.call(), attempts.costs_on_errors():
            for attempt in Retrying(**attempts.retry_settings()):
                with attempt:
                    reply = self._model.complete(messages, schema, timeout=attempts.start())
        return attempts.with_cost(reply)

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """See ``ChatModel``; ``timeout`` covers all attempts together."""
        attempts = _Attempts(self._patience, timeout)
        with self._circuit.call(), attempts.costs_on_errors():
            async for attempt in AsyncRetrying(**attempts.retry_settings()):
                with attempt:
                    reply = await self._model.acomplete(messages, schema, timeout=attempts.start())
        return attempts.with_cost(reply)


class _RetrySettings(TypedDict):
    """The arguments of tenacity's ``Retrying`` and ``AsyncRetrying``."""

    retry: retry_if_exception
    wait: Callable[[RetryCallState], float]
    stop: stop_any
    before_sleep: Callable[[RetryCallState], None]
    reraise: bool


class _Attempts:
    """The attempts of one call, with their timeouts and their cost."""

    def __init__(self, patience: Patience, timeout: float) -> None:
        self._patience = patience
        self._timeout = timeout
        if timeout <= 0:
            raise LLMError("no time is left")
        self._end = time.monotonic() + timeout
        self._calls = 0
        self._failures: list[LLMError] = []

    def retry_settings(self) -> _RetrySettings:
        """Return when to retry: not at all if the wait would pass the deadline."""
        return {
            "retry": retry_if_exception(_is_transient),
            "wait": _wait,
            "stop": stop_after_attempt(self._patience.attempts) | stop_before_delay(self._timeout),
            "before_sleep": self._keep_failure,
            "reraise": True,
        }

    def start(self) -> float:
        """Start the next attempt, and return its timeout in seconds."""
        self._calls += 1
        left = max(self._end - time.monotonic(), 0.0)
        most = self._patience.call_timeout
        return left if most is None else min(left, most)

    def with_cost(self, reply: Completion) -> Completion:
        """Return the reply with a cost that includes the failed attempts."""
        input_tokens, output_tokens = self._total_tokens(reply)
        calls = reply.calls + self._calls - 1
        return replace(reply, calls=calls, input_tokens=input_tokens, output_tokens=output_tokens)

    @contextmanager
    def costs_on_errors(self) -> Iterator[None]:
        """Set the cost of all attempts on any error."""
        try:
            yield
        except LLMError as error:
            error.calls = self._calls
            error.input_tokens, error.output_tokens = self._total_tokens(error)
            raise

    def _keep_failure(self, state: RetryCallState) -> None:
        """Keep the error of an attempt that will be repeated, for its cost."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, LLMError):
            self._failures.append(error)

    def _total_tokens(self, last: Completion | LLMError) -> tuple[int | None, int | None]:
        """Return the tokens read and written by all attempts, of which one came last."""
        costs = (*self._failures, last)
        return total(c.input_tokens for c in costs), total(c.output_tokens for c in costs)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, LLMCallError) and error.transient


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    retry_after = error.retry_after if isinstance(error, LLMCallError) else None
    return _backoff(state) if retry_after is None else retry_after
