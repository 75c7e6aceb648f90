"""Checks of what is given to constructors and functions, before it does harm in a later call."""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Collection
from typing import Any, SupportsIndex, TypeVar

from toolret.errors import InputError

__all__ = ["of_kind", "one_of", "seconds", "whole_number"]

_T = TypeVar("_T")


def of_kind(
    name: str, value: _T, kind: Any, give: str, *, error: type[Exception] = TypeError
) -> _T:
    """Return an option that is an object of a kind.

    A class is none: it has the methods of its objects, but nothing to call them on.

    Args:
        name: The option's name.
        value: What was given for it.
        kind: A class, a protocol, or several joined by ``|``.
        give: The way out: what to give instead.
        error: The exception type to raise.

    Raises:
        Exception: ``error``, if it is anything else.
    """
    if isinstance(value, type):
        raise error(f"{name} is the class {value.__name__}: give {give}")
    if not isinstance(value, kind):
        raise error(f"{name} is {reprlib.repr(value)}: give {give}")
    return value


def one_of(
    name: str, value: Any, choices: Collection[str], *, error: type[Exception] = ValueError
) -> None:
    """Check an option that has a few possible values.

    Raises:
        Exception: ``error``, if it has another.
    """
    if value not in choices:
        raise error(f"{name} is one of {', '.join(choices)}, not {value!r}")


def whole_number(
    name: str, value: Any, *, least: int = 1, error: type[Exception] = InputError
) -> int:
    """Return an option that is a whole number of at least ``least``.

    Raises:
        Exception: ``error``, if it is anything else.
    """
    is_whole = isinstance(value, SupportsIndex) and not isinstance(value, bool)
    if not is_whole or (number := operator.index(value)) < least:
        raise error(f"{name} is {value!r}: give a whole number of {least} or more")
    return number


def seconds(name: str, value: Any, *, may_be_zero: bool = False) -> float:
    """Return an option that is a finite number of seconds above 0.

    Args:
        name: The option's name.
        value: What was given for it.
        may_be_zero: Whether it may also be 0.

    Raises:
        InputError: If it is anything else.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and (0 < value < math.inf or (may_be_zero and value == 0))):
        least = "of 0 or more" if may_be_zero else "above 0"
        raise InputError(f"{name} is {value!r}: give a number of seconds {least}")
    return float(value)
