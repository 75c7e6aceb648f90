"""Check the arguments of constructors and functions, before they do harm in a later call."""

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
    """Return an argument unchanged, if it is an object of a type.

    A class is refused even by a protocol that it matches: it has the methods of its objects, but
    nothing to call them on.

    Args:
        name: The parameter's name.
        value: The argument.
        kind: A class, a protocol, or several joined by ``|``.
        give: A description of what to pass instead, for the error's message.
        error: The exception type to raise.

    Raises:
        Exception: ``error``, if the argument is anything else.
    """
    if isinstance(value, type):
        raise error(f"{name} is the class {value.__name__}: give {give}")
    if not isinstance(value, kind):
        raise error(f"{name} is {reprlib.repr(value)}: give {give}")
    return value


def one_of(
    name: str, value: Any, choices: Collection[str], *, error: type[Exception] = InputError
) -> None:
    """Check an argument that has a few possible values.

    Args:
        name: The parameter's name.
        value: The argument.
        choices: The possible values.
        error: The exception type to raise.

    Raises:
        Exception: ``error``, if the argument has another value.
    """
    if value not in choices:
        raise error(f"{name} is one of {', '.join(choices)}, not {value!r}")


def whole_number(
    name: str, value: Any, *, least: int = 1, error: type[Exception] = InputError
) -> int:
    """Return an argument as an integer, if it is a whole number of at least ``least``.

    Args:
        name: The parameter's name.
        value: The argument.
        least: The smallest number allowed.
        error: The exception type to raise.

    Raises:
        Exception: ``error``, if the argument is anything else.
    """
    is_whole = isinstance(value, SupportsIndex) and not isinstance(value, bool)
    if not is_whole or (number := operator.index(value)) < least:
        raise error(f"{name} is {value!r}: give a whole number of {least} or more")
    return number


def seconds(name: str, value: Any, *, may_be_zero: bool = False) -> float:
    """Return an argument as a float, if it is a finite number of seconds above 0.

    Args:
        name: The parameter's name.
        value: The argument.
        may_be_zero: Whether 0 is allowed, too.

    Raises:
        InputError: If the argument is anything else.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and (0 < value < math.inf or (may_be_zero and value == 0))):
        least = "of 0 or more" if may_be_zero else "above 0"
        raise InputError(f"{name} is {value!r}: give a number of seconds {least}")
    return float(value)
