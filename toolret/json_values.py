"""Operations on JSON values: parse, write, point to a part, measure nesting, and quote."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

__all__ = [
    "compact_json",
    "is_deeper_than",
    "json_pointer",
    "json_problem",
    "parse_json",
    "short_repr",
]

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which cannot be encoded as UTF-8."""

_MAX_REPR = 60
"""Characters of a value quoted in an error message: enough to recognize it, still on one line."""


def parse_json(text: str, *, allow_lone_surrogates: bool = False) -> Any:
    """Parse JSON more strictly than ``json.loads``: no NaN, infinity or duplicate keys.

    Args:
        text: The JSON.
        allow_lone_surrogates: Whether strings may hold lone surrogates, which cannot be encoded as
            UTF-8 and so neither stored nor sent.

    Raises:
        ValueError: If the text breaks these rules, with a JSON pointer to the problem; a
            ``json.JSONDecodeError`` if it is not JSON at all.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
        )
    except RecursionError as exc:
        raise ValueError("the JSON is nested too deeply") from exc
    except json.JSONDecodeError:
        raise
    except ValueError as exc:
        is_long = "set_int_max_str_digits" in str(exc)  # Python's advice does not help here
        problem = "a whole number has too many digits" if is_long else str(exc)
        raise ValueError(problem + _location_of_problem(text)) from exc
    if not allow_lone_surrogates and ("\\ud" in text or "\\uD" in text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as exc:
            location = _location(value, _has_lone_surrogate)
            raise ValueError(f"a string holds half of a surrogate pair{location}") from exc
    return value


def json_problem(error: json.JSONDecodeError) -> str:
    """Return what breaks a JSON text, without the end of Python's message, which leads to where."""
    return error.msg.removesuffix(" at").removesuffix(" starting")


def compact_json(value: Any, *, allow_nan: bool = True) -> str:
    """Return a value as JSON without white space; other letters than English stay as they are.

    Raises:
        TypeError: If a part cannot be written as JSON.
        ValueError: If the value contains itself, or, unless ``allow_nan``, a number that JSON
            lacks, such as NaN.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=allow_nan, separators=(",", ":"))


def is_deeper_than(value: Any, levels: int) -> bool:
    """Whether a JSON value is nested deeper than a number of levels, where recursion may fail."""
    level = [value]
    for _ in range(levels):
        level = [child for part in level for child in _children(part)]
    return bool(level)


def _children(value: Any) -> Iterable[Any]:
    """Return the values directly within a JSON value."""
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def short_repr(value: Any) -> str:
    """Return the ``repr`` of a value for an error message, shortened if it is long."""
    text = repr(value)
    return text if len(text) <= _MAX_REPR else f"{text[:_MAX_REPR]}..."


def json_pointer(pointer: str, *keys: object) -> str:
    """Return a JSON pointer extended by keys, which are escaped (RFC 6901)."""
    escaped = (str(key).replace("~", "~0").replace("/", "~1") for key in keys)
    return "/".join((pointer, *escaped))


_INVALID = object()
"""A mark in parsed JSON, in the place of a part that breaks the rules of ``parse_json``."""


def _location_of_problem(text: str) -> str:
    """Return where JSON first breaks the rules of ``parse_json``, by parsing it again.

    Returns:
        The location, as ``_location`` writes it; empty if it cannot be found.
    """

    def marking(parse: Callable[[str], Any]) -> Callable[[str], Any]:
        def parse_or_mark(digits: str) -> Any:
            try:
                return parse(digits)
            except ValueError:
                return _INVALID

        return parse_or_mark

    try:
        value = json.loads(
            text,
            object_pairs_hook=lambda pairs: (
                _INVALID if len(dict(pairs)) < len(pairs) else dict(pairs)
            ),
            parse_constant=lambda _: _INVALID,
            parse_float=marking(_finite_float),
            parse_int=marking(int),
        )
    except (RecursionError, ValueError):
        return ""
    return _location(value, lambda part: part is _INVALID)


def _location(value: Any, is_invalid: Callable[[Any], bool]) -> str:
    """Return `` (at /a/0)``, the JSON pointer of the first invalid part; empty for the root."""
    waiting = [("", value)]
    while waiting:
        pointer, part = waiting.pop()
        if is_invalid(part):
            return f" (at {pointer})" if pointer else ""
        items: Iterable[tuple[Any, Any]] = ()
        if isinstance(part, dict | list):
            items = part.items() if isinstance(part, dict) else enumerate(part)
        waiting += [(json_pointer(pointer, key), child) for key, child in items][::-1]
    return ""


def _has_lone_surrogate(part: Any) -> bool:
    """Whether a string, or a key of an object, holds a lone surrogate."""
    texts = part if isinstance(part, dict) else [part]
    return any(isinstance(text, str) and bool(_LONE_SURROGATE.search(text)) for text in texts)


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        repeated = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {repeated!r} stands twice in one object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {short_repr(digits)} is too large")
    return value
