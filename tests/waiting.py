"""Waiting for what another thread or process does, however busy the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["until"]


def until(done: Callable[[], bool], *, seconds: float = 60.0) -> bool:
    """Wait until something is true, and return whether it came true in time."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
