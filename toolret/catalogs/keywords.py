"""Validate and normalise the JSON Schema keywords that are kept of an API document's schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolret.catalogs.keys import PropertyKeys
from toolret.catalogs.text import plain_text
from toolret.schemas.drafts import BOUNDS, COUNTS, JSON_TYPES, is_count, is_number, is_pattern
from toolret.schemas.subschemas import NESTED, NESTED_LISTS, NESTED_MAPS

__all__ = ["NESTING", "plain_keyword", "plain_type"]

NESTING = frozenset({"$ref"}) | NESTED | NESTED_LISTS | NESTED_MAPS
"""Keywords that contain schemas or refer to one."""


def plain_keyword(key: str, value: Any, keys: PropertyKeys) -> dict[str, Any]:
    """Return a keyword without subschemas, normalised; empty if it is not kept.

    Args:
        key: The keyword.
        value: The keyword's value.
        keys: The keys for the names of properties.
    """
    if key == "description" and isinstance(value, str):
        value = plain_text(value)
    elif key == "type":
        value = plain_type(value)
    elif key == "required" and isinstance(value, list):
        value = [keys.key(name) for name in _distinct_strings(value)]
    elif key == "example":
        key, value = "examples", [value]
    is_valid = _IS_VALID.get(key)
    if not is_valid or not is_valid(value):
        return {}
    if key == "dependentRequired":
        value = {keys.key(k): [keys.key(name) for name in names] for k, names in value.items()}
    return {key: value}


def plain_type(value: Any) -> Any:
    """Return a value of ``type`` normalised: a type, or a list of several; empty if invalid."""
    names = _distinct_strings(value if isinstance(value, list) else [value])
    known = names if JSON_TYPES.issuperset(names) else []
    return known[0] if len(known) == 1 else known


def _distinct_strings(values: list[Any]) -> list[str]:
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))


def _is_nonempty_string(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_nonempty_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _is_positive(value: Any) -> bool:
    return is_number(value) and value > 0


def _is_dependency(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(names, list) and names == _distinct_strings(names) for names in value.values()
    )


_IS_VALID: dict[str, Callable[[Any], bool]] = {
    "type": bool,
    "enum": _is_nonempty_list,
    "examples": _is_nonempty_list,
    "required": _is_nonempty_list,
    "pattern": is_pattern,
    "multipleOf": _is_positive,
    "dependentRequired": _is_dependency,
    **dict.fromkeys(("const", "default"), lambda _: True),
    **dict.fromkeys(("deprecated", "readOnly", "uniqueItems"), lambda value: value is True),
    **dict.fromkeys(
        ("contentEncoding", "contentMediaType", "description", "format", "title"),
        _is_nonempty_string,
    ),
    **dict.fromkeys(BOUNDS, is_number),
    **dict.fromkeys(COUNTS, is_count),
}
"""Whether a value is valid for a keyword, as a function for each keyword that is kept."""
