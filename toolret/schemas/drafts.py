"""Schemas of earlier drafts of JSON Schema, and faulty ones, as draft 2020-12 has them.

Providers refuse a whole request because of one keyword that this draft does not have. What a
keyword meant in an earlier draft is kept; what means nothing is dropped, so that the schema accepts
more. For that, a test (``if`` or ``not``) in which something is dropped goes as a whole, and the
choices of a ``oneOf`` become those of ``anyOf``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from toolret.schemas.subschemas import MAPS, NESTED, NESTED_LISTS, mapping
from toolret.types import JsonObject

__all__ = [
    "BOUNDS",
    "COUNTS",
    "JSON_TYPES",
    "current",
    "is_count",
    "is_number",
    "is_pattern",
    "is_uri_reference",
]

JSON_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})

BOUNDS = ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum")
"""Keywords whose value is a number."""

COUNTS = (
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
)
"""Keywords whose value is a whole number of 0 or more."""

_NAMED_OTHERWISE = {
    "bool": "boolean",
    "dict": "object",
    "float": "number",
    "int": "integer",
    "list": "array",
    "none": "null",
    "str": "string",
}
"""Types as Python calls them."""

_TESTS = ("if", "not")
"""Keywords whose schemas may not accept more: the whole would then accept less."""

_ANNOTATIONS = frozenset(
    {
        "$comment",
        "$schema",
        "$vocabulary",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "deprecated",
        "description",
        "examples",
        "format",
        "readOnly",
        "title",
        "writeOnly",
    }
)
"""Keywords without which a schema accepts the same."""

_IN_URIS = "!$&'()*+,/:;=?@%"
"""Characters besides letters, digits and ``-._~`` that may stand in a URI, or in its fragment."""

_STRAY = re.compile("%(?![0-9A-Fa-f]{2})")
"""A percent sign that begins no code."""

_URI = r"(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"
_URI_REFERENCE = re.compile(rf"{_URI}(?:#{_URI})?", re.ASCII)
_ID = re.compile(rf"{_URI}#?", re.ASCII)
_ANCHOR = re.compile(r"[A-Za-z_][-A-Za-z0-9._]*")


def current(schema: JsonObject) -> JsonObject:
    """Rewrite a schema as draft 2020-12; a valid one is returned as it is."""
    return schema if _is_schema(schema) else _rewritten(schema)[0]


def _rewritten(schema: JsonObject) -> tuple[dict[str, Any], bool]:
    """Return a schema as draft 2020-12, and whether it accepts no more than before."""
    result: dict[str, Any] = {}
    translated, is_exact = _translated(schema)
    for key, value in translated.items():
        is_same = True
        if key in NESTED and isinstance(value, Mapping):
            part, is_same = _rewritten(value)
            if is_same or key not in _TESTS:
                result[key] = part
        elif key in NESTED_LISTS and isinstance(value, list) and value:
            parts, kept = zip(*map(_part, value), strict=True)
            is_same = all(kept)
            result.setdefault("anyOf" if key == "oneOf" and not is_same else key, list(parts))
        elif key in MAPS and isinstance(value, Mapping):
            made = {name: _part(each) for name, each in value.items()}
            is_same = all(same for _, same in made.values())
            result[key] = {name: part for name, (part, _) in made.items()}
        elif key not in _FITS or _FITS[key](value):
            result[key] = value
        else:
            is_same = key in _ANNOTATIONS
        is_exact = is_exact and is_same
    return result, is_exact


def _part(value: Any) -> tuple[Any, bool]:
    """Rewrite one schema of a list or mapping; what is none becomes ``{}``, which allows all."""
    if isinstance(value, Mapping):
        return _rewritten(value)
    return (value, True) if isinstance(value, bool) else ({}, False)


def _translated(schema: JsonObject) -> tuple[dict[str, Any], bool]:
    """Return a schema with its own keywords as they are written now, and whether all are kept."""
    result, is_exact = dict(schema), True
    result.pop("$schema", None)  # it would have the keywords of this draft read as another's
    if "type" in result:
        result["type"] = _types(result["type"])
    if isinstance(tuple_ := result.get("items"), list):
        result["items"] = result.pop("additionalItems", {})
        result.setdefault("prefixItems", tuple_)
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(flag := result.get(exclusive), bool):
            del result[exclusive]
            if flag and bound in result:
                result[exclusive] = result.pop(bound)
    if isinstance(result.get("required"), bool):  # which the object says that has the property
        del result["required"]
    needed = [*_names(result.get("required")), *_marked(result.get("properties"))]
    if needed:
        result["required"] = list(dict.fromkeys(needed))
    for name, part in mapping(result.pop("dependencies", None)).items():
        keyword = "dependentSchemas" if isinstance(part, Mapping | bool) else "dependentRequired"
        needs = [part] if isinstance(part, str) else part
        result[keyword] = {**mapping(result.get(keyword)), name: needs}
    patterns = mapping(result.get("patternProperties"))
    if not all(map(is_pattern, patterns)):
        is_exact = False
        result["patternProperties"] = {k: each for k, each in patterns.items() if is_pattern(k)}
        # What the others matched would be refused as something else.
        result.pop("additionalProperties", None)
        result.pop("unevaluatedProperties", None)
    if isinstance(reference := result.get("$ref"), str):
        start, mark, fragment = reference.partition("#")
        result["$ref"] = f"{_quoted(start)}{mark}{_quoted(fragment)}"
    return result, is_exact


def _quoted(part: str) -> str:
    """Encode what may not stand in a URI, such as a space in the name of a definition."""
    return quote(_STRAY.sub("%25", part), safe=_IN_URIS, errors="replace")


def _types(value: Any) -> Any:
    """Return one type or several; None if one of them is unknown."""
    if not isinstance(value, list):
        return _type(value)
    names = list(dict.fromkeys(map(_type, value)))
    return None if None in names else names


def _type(value: Any) -> str | None:
    name = value.lower() if isinstance(value, str) else ""
    name = _NAMED_OTHERWISE.get(name, name)
    return name if name in JSON_TYPES else None


def _names(value: Any) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _marked(properties: Any) -> list[str]:
    """The properties that say themselves that they are required, as in draft 3."""
    return [name for name, part in mapping(properties).items() if _is_marked(part)]


def _is_marked(schema: Any) -> bool:
    return mapping(schema).get("required") is True


def _is_schema(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return isinstance(value, bool)
    return all(key not in _FITS or _FITS[key](part) for key, part in value.items())


def _is_schemas(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_schema, value))


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_schema, value.values()))


def _is_type(value: Any) -> bool:
    if isinstance(value, str):
        return value in JSON_TYPES
    return _is_names(value) and bool(value) and JSON_TYPES.issuperset(value)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and _names(value) == value and len(set(value)) == len(value)


def is_number(value: Any) -> bool:
    """Whether a value is a number in JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    """Whether a value is a whole number of 0 or more, such as 2.0."""
    return is_number(value) and value >= 0 and value == value // 1


def is_pattern(value: Any) -> bool:
    """Whether a value is a regular expression for Python, as OpenAI demands."""
    try:
        return isinstance(value, str) and bool(re.compile(value))
    except (FutureWarning, OverflowError, RecursionError, re.error):
        return False


def is_uri_reference(value: Any) -> bool:
    """Whether a value is a URI or a relative reference."""
    return isinstance(value, str) and bool(_URI_REFERENCE.fullmatch(value))


def _is_patterns(value: Any) -> bool:
    return _is_map(value) and all(map(is_pattern, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_FITS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(NESTED, _is_schema),
    **dict.fromkeys(NESTED_LISTS, _is_schemas),
    **dict.fromkeys(MAPS, _is_map),
    "patternProperties": _is_patterns,
    "type": _is_type,
    "required": _is_names,
    "enum": lambda value: isinstance(value, list) and bool(value),  # OpenAI refuses an empty one
    "examples": lambda value: isinstance(value, list),
    "multipleOf": lambda value: is_number(value) and value > 0,
    "dependentRequired": lambda value: (
        isinstance(value, Mapping) and all(map(_is_names, value.values()))
    ),
    "dependencies": lambda _: False,
    "$id": lambda value: _is_text(value) and bool(_ID.fullmatch(value)),
    "$vocabulary": lambda value: isinstance(value, Mapping) and all(map(_is_flag, value.values())),
    **dict.fromkeys(
        ("$anchor", "$dynamicAnchor", "$recursiveAnchor"),
        lambda value: _is_text(value) and bool(_ANCHOR.fullmatch(value)),
    ),
    **dict.fromkeys(
        (
            "$comment",
            "contentEncoding",
            "contentMediaType",
            "description",
            "format",
            "title",
        ),
        _is_text,
    ),
    **dict.fromkeys(("$dynamicRef", "$recursiveRef", "$ref"), is_uri_reference),
    "$schema": lambda value: is_uri_reference(value) and ":" in value,
    "pattern": is_pattern,
    **dict.fromkeys(("deprecated", "readOnly", "uniqueItems", "writeOnly"), _is_flag),
    **dict.fromkeys(BOUNDS, is_number),
    **dict.fromkeys(COUNTS, is_count),
}
"""What the value of each keyword must be."""
