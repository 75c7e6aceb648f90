"""Schemas of API documents as plain, self-contained JSON Schema (draft 2020-12).

References are put in place. OpenAPI 3.0's dialect is translated wherever it stands, for real 3.1
documents use it too. What says nothing to a caller (``xml``, ``discriminator``, ``x-...``, ...) and
what is no valid JSON Schema is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from toolret.catalogs.refs import References, child
from toolret.catalogs.schema_merge import ANNOTATIONS, merged
from toolret.catalogs.text import plain_text

__all__ = ["Schema", "inlined", "writable"]

Schema: TypeAlias = dict[str, Any]

_MAX_DEPTH = 32
"""Levels of nesting, of which a reference is one; Stripe's API, the deepest seen, has 6."""

_MAX_SCHEMAS = 1_000
"""Subschemas of one schema: some 20,000 tokens, more than a planner should read of one tool.
Stripe's largest has 266."""

_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_NESTED = frozenset(
    {
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_NESTED_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NESTED_MAPS = frozenset({"dependentSchemas", "patternProperties", "properties"})
_NESTING = frozenset({"$ref"}) | _NESTED | _NESTED_LISTS | _NESTED_MAPS
_REFUSING = frozenset({"allOf", "anyOf", "const", "if", "not", "oneOf"})
"""Keywords that may refuse null although ``type`` allows it."""


def inlined(schema: Any, pointer: str, refs: References) -> Schema:
    """A schema without references.

    A circular reference becomes a schema that accepts anything and says so; so does what is nested
    so deeply that the whole would be too large.

    Args:
        schema: The schema in its document.
        pointer: Where it stands there.
        refs: The document's references.

    Raises:
        CatalogError: If a reference leads nowhere.
    """
    whole = _Inliner(refs, _MAX_DEPTH)
    result = whole.schema(schema, pointer)
    if not whole.overflowed:
        return result
    # One level is bounded by the document's own text, so that the search ends.
    fits, fails = 1, _MAX_DEPTH
    result = _Inliner(refs, fits, limited=False).schema(schema, pointer)
    while fails - fits > 1:
        depth = (fits + fails) // 2
        attempt = _Inliner(refs, depth)
        tried = attempt.schema(schema, pointer)
        if attempt.overflowed:
            fails = depth
        else:
            fits, result = depth, tried
    return result


class _Inliner:
    def __init__(self, refs: References, depth: int, *, limited: bool = True) -> None:
        self._refs = refs
        self._depth = depth
        self._left = _MAX_SCHEMAS if limited else -1

    @property
    def overflowed(self) -> bool:
        return self._left == 0

    def schema(
        self, raw: Any, pointer: str, depth: int = 0, active: frozenset[str] = frozenset()
    ) -> Schema:
        if raw is False:
            return {"not": {}}
        if self.overflowed or not isinstance(raw, dict):
            return {}
        self._left -= 1
        if depth > self._depth and not _NESTING.isdisjoint(raw):
            return _cut(raw, "nested too deeply to show: any value is accepted")
        if isinstance(raw.get("$ref"), str):
            return self._reference(raw, pointer, depth, active)

        def nested(value: Any, *keys: str | int) -> Schema:
            place = pointer
            for key in keys:
                place = child(place, key)
            return self.schema(value, place, depth + 1, active)

        result: Schema = {}
        for key, value in raw.items():
            result |= _keyword(key, value, nested)
        return _finished(result, raw)

    def _reference(self, raw: Schema, pointer: str, depth: int, active: frozenset[str]) -> Schema:
        ref = raw["$ref"]
        beside = _without(raw, "$ref")
        target, place = self._refs.lookup(ref, pointer)
        if ref in active:
            name = place.rpartition("/")[2] or "the document"
            described = target | beside if isinstance(target, dict) else beside
            return _cut(described, f"circular reference to {name}: any value is accepted")
        found = self.schema(target, place, depth + 1, active | {ref})
        if not beside:
            return found
        both = merged([self.schema(beside, pointer, depth, active), found])
        return _nullable(both) if raw.get("nullable") is True else both


def writable(schema: Schema) -> Schema:
    """A schema from ``inlined`` without the properties that only the server sets (``readOnly``)."""
    result: Schema = {}
    for key, value in schema.items():
        if key in _NESTED and isinstance(value, dict):
            result[key] = writable(value)
        elif key in _NESTED_LISTS:
            result[key] = [writable(part) for part in value]
        elif key in _NESTED_MAPS:
            result[key] = {
                name: writable(part) for name, part in value.items() if "readOnly" not in part
            }
        else:
            result[key] = value
    if "required" in schema:
        before = schema.get("properties", {})
        kept = [
            name
            for name in schema["required"]
            if name not in before or name in result["properties"]
        ]
        result = result | {"required": kept} if kept else _without(result, "required")
    return result


def _without(schema: Schema, key: str) -> Schema:
    return {k: value for k, value in schema.items() if k != key}


def _keyword(key: str, value: Any, nested: Callable[..., Schema]) -> Schema:
    """A keyword as it is kept; empty if it is not."""
    if key == "items" and isinstance(value, list):
        key = "prefixItems"
    if key in _NESTED and isinstance(value, bool):
        return {key: value}
    if key in _NESTED and isinstance(value, dict):
        return {key: nested(value, key)}
    if key in _NESTED_LISTS and isinstance(value, list) and value:
        return {key: [nested(part, key, index) for index, part in enumerate(value)]}
    if key in _NESTED_MAPS and isinstance(value, dict):
        return {
            key: {
                name: nested(part, key, name)
                for name, part in value.items()
                if key != "patternProperties" or _is_pattern(name)
            }
        }
    if key == "description" and isinstance(value, str):
        value = plain_text(value)
    elif key == "type":
        value = _types(value)
    elif key == "required" and isinstance(value, list):
        value = _names(value)
    elif key == "example":
        key, value = "examples", [value]
    is_kept = _KEPT.get(key)
    return {key: value} if is_kept and is_kept(value) else {}


def _types(value: Any) -> Any:
    names = _names(value if isinstance(value, list) else [value])
    known = [name for name in names if name in _TYPES]
    return known[0] if len(known) == 1 else known


def _names(values: list[Any]) -> list[str]:
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _is_pattern(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(re.compile(value))
    except (re.error, OverflowError, RecursionError):
        return False


def _is_dependency(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(names, list) and names == _names(names) for names in value.values()
    )


_KEPT: dict[str, Callable[[Any], bool]] = {
    "type": bool,
    "enum": _is_list,
    "examples": _is_list,
    "required": _is_list,
    "pattern": _is_pattern,
    "multipleOf": _is_positive,
    "dependentRequired": _is_dependency,
    **dict.fromkeys(("const", "default"), lambda _: True),
    **dict.fromkeys(("deprecated", "readOnly", "uniqueItems"), lambda value: value is True),
    **dict.fromkeys(
        ("contentEncoding", "contentMediaType", "description", "format", "title"), _is_text
    ),
    **dict.fromkeys(
        ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"),
        _is_number,
    ),
    **dict.fromkeys(
        (
            "maxContains",
            "maxItems",
            "maxLength",
            "maxProperties",
            "minContains",
            "minItems",
            "minLength",
            "minProperties",
        ),
        _is_count,
    ),
}
"""The keywords without subschemas that are kept, and the values with which they are valid."""


def _finished(schema: Schema, raw: Schema) -> Schema:
    """Apply what one keyword says about others: 3.0's bounds and ``nullable``, and ``allOf``."""
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if raw.get(exclusive) is True and bound in schema:
            schema[exclusive] = schema.pop(bound)
    if "allOf" in schema:
        parts = schema.pop("allOf")
        schema = merged([schema, *parts])
    return _nullable(schema) if raw.get("nullable") is True else schema


def _nullable(schema: Schema) -> Schema:
    annotations = {key: value for key, value in schema.items() if key in ANNOTATIONS}
    asserted = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
    if not asserted:
        return schema
    if not _REFUSING.isdisjoint(asserted) or ("type" not in asserted and "enum" not in asserted):
        return annotations | {"anyOf": [asserted, {"type": "null"}]}
    if "type" in asserted:
        types = asserted["type"]
        asserted["type"] = _types([*(types if isinstance(types, list) else [types]), "null"])
    if "enum" in asserted and None not in asserted["enum"]:
        asserted["enum"] = [*asserted["enum"], None]
    return annotations | asserted


def _cut(raw: Schema, reason: str) -> Schema:
    """A schema that accepts anything and says why."""
    text = raw.get("description")
    described = plain_text(text) if isinstance(text, str) else ""
    if described:
        return {"description": f"{described} ({reason})"}
    return {"description": reason[0].upper() + reason[1:]}
