"""A circuit breaker: a model that keeps failing is not called for a while.

After Nygard, *Release It!* (2007), chapter 5. While closed, calls go through; several failures in a
row open it; after a pause, one call is let through as a probe, which closes or reopens it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toolret.errors import LLMError
from toolret.forking import renew_in_children
from toolret.llm.failures import LLMCallError
from toolret.options import seconds, whole_number

__all__ = ["CircuitBreaker"]


class CircuitBreaker:
    """Counts the consecutive failures of a model; safe for many threads and event loops.

    Args:
        failure_threshold: The number of consecutive failures that opens the circuit.
        recovery_timeout: The time for which the circuit stays open, in seconds.
        clock: Returns the monotonic time in seconds.

    Raises:
        InputError: If ``failure_threshold`` is not 1 or more, or ``recovery_timeout`` not 0 or
            more.
    """

    def __init__(
        self,
        *,
        failure_threshold: int,
        recovery_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = whole_number("failure_threshold", failure_threshold)
        self._rest = seconds("recovery_timeout", recovery_timeout, may_be_zero=True)
        self._clock = clock
        self._failures = 0
        self._reason = ""
        self._open_until: float | None = None
        self.after_fork()
        renew_in_children(self)

    def after_fork(self) -> None:
        """Renew in a forked process what a thread of the parent may hold or be doing."""
        self._lock = threading.Lock()
        self._probed = False

    @contextmanager
    def call(self) -> Iterator[None]:
        """Wrap one call of the model, and count its outcome.

        Cancelled calls and bad requests do not count. A probe that fails because of a bad request
        closes the circuit, since the model answered.

        Raises:
            LLMError: If the circuit is open.
        """
        probe = self._enter()
        try:
            yield
        except LLMError as error:
            if not (isinstance(error, LLMCallError) and error.blames_request):
                self._count_failure(str(error), probe=probe)
            elif probe:
                self._count_success(probe=True)
            raise
        else:
            self._count_success(probe=probe)
        finally:
            if probe:
                with self._lock:
                    self._probed = False

    def _enter(self) -> bool:
        """Admit a call, and return whether it is a probe.

        Raises:
            LLMError: If the circuit is open.
        """
        with self._lock:
            if self._open_until is None:
                return False
            left = self._open_until - self._clock()
            if left <= 0 and not self._probed:
                self._probed = True
                return True
            when = f"again in {left:.0f} s" if left > 0 else "it is being tried again"
            raise LLMError(
                f"not asked, since its last {self._failures} calls failed ({when}): {self._reason}"
            )

    def _count_failure(self, reason: str, *, probe: bool) -> None:
        with self._lock:
            # A call that began before the circuit opened says nothing new.
            if self._open_until is None or probe:
                self._failures += 1
                self._reason = reason
                if probe or self._failures >= self._limit:
                    self._open_until = self._clock() + self._rest

    def _count_success(self, *, probe: bool) -> None:
        with self._lock:
            if self._open_until is None or probe:
                self._failures = 0
                self._open_until = None
