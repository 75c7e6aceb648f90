"""Read strict JSON and JSON Lines files, plain or gzipped, in constant memory."""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from toolret.errors import InputError

__all__ = [
    "GZIP_MAGIC",
    "MAX_BYTES",
    "below",
    "is_deep",
    "parse_json",
    "read_lines",
    "read_rows",
    "row_from_line",
    "shown",
]

MAX_BYTES = 256 * 1024 * 1024
"""Longest line and largest JSON document accepted: about 2 GB as Python objects."""

GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_HALF = re.compile("[\ud800-\udfff]")

_MAX_SHOWN = 60
"""Characters of an invalid value shown in an error message."""


def read_rows(path: str | Path, *, error: type[InputError]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the objects of a JSON Lines file one at a time; blank lines are skipped.

    Args:
        path: The file; UTF-8, possibly gzipped.
        error: The exception type to raise.

    Yields:
        The position, such as ``line 12``, and the object.

    Raises:
        InputError: ``error``, if the file is unreadable or empty, or a line is not an object.
    """
    empty = True
    for number, line in read_lines(path, error=error):
        if line.strip():
            empty = False
            yield f"line {number}", row_from_line(line, number, path, error=error)
    if empty:
        raise error("the file is empty", file=path)


def row_from_line(
    line: bytes, number: int, path: str | Path, *, error: type[InputError]
) -> dict[str, Any]:
    """Parse the JSON object on one line.

    Args:
        line: The line.
        number: Its number, from 1.
        path: Its file.
        error: The exception type to raise.

    Raises:
        InputError: ``error``, if the line is not one JSON object in UTF-8.
    """
    place = f"line {number}"
    try:
        row = parse_json(line.rstrip(b"\r\n").decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise error(
            f"byte {exc.start + 1} of the line is not UTF-8", file=path, place=place
        ) from exc
    except json.JSONDecodeError as exc:
        raise error(
            f"broken JSON at column {exc.colno}: {exc.msg}", file=path, place=place
        ) from exc
    except ValueError as exc:
        raise error(str(exc), file=path, place=place) from exc
    if not isinstance(row, dict):
        raise error(f"expected one JSON object, found {shown(row)}", file=path, place=place)
    return row


def read_lines(path: str | Path, *, error: type[InputError]) -> Iterator[tuple[int, bytes]]:
    """Read the lines of a possibly gzipped file, without a byte order mark.

    Args:
        path: The file.
        error: The exception type to raise.

    Yields:
        The line number, from 1, and the line with its line end.

    Raises:
        InputError: ``error``, if the file cannot be read or a line is longer than ``MAX_BYTES``.
    """
    number = 0
    try:
        with Path(path).open("rb") as raw:
            packed = raw.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
            stream = gzip.GzipFile(fileobj=raw) if packed else raw
            while line := stream.readline(MAX_BYTES + 1):
                number += 1
                if len(line) > MAX_BYTES:
                    raise error(
                        f"the line is longer than {MAX_BYTES:,} bytes",
                        file=path,
                        place=f"line {number}",
                    )
                yield number, line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
    except FileNotFoundError as exc:
        raise error("there is no such file", file=path) from exc
    except IsADirectoryError as exc:
        raise error("is a folder, not a file", file=path) from exc
    except (gzip.BadGzipFile, EOFError, zlib.error) as exc:
        raise error(f"the gzip file is damaged after line {number}: {exc}", file=path) from exc
    except OSError as exc:
        raise error(f"cannot be read: {exc.strerror or exc}", file=path) from exc


def parse_json(text: str, *, halves: bool = False) -> Any:
    """Parse JSON more strictly than ``json.loads``: no NaN, infinity or duplicate keys.

    Args:
        text: The JSON.
        halves: Whether strings may hold lone surrogates, which cannot be stored or sent.

    Raises:
        ValueError: If the text breaks these rules, with a JSON pointer to the problem; a
            ``json.JSONDecodeError`` if it is not JSON at all.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_repeats,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except RecursionError as exc:
        raise ValueError("the JSON is nested too deeply") from exc
    except json.JSONDecodeError:
        raise
    except ValueError as exc:
        is_long = "set_int_max_str_digits" in str(exc)  # Python's advice does not help here
        problem = "a whole number has too many digits" if is_long else str(exc)
        raise ValueError(problem + _at_wrong(text)) from exc
    if not halves and ("\\ud" in text or "\\uD" in text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as exc:
            there = _at(value, _holds_half)
            raise ValueError(f"a string holds half of a surrogate pair{there}") from exc
    return value


def is_deep(value: Any, most: int) -> bool:
    """Whether a JSON value is nested deeper than ``most`` levels, where recursion may fail."""
    level = [value]
    for _ in range(most):
        level = [part for each in level for part in _held(each)]
    return bool(level)


def _held(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def shown(value: Any) -> str:
    """Format an invalid value for an error message, shortened."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def below(pointer: str, *keys: object) -> str:
    """Return a JSON pointer extended by keys."""
    escaped = (str(key).replace("~", "~0").replace("/", "~1") for key in keys)
    return "/".join((pointer, *escaped))


_WRONG = object()


def _at_wrong(text: str) -> str:
    """Locate where JSON breaks the rules above, by parsing it again."""

    def read(number: Callable[[str], Any]) -> Callable[[str], Any]:
        def checked(digits: str) -> Any:
            try:
                return number(digits)
            except ValueError:
                return _WRONG

        return checked

    try:
        value = json.loads(
            text,
            object_pairs_hook=lambda pairs: (
                _WRONG if len(dict(pairs)) < len(pairs) else dict(pairs)
            ),
            parse_constant=lambda _: _WRONG,
            parse_float=read(_finite),
            parse_int=read(int),
        )
    except (RecursionError, ValueError):
        return ""
    return _at(value, lambda part: part is _WRONG)


def _at(value: Any, is_wrong: Callable[[Any], bool]) -> str:
    """Return `` (at /a/0)``, the JSON pointer of the first invalid part; empty for the root."""
    waiting = [("", value)]
    while waiting:
        pointer, part = waiting.pop()
        if is_wrong(part):
            return f" (at {pointer})" if pointer else ""
        items: Iterable[tuple[Any, Any]] = ()
        if isinstance(part, dict | list):
            items = part.items() if isinstance(part, dict) else enumerate(part)
        waiting += [(below(pointer, key), each) for key, each in items][::-1]
    return ""


def _holds_half(part: Any) -> bool:
    """Whether a string, or a key of an object, holds a lone surrogate."""
    texts = part if isinstance(part, dict) else [part]
    return any(isinstance(text, str) and bool(_HALF.search(text)) for text in texts)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        repeated = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {repeated!r} stands twice in one object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {shown(digits)} is too large")
    return value
