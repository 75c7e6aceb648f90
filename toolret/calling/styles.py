"""Write values into URLs, headers and forms in OpenAPI's ``style``s, by pure functions.

https://spec.openapis.org/oas/v3.1.1.html#style-values, which follow RFC 6570. Where they leave
something open, this does what most servers expect: values nested where a style has no room are
JSON, and a ``deepObject`` nests brackets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from toolret.json_values import compact_json

__all__ = ["form_pairs", "header_text", "json_text", "path_text", "plain_value"]

_SEPARATORS = {"spaceDelimited": " ", "pipeDelimited": "|", "tabDelimited": "\t"}
"""Separators of styles that join an array's items in one value; a comma in all others."""

_RESERVED = ":/?@!$'()*,;"
"""Characters that ``allowReserved`` keeps, except those that would end or split the value."""


def plain_value(value: Any) -> str:
    """Return a value as text: strings as they are, None as empty, anything else as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json_text(value)


def json_text(value: Any) -> str:
    """Return a value as compact JSON.

    Raises:
        TypeError: If it cannot be written as JSON.
        ValueError: If it holds a number that JSON lacks, such as NaN.
    """
    return compact_json(value, allow_nan=False)


def form_pairs(
    name: str, value: Any, *, style: str = "form", explode: bool = True, reserved: bool = False
) -> list[tuple[str, str]]:
    """Return names and values for a query or a form, percent-encoded.

    Args:
        name: The parameter's name.
        value: A JSON value.
        style: ``form``, ``spaceDelimited``, ``pipeDelimited``, ``tabDelimited`` or ``deepObject``.
        explode: Whether each item gets a pair of its own.
        reserved: Whether reserved characters stay as they are.
    """

    def encoded(part: Any) -> str:
        return _encode(part, _RESERVED if reserved else "")

    if style == "deepObject" and isinstance(value, Mapping | list):
        return [(_encode(key), encoded(part)) for key, part in _deep_object_pairs(name, value)]
    if isinstance(value, Mapping):
        if explode:
            return [(_encode(key), encoded(part)) for key, part in value.items()]
        value = [part for item in value.items() for part in item]
        explode = False
    if isinstance(value, list):
        if explode:
            return [(_encode(name), encoded(part)) for part in value]
        return [(_encode(name), _separator(style).join(map(encoded, value)))]
    return [(_encode(name), encoded(value))]


def path_text(name: str, value: Any, *, style: str = "simple", explode: bool = False) -> str:
    """Return a value for a path, percent-encoded.

    Args:
        name: The parameter's name.
        value: A JSON value.
        style: ``simple``, ``label`` or ``matrix``; or one of Swagger's, as in ``form_pairs``.
        explode: Whether an object's properties are written as ``name=value``, and items of
            ``label`` and ``matrix`` separately.
    """
    prefix = {"label": ".", "matrix": ";"}.get(style, "")
    between = (prefix or ",") if explode else _separator(style)
    named = f"{_encode(name)}=" if style == "matrix" else ""
    if isinstance(value, Mapping):
        equals = "=" if explode else ","
        items = [f"{_encode(key)}{equals}{_encode(part)}" for key, part in value.items()]
        return prefix + ("" if explode else named) + between.join(items)
    if isinstance(value, list):
        items = [_encode(part) for part in value]
        if explode and named:
            return prefix + between.join(f"{named}{item}" for item in items)
        return prefix + named + between.join(items)
    text = _encode(value)
    return prefix + (named + text if text else named.rstrip("="))


def header_text(value: Any, *, style: str = "simple", explode: bool = False) -> str:
    """Return a value for a header, written as in a path but without percent-encoding."""
    if isinstance(value, Mapping):
        equals = "=" if explode else ","
        return ",".join(f"{key}{equals}{plain_value(part)}" for key, part in value.items())
    if isinstance(value, list):
        return _SEPARATORS.get(style, ",").join(map(plain_value, value))
    return plain_value(value)


def _separator(style: str) -> str:
    """Return what stands between the items of an array in a URL, percent-encoded."""
    return quote(_SEPARATORS[style]) if style in _SEPARATORS else ","


def _encode(value: Any, safe: str = "") -> str:
    return quote(plain_value(value), safe=safe)


def _deep_object_pairs(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the innermost parts of a value with their names in brackets, such as ``a[b][0]``."""
    if isinstance(value, Mapping | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in items:
            yield from _deep_object_pairs(f"{name}[{key}]", part)
    else:
        yield name, value
