"""Merge the parts of an ``allOf`` into one schema where that is equivalent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

__all__ = ["ANNOTATIONS", "merge_schemas"]

_Schema: TypeAlias = dict[str, Any]

ANNOTATIONS = frozenset({"default", "deprecated", "description", "examples", "readOnly", "title"})
"""Keywords that do not affect what a schema accepts."""

_RELATED = (
    frozenset({"contains", "items", "maxContains", "minContains", "prefixItems"}),
    frozenset({"else", "if", "then"}),
)
"""Groups of keywords that affect each other, so that two schemas with keywords of one group cannot
simply be combined."""


def merge_schemas(parts: Sequence[_Schema]) -> _Schema:
    """Merge schemas into one that accepts what all accept; the first part's annotations win.

    Where merging would change what is accepted, ``allOf`` is kept.
    """
    result = parts[0]
    for part in parts[1:]:
        both = _merge_two(result, part)
        if both is None:
            return _kept_apart(parts)
        result = both
    return result


def _kept_apart(parts: Sequence[_Schema]) -> _Schema:
    """Return one schema that holds schemas in its ``allOf``."""
    if "allOf" in parts[0]:
        return {"allOf": list(parts)}
    return {**parts[0], "allOf": [part for part in parts[1:] if part]}


def _merge_two(first: _Schema, second: _Schema) -> _Schema | None:
    """Merge two schemas; return None if they cannot simply be written as one."""
    if _restricts(first, second) or _restricts(second, first):
        return None
    any_items: _Schema = {}
    if _allows_any_items(first, second):
        any_items = {"items": {}}
        first = {key: value for key, value in first.items() if key != "items"}
    elif _allows_any_items(second, first):
        any_items = {"items": {}}
        second = {key: value for key, value in second.items() if key != "items"}
    for related in _RELATED:
        if not (related.isdisjoint(first) or related.isdisjoint(second)):
            return None
    result = any_items | first | {key: value for key, value in second.items() if key not in first}
    for key in (first.keys() & second.keys()) - ANNOTATIONS:
        value = _merge_values(key, first[key], second[key])
        if value is None:
            return None
        result[key] = value
    return result


def _allows_any_items(schema: _Schema, other: _Schema) -> bool:
    """Whether a schema's ``items`` is empty, so that the other one's array keywords apply."""
    return schema.get("items") == {} and not _RELATED[0].isdisjoint(other)


def _merge_values(key: str, first: Any, second: Any) -> Any:
    """Return the value of a keyword that accepts what both values accept; None if there is none."""
    if first == second:
        return first
    if key == "required":
        return list(dict.fromkeys([*first, *second]))
    if key == "type":
        return _common_type(first, second)
    if key == "properties":
        common = {
            name: _merge_two(first[name], second[name]) for name in first.keys() & second.keys()
        }
        return None if None in common.values() else {**first, **second, **common}
    return None


def _common_type(first: Any, second: Any) -> Any:
    """Return the types that two values of ``type`` have in common; None if there are none."""
    firsts, seconds = (set(v) if isinstance(v, list) else {v} for v in (first, second))
    if "number" in firsts:
        firsts |= {"integer"}
    if "number" in seconds:
        seconds |= {"integer"}
    common = sorted(firsts & seconds)
    if "number" in common:
        common.remove("integer")
    return common if len(common) > 1 else common[0] if common else None


def _restricts(schema: _Schema, other: _Schema) -> bool:
    """Whether a schema restricts properties that only the other one declares."""
    closing = schema.get("additionalProperties", True) not in (True, {}) or bool(
        schema.get("patternProperties")
    )
    return closing and not other.get("properties", {}).keys() <= schema.get("properties", {}).keys()
