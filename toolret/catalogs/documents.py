"""Read files as documents: JSON, YAML or JSON Lines, recognized by content."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from toolret.catalogs.source import Document
from toolret.catalogs.yaml_values import YamlError, parse_yaml
from toolret.errors import CatalogError
from toolret.files.jsonlines import MAX_BYTES, read_lines, row_from_line
from toolret.json_values import json_problem, parse_json

__all__ = ["MAX_YAML_BYTES", "read_document"]

MAX_YAML_BYTES = 128 * 1024 * 1024
"""Size in bytes of the largest YAML document accepted: reading it takes half a minute; as JSON,
two seconds."""

_YAML_NAME = re.compile(r"\.ya?ml(\.gz)?$", re.IGNORECASE)
"""The end of a YAML file's name."""


def read_document(path: str | Path) -> Document:
    """Read a JSON, YAML or JSON Lines file, possibly gzipped.

    If there are several lines and the first is a complete JSON object, it is JSON Lines. Otherwise
    a text that begins with a brace or bracket is JSON, or YAML if that fails and the file is named
    ``.yaml``. Anything else is YAML.

    Raises:
        CatalogError: If the file cannot be read or parsed, is empty, or is larger than
            ``MAX_BYTES`` (``MAX_YAML_BYTES`` for YAML).
    """
    lines = read_lines(path, error=CatalogError)
    first_lines: list[tuple[int, bytes]] = []
    non_blank: list[tuple[int, bytes]] = []
    for numbered_line in lines:
        first_lines.append(numbered_line)
        if numbered_line[1].strip():
            non_blank.append(numbered_line)
        if len(non_blank) > 1:
            break
    if not non_blank:
        raise CatalogError("the file is empty", file=path)
    if len(non_blank) > 1 and _is_json_object(non_blank[0][1]):
        return _json_lines_document(chain(non_blank, lines), path)
    data = bytearray()
    for _, line in chain(first_lines, lines):
        data += line
        if len(data) > MAX_BYTES:
            raise CatalogError(
                f"the document is larger than {MAX_BYTES:,} bytes: split it", file=path
            )
    text, size = _decode(data, path), len(data)
    del data, first_lines, non_blank  # free memory: a large document and its values need much
    if text.lstrip().startswith(("{", "[")):
        try:
            return Document(_parse_json(text, path), str(path))
        except CatalogError as exc:
            is_yaml = _YAML_NAME.search(str(path)) is not None
            if not (is_yaml and isinstance(exc.__cause__, json.JSONDecodeError)):
                raise
    return Document(_parse_yaml(text, size, path), str(path))


def _is_json_object(line: bytes) -> bool:
    """Whether a line is a JSON object; the reader of lines reports what strict JSON forbids."""
    try:
        return isinstance(json.loads(line.decode("utf-8")), dict)
    except (RecursionError, ValueError):
        return False


def _json_lines_document(lines: Iterable[tuple[int, bytes]], path: str | Path) -> Document:
    """Return a document of JSON Lines, whose content is the list of their objects."""
    rows = {
        number: row_from_line(line, number, path, error=CatalogError)
        for number, line in lines
        if line.strip()
    }
    return Document(list(rows.values()), str(path), tuple(rows))


def _decode(data: bytearray, path: str | Path) -> str:
    """Return a file's bytes as text.

    Raises:
        CatalogError: If they are not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise CatalogError(
            "the text is not UTF-8: save it as UTF-8", file=path, place=f"line {line}"
        ) from exc


def _parse_json(text: str, path: str | Path) -> Any:
    """Parse a file's text as strict JSON.

    Raises:
        CatalogError: If it is not; caused by a ``json.JSONDecodeError`` if it is not JSON at all.
    """
    try:
        return parse_json(text)
    except json.JSONDecodeError as exc:
        place = f"line {exc.lineno}, column {exc.colno}"
        raise CatalogError(f"broken JSON: {json_problem(exc)}", file=path, place=place) from exc
    except ValueError as exc:
        raise CatalogError(str(exc), file=path) from exc


def _parse_yaml(text: str, size: int, path: str | Path) -> Any:
    """Parse a file's text of ``size`` bytes as YAML.

    Raises:
        CatalogError: If it is too large or not accepted.
    """
    if size > MAX_YAML_BYTES:
        raise CatalogError(
            f"the YAML document is larger than {MAX_YAML_BYTES:,} bytes, which takes too long to "
            "read: convert it to JSON",
            file=path,
        )
    try:
        return parse_yaml(text)
    except YamlError as exc:
        raise CatalogError(exc.problem, file=path, place=exc.place) from exc
