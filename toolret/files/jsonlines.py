"""Read JSON Lines files, plain or gzipped, line by line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toolret.errors import InputError
from toolret.json_values import json_problem, parse_json, short_repr

__all__ = ["GZIP_MAGIC", "MAX_BYTES", "read_lines", "read_rows", "row_from_line"]

MAX_BYTES = 256 * 1024 * 1024
"""Size in bytes of the longest line and JSON document accepted: about 2 GB as Python objects."""

GZIP_MAGIC = b"\x1f\x8b"
"""The first bytes of every gzip file (RFC 1952)."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""The byte order mark in UTF-8, which some editors write at the beginning of a file."""


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
        ends = "; each line must hold one whole JSON object" if exc.pos == len(exc.doc) else ""
        raise error(
            f"broken JSON at column {exc.colno}: {json_problem(exc)}{ends}", file=path, place=place
        ) from exc
    except ValueError as exc:
        raise error(str(exc), file=path, place=place) from exc
    if not isinstance(row, dict):
        raise error(f"expected one JSON object, found {short_repr(row)}", file=path, place=place)
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
