"""A circuit breaker: a model that keeps failing is left alone for a while.

After Nygard, *Release It!* (2007), chapter 5. Closed, calls go through; some failures in a row open
it; once it has rested, one call is let through as a probe, and what comes of that decides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toolret.errors import QueryGenerationError
from toolret.llm.failures import ModelError

__all__ = ["Circuit"]


class Circuit:
    """Counts failures in a row; for use by many threads and event loops at once.

    Args:
        failures: After how many it opens.
        rest: Seconds that it stays open.
        clock: Seconds that never go back.
    """

    def __init__(
        self, *, failures: int, rest: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._rest = rest
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._reason = ""
        self._open_until: float | None = None
        self._probed = False

    @contextmanager
    def call(self) -> Iterator[None]:
        """One call, counted by how it ends; one that is cancelled, or at fault itself, is not.

        A probe that is at fault itself closes the circuit: the model answers.

        Raises:
            QueryGenerationError: If there is to be no call now.
        """
        probe = self._enter()
        try:
            yield
        except QueryGenerationError as error:
            if not (isinstance(error, ModelError) and error.blames_request):
                self._failed(str(error), probe=probe)
            elif probe:  # which asks whether it answers, and it did
                self._worked(probe=True)
            raise
        else:
            self._worked(probe=probe)
        finally:
            if probe:
                with self._lock:
                    self._probed = False

    def _enter(self) -> bool:
        """Whether the call is a probe."""
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
            # A call from before it opened tells nothing new.
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
