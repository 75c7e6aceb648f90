"""Rewrite schemas of earlier drafts of JSON Schema, and faulty ones, as draft 2020-12.

Providers refuse a whole request because of one keyword that this draft does not have. What a
keyword meant in an earlier draft is kept; what means nothing is dropped, so that the schema accepts
more. Where dropping a part would make the whole accept less, more is given up: a condition (``if``
or ``not``) in which something is dropped is dropped as a whole, and the choices of a ``oneOf``
become those of an ``anyOf``.
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
    "as_draft_2020_12",
    "is_count",
    "is_number",
    "is_pattern",
    "is_uri_reference",
]

JSON_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
"""The values that the keyword ``type`` may have."""

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

_PYTHON_TYPES = {
    "bool": "boolean",
    "dict": "object",
    "float": "number",
    "int": "integer",
    "list": "array",
    "none": "null",
    "str": "string",
}
"""Names that Python has for JSON types, which real schemas use, with the names in JSON Schema."""

_CONDITIONS = ("if", "not")
"""Keywords whose schemas must not be loosened: the whole schema would then accept less."""

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

_URI_CHARACTERS = "!$&'()*+,/:;=?@%"
"""Characters besides letters, digits and ``-._~`` that may stand in a URI, or in its fragment."""

_STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
"""A percent sign that does not begin a percent code."""

_URI_PART = r"(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"
"""A pattern of a URI or of its fragment: the characters above, and percent codes."""

_URI_REFERENCE = re.compile(rf"{_URI_PART}(?:#{_URI_PART})?", re.ASCII)
"""A URI or a relative reference, with or without a fragment."""

_ID = re.compile(rf"{_URI_PART}#?", re.ASCII)
"""A value of ``$id``: a URI without a fragment, except an empty one."""

_ANCHOR = re.compile(r"[A-Za-z_][-A-Za-z0-9._]*")
"""A value of ``$anchor``."""


def as_draft_2020_12(schema: JsonObject) -> JsonObject:
    """Return a schema as draft 2020-12; a valid one is returned as it is."""
    return schema if _is_schema(schema) else _rewrite(schema)[0]


def _rewrite(schema: JsonObject) -> tuple[dict[str, Any], bool]:
    """Rewrite a schema as draft 2020-12.

    Returns:
        The schema, and whether it accepts no more than before.
    """
    rewritten: dict[str, Any] = {}
    loosened_choices: list[Any] = []
    translated, is_exact = _translate_own_keywords(schema)
    for key, value in translated.items():
        is_same = True
        if key in NESTED and isinstance(value, Mapping):
            part, is_same = _rewrite(value)
            if is_same or key not in _CONDITIONS:
                rewritten[key] = part
        elif key in NESTED_LISTS and isinstance(value, list) and value:
            parts, are_same = zip(*map(_rewrite_part, value), strict=True)
            is_same = all(are_same)
            if key == "oneOf" and not is_same:  # of what accepts more, several may match
                loosened_choices = [*parts]
            else:
                rewritten[key] = [*parts]
        elif key in MAPS and isinstance(value, Mapping):
            parts_by_name = {name: _rewrite_part(part) for name, part in value.items()}
            is_same = all(same for _, same in parts_by_name.values())
            rewritten[key] = {name: part for name, (part, _) in parts_by_name.items()}
        elif key not in _IS_VALID or _IS_VALID[key](value):
            rewritten[key] = value
        else:
            is_same = key in _ANNOTATIONS
        is_exact = is_exact and is_same
    if loosened_choices and "anyOf" in rewritten:
        rewritten["allOf"] = [*rewritten.get("allOf", ()), {"anyOf": loosened_choices}]
    elif loosened_choices:
        rewritten["anyOf"] = loosened_choices
    return rewritten, is_exact


def _rewrite_part(value: Any) -> tuple[Any, bool]:
    """Rewrite one schema of a list or mapping; a value of another kind becomes ``{}``.

    Returns:
        The schema, and whether it accepts no more than before.
    """
    if isinstance(value, Mapping):
        return _rewrite(value)
    return (value, True) if isinstance(value, bool) else ({}, False)


def _translate_own_keywords(schema: JsonObject) -> tuple[dict[str, Any], bool]:
    """Write the keywords of a schema, but not of those in it, as in draft 2020-12.

    Returns:
        The schema, and whether it accepts no more than before.
    """
    translated, is_exact = dict(schema), True
    # ``$schema`` would make readers take the keywords for those of another draft.
    translated.pop("$schema", None)
    if "type" in translated:
        translated["type"] = _type_or_types(translated["type"])
    # Until draft 2019-09, a list of ``items`` held the schemas of the first items.
    if isinstance(prefix := translated.get("items"), list):
        translated["items"] = translated.pop("additionalItems", {})
        translated.setdefault("prefixItems", prefix)
    # Until draft 4, exclusive bounds were flags.
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(flag := translated.get(exclusive), bool):
            del translated[exclusive]
            if flag and bound in translated:
                translated[exclusive] = translated.pop(bound)
    # In draft 3, a property says itself whether it is required; its object collects that below.
    if isinstance(translated.get("required"), bool):
        del translated["required"]
    needed = [*_strings(translated.get("required")), *_self_required(translated.get("properties"))]
    if needed:
        translated["required"] = list(dict.fromkeys(needed))
    # Until draft 7, one keyword stood for two.
    for name, part in mapping(translated.pop("dependencies", None)).items():
        keyword = "dependentSchemas" if isinstance(part, Mapping | bool) else "dependentRequired"
        needs = [part] if isinstance(part, str) else part
        translated[keyword] = {**mapping(translated.get(keyword)), name: needs}
    patterns = mapping(translated.get("patternProperties"))
    if not all(map(is_pattern, patterns)):
        is_exact = False
        translated["patternProperties"] = {k: part for k, part in patterns.items() if is_pattern(k)}
        # Otherwise these would refuse the properties that the dropped patterns matched.
        translated.pop("additionalProperties", None)
        translated.pop("unevaluatedProperties", None)
    if isinstance(reference := translated.get("$ref"), str):
        start, mark, fragment = reference.partition("#")
        translated["$ref"] = f"{_percent_encoded(start)}{mark}{_percent_encoded(fragment)}"
    return translated, is_exact


def _percent_encoded(part: str) -> str:
    """Return a part of a URI in which invalid characters, such as spaces in names, are encoded."""
    return quote(_STRAY_PERCENT.sub("%25", part), safe=_URI_CHARACTERS, errors="replace")


def _type_or_types(value: Any) -> Any:
    """Return a value of ``type`` with the names of JSON Schema; None if one of them is unknown."""
    if not isinstance(value, list):
        return _type(value)
    names = list(dict.fromkeys(map(_type, value)))
    return None if None in names else names


def _type(value: Any) -> str | None:
    """Return the name that JSON Schema has for a type; None if it is unknown."""
    name = value.lower() if isinstance(value, str) else ""
    name = _PYTHON_TYPES.get(name, name)
    return name if name in JSON_TYPES else None


def _strings(value: Any) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _self_required(properties: Any) -> list[str]:
    """Return the properties whose own schema says that they are required, as in draft 3."""
    return [name for name, part in mapping(properties).items() if _requires_itself(part)]


def _requires_itself(schema: Any) -> bool:
    return mapping(schema).get("required") is True


def _is_schema(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return isinstance(value, bool)
    return all(key not in _IS_VALID or _IS_VALID[key](part) for key, part in value.items())


def _is_schema_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_schema, value))


def _is_schema_map(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_schema, value.values()))


def _is_type(value: Any) -> bool:
    if isinstance(value, str):
        return value in JSON_TYPES
    return _is_string_set(value) and bool(value) and JSON_TYPES.issuperset(value)


def _is_string_set(value: Any) -> bool:
    return isinstance(value, list) and _strings(value) == value and len(set(value)) == len(value)


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


def _is_pattern_map(value: Any) -> bool:
    return _is_schema_map(value) and all(map(is_pattern, value))


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_IS_VALID: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(NESTED, _is_schema),
    **dict.fromkeys(NESTED_LISTS, _is_schema_list),
    **dict.fromkeys(MAPS, _is_schema_map),
    "patternProperties": _is_pattern_map,
    "type": _is_type,
    "required": _is_string_set,
    "enum": lambda value: isinstance(value, list) and bool(value),  # OpenAI refuses an empty one
    "examples": lambda value: isinstance(value, list),
    "multipleOf": lambda value: is_number(value) and value > 0,
    "dependentRequired": lambda value: (
        isinstance(value, Mapping) and all(map(_is_string_set, value.values()))
    ),
    "dependencies": lambda _: False,
    "$id": lambda value: _is_string(value) and bool(_ID.fullmatch(value)),
    "$vocabulary": lambda value: isinstance(value, Mapping) and all(map(_is_flag, value.values())),
    **dict.fromkeys(
        ("$anchor", "$dynamicAnchor", "$recursiveAnchor"),
        lambda value: _is_string(value) and bool(_ANCHOR.fullmatch(value)),
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
        _is_string,
    ),
    **dict.fromkeys(("$dynamicRef", "$recursiveRef", "$ref"), is_uri_reference),
    "$schema": lambda value: is_uri_reference(value) and ":" in value,
    "pattern": is_pattern,
    **dict.fromkeys(("deprecated", "readOnly", "uniqueItems", "writeOnly"), _is_flag),
    **dict.fromkeys(BOUNDS, is_number),
    **dict.fromkeys(COUNTS, is_count),
}
"""Whether a value is valid for a keyword of draft 2020-12, as a function for each keyword."""
