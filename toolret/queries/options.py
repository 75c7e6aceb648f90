"""Check the numbers that strategies and generators are made with."""

from __future__ import annotations

import math
from typing import Any

from toolret.errors import InputError
from toolret.schemas.drafts import is_number

__all__ = ["seconds", "whole_number"]


def whole_number(name: str, value: Any) -> int:
    """Return an option that is a whole number of 1 or more.

    Raises:
        InputError: If it is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name} is {value!r}: give a whole number of 1 or more")
    return value


def seconds(name: str, value: Any) -> float:
    """Return an option that is a finite number of seconds above 0.

    Raises:
        InputError: If it is anything else.
    """
    if not (is_number(value) and 0 < value < math.inf):
        raise InputError(f"{name} is {value!r}: give a number of seconds above 0")
    return float(value)
