"""A circuit breaker: a model that keeps failing is not called for a while.

After Nygard, *Release It!* (2007), chapter 5. While closed, calls go through; several failures in a
row open it; after a pause, one call is let through as a probe, which closes or reopens it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toolret.errors import QueryGenerationError
from toolret.forking import renew_in_children
from toolret.llm.failures import ModelError
from toolret.options import seconds, whole_number

__all__ = ["Circuit"]


class Circuit:
    """Counts consecutive failures; safe for many threads and event loops.

    Args:
        failures: Number of consecutive failures that opens it.
        rest: Seconds for which it stays open.
        clock: Returns monotonic seconds.

    Raises:
        InputError: If ``failures`` is not 1 or more, or ``rest`` not 0 or more.
    """

    def __init__(
        self, *, failures: int, rest: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = whole_number("failures", failures)
        self._rest = seconds("rest", rest, may_be_zero=True)
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
        """Wrap one call and count its outcome; cancelled calls and bad requests do not count.

        A probe that fails because of a bad request closes the circuit: the model answered.

        Raises:
            QueryGenerationError: If the circuit is open.
        """
        probe = self._enter()
        try:
            yield
        except QueryGenerationError as error:
            if not (isinstance(error, ModelError) and error.blames_request):
                self._failed(str(error), probe=probe)
            elif probe:  # a probe only tests whether the model answers, and it did
                self._worked(probe=True)
            raise
        else:
            self._worked(probe=probe)
        finally:
            if probe:
                with self._lock:
                    self._probed = False

    def _enter(self) -> bool:
        """Admit a call; return whether it is a probe."""
        with self._lock:
            if self._open_until is None:
                return False
            left = self._open_until - self._clock()
            if left <= 0 and not self._probed:
                self._probed = True
                return True
            when = f"again in {left:.0f} s" if left > 0 else "it is being tried again"
            raise QueryGenerationError(
                f"not asked, since its last {self._failures} calls failed ({when}): {self._reason}"
            )

    def _failed(self, reason: str, *, probe: bool) -> None:
        with self._lock:
            # A call begun before the circuit opened tells nothing new.
            if self._open_until is None or probe:
                self._failures += 1
                self._reason = reason
                if probe or self._failures >= self._limit:
                    self._open_until = self._clock() + self._rest

    def _worked(self, *, probe: bool) -> None:
        with self._lock:
            if self._open_until is None or probe:
                self._failures = 0
                self._open_until = None
