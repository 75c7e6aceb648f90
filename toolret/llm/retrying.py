"""``RetryingModel``: a model with retries for transient failures, and a circuit breaker."""

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
from toolret.llm.circuit import CircuitBreaker
from toolret.llm.failures import LLMCallError
from toolret.llm.model import ChatModel, Completion, Messages, Schema, checked_model
from toolret.options import of_kind, seconds, whole_number

__all__ = ["RetryPolicy", "RetryingModel", "checked_policy"]

_backoff = wait_random_exponential(multiplier=0.25, max=4)
"""The wait before each retry, unless the server sent a ``Retry-After``: a random time of at most
0.25 s, 0.5 s, 1 s and so on up to 4 s, so that many callers do not retry at once."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The timeout of a model's calls, their retries, and when its circuit breaker opens.

    Attributes:
        call_timeout: The timeout of one call in seconds; None for the time left until the deadline.
        max_attempts: The most attempts in case of 429, 5xx or network errors.
        failure_threshold: The number of consecutive failures, not counting retries, after which the
            model is not called for a while.
        recovery_timeout: The time for which it is then not called, in seconds.

    Raises:
        InputError: If a number is not above 0; ``recovery_timeout`` may be 0.
    """

    call_timeout: float | None = None
    max_attempts: int = 3
    failure_threshold: int = 5
    recovery_timeout: float = 30.0

    def __post_init__(self) -> None:
        if self.call_timeout is not None:
            seconds("call_timeout", self.call_timeout)
        whole_number("max_attempts", self.max_attempts)
        whole_number("failure_threshold", self.failure_threshold)
        seconds("recovery_timeout", self.recovery_timeout, may_be_zero=True)


def checked_policy(policy: RetryPolicy | None) -> RetryPolicy:
    """Return a policy unchanged; for None, the default one.

    Raises:
        TypeError: If it is anything else.
    """
    give = "a RetryPolicy, such as RetryPolicy(max_attempts=2)"
    return of_kind("retry_policy", policy, RetryPolicy | None, give) or RetryPolicy()


class RetryingModel:
    """A model with retries and a circuit breaker.

    Args:
        model: The model.
        retry_policy: The timeouts, the retries, and when to stop calling a failing model.
        circuit: The circuit breaker, to share it with others that call the same model; by default
            a new one.

    Raises:
        TypeError: If ``model`` is not a ``ChatModel``, or ``retry_policy`` not a ``RetryPolicy``.
    """

    def __init__(
        self,
        model: ChatModel,
        retry_policy: RetryPolicy | None = None,
        *,
        circuit: CircuitBreaker | None = None,
    ) -> None:
        self._model = checked_model(model)
        self._policy = checked_policy(retry_policy)
        self._circuit = circuit or CircuitBreaker(
            failure_threshold=self._policy.failure_threshold,
            recovery_timeout=self._policy.recovery_timeout,
        )

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    def complete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """See ``ChatModel``; ``timeout`` covers all attempts together."""
        attempts = _Attempts(self._policy, timeout)
        with self._circuit.call(), attempts.costs_on_errors():
            for attempt in Retrying(**attempts.retry_settings()):
                with attempt:
                    reply = self._model.complete(messages, schema, timeout=attempts.start())
        return attempts.with_cost(reply)

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """See ``ChatModel``; ``timeout`` covers all attempts together."""
        attempts = _Attempts(self._policy, timeout)
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

    def __init__(self, policy: RetryPolicy, timeout: float) -> None:
        self._policy = policy
        self._timeout = timeout
        if timeout <= 0:
            raise LLMError("no time is left")
        self._end = time.monotonic() + timeout
        self._calls = 0
        self._failures: list[LLMError] = []

    def retry_settings(self) -> _RetrySettings:
        """Return when to retry: not at all if the wait would pass the deadline."""
        return {
            "retry": retry_if_exception(_may_be_retried),
            "wait": _wait,
            "stop": stop_after_attempt(self._policy.max_attempts)
            | stop_before_delay(self._timeout),
            "before_sleep": self._keep_failure,
            "reraise": True,
        }

    def start(self) -> float:
        """Start the next attempt, and return its timeout in seconds."""
        self._calls += 1
        left = max(self._end - time.monotonic(), 0.0)
        most = self._policy.call_timeout
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


def _may_be_retried(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    return isinstance(error, LLMCallError) and error.transient


def _wait(state: RetryCallState) -> float:
    """Return the seconds before the next attempt, which the failed one's server may have set."""
    error = state.outcome.exception() if state.outcome else None
    retry_after = error.retry_after if isinstance(error, LLMCallError) else None
    return _backoff(state) if retry_after is None else retry_after
