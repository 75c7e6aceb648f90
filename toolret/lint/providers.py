"""Rules of OpenAI and Anthropic for the schema of a tool's arguments.

They apply to plain function calling, as documented by the providers and as stated in their error
responses (HTTP 400). Strict modes allow far less and are the caller's choice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from toolret.catalogs.keys import is_key
from toolret.json_values import json_pointer
from toolret.schemas.accepted import is_bare_array
from toolret.schemas.drafts import is_pattern, is_uri_reference
from toolret.schemas.subschemas import subschemas

__all__ = ["Problem", "name_problems", "openai_problems", "schema_problems", "unquoting_hint"]

Problem = tuple[str, str]
"""A JSON pointer into the schema, and what is wrong there."""

_FORMATS = FormatChecker(formats=())
"""The formats that the providers check within a schema: patterns and references."""
_FORMATS.checks("regex")(lambda value: not isinstance(value, str) or is_pattern(value))
_FORMATS.checks("uri-reference")(
    lambda value: not isinstance(value, str) or is_uri_reference(value)
)

_META_VALIDATOR = Draft202012Validator(Draft202012Validator.META_SCHEMA, format_checker=_FORMATS)
"""Checks whether a value is a JSON Schema."""

_QUOTED_VALUE = re.compile(r"true|false|-?(0|[1-9]\d{0,30})(\.\d{1,30})?", re.ASCII)
"""A text that is a boolean or a number in quotes."""

_NOT_AT_TOP = ("oneOf", "anyOf", "allOf", "enum", "const", "not")
"""Keywords that OpenAI refuses at the top of a schema."""


def schema_problems(schema: Mapping[str, Any]) -> Iterator[Problem]:
    """Find violations of JSON Schema (draft 2020-12), which both providers require.

    OpenAI asks that patterns and references be well-formed, too, and reads patterns as Python does.
    """
    for error in _META_VALIDATOR.iter_errors(schema):
        pointer = json_pointer("", *error.absolute_path)
        if error.absolute_path and error.absolute_path[-1] == "type":
            yield pointer, f"JSON Schema has no type {_short(repr(error.instance))}"
        elif error.absolute_path and error.validator == "type":
            key, wanted = error.absolute_path[-1], error.validator_value
            yield (
                pointer,
                f"it is no JSON Schema: {key!r} is {_short(repr(error.instance))}, not of type "
                f"{wanted!r}{unquoting_hint(error.instance, wanted)}",
            )
        else:
            yield pointer, f"it is no JSON Schema: {_short(error.message)}"


def unquoting_hint(value: Any, type_: Any) -> str:
    """Return a hint to write a value without quotes; empty if that would not give it its type."""
    if not isinstance(value, str) or not _QUOTED_VALUE.fullmatch(value):
        return ""
    fits = Draft202012Validator({"type": type_}).is_valid(json.loads(value))
    return f": write {value} without quotes" if fits else ""


def openai_problems(schema: Mapping[str, Any]) -> Iterator[Problem]:
    """Find what OpenAI rejects with "Invalid schema for function ..."."""
    if schema.get("type") != "object":
        yield "", "OpenAI asks for type 'object' at the top"
    for key in _NOT_AT_TOP:
        if key in schema:
            yield f"/{key}", f"OpenAI refuses {key!r} at the top"
    for path, part in subschemas(schema):
        if is_bare_array(part):
            yield json_pointer("", *path), "OpenAI refuses an array without 'items'"
        if part.get("enum") == []:
            yield json_pointer("", *path, "enum"), "OpenAI refuses an 'enum' without values"


def name_problems(schema: Mapping[str, Any]) -> Iterator[Problem]:
    """Find property names for which Anthropic rejects a schema."""
    for path, part in subschemas(schema):
        properties = part.get("properties")
        for name in properties if isinstance(properties, Mapping) else ():
            if not is_key(str(name)):
                yield (
                    json_pointer("", *path, "properties", name),
                    f"Anthropic refuses the property name {name!r}: 1 to 64 of A-Z a-z 0-9 _ . -",
                )


def _short(message: str, length: int = 160) -> str:
    return message if len(message) <= length else f"{message[:length]}..."
