"""JSON Schema keywords to keep, and validation of their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolret.catalogs.keys import PropertyKeys
from toolret.catalogs.text import plain_text
from toolret.schemas.drafts import BOUNDS, COUNTS, JSON_TYPES, is_count, is_number, is_pattern
from toolret.schemas.subschemas import NESTED, NESTED_LISTS, NESTED_MAPS

__all__ = ["NESTING", "plain_keyword", "types"]

NESTING = frozenset({"$ref"}) | NESTED | NESTED_LISTS | NESTED_MAPS
"""Keywords that contain schemas or refer to one."""


def plain_keyword(key: str, value: Any, keys: PropertyKeys) -> dict[str, Any]:
    """Normalise a keyword without subschemas; empty if it is not kept.

    Args:
        key: The keyword.
        value: Its value.
        keys: The names of properties.
    """
    if key == "description" and isinstance(value, str):
        value = plain_text(value)
    elif key == "type":
        value = types(value)
    elif key == "required" and isinstance(value, list):
        value = [keys.key(name) for name in _names(value)]
    elif key == "example":
        key, value = "examples", [value]
    is_kept = _KEPT.get(key)
    if not is_kept or not is_kept(value):
        return {}
    if key == "dependentRequired":
        value = {keys.key(k): [keys.key(name) for name in names] for k, names in value.items()}
    return {key: value}


def types(value: Any) -> Any:
    """Normalise to one type or a list of several; an empty list if a type is missing or unknown."""
    names = _names(value if isinstance(value, list) else [value])
    known = names if JSON_TYPES.issuperset(names) else []
    return known[0] if len(known) == 1 else known


def _names(values: list[Any]) -> list[str]:
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _is_positive(value: Any) -> bool:
    return is_number(value) and value > 0


def _is_dependency(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(names, list) and names == _names(names) for names in value.values()
    )


_KEPT: dict[str, Callable[[Any], bool]] = {
    "type": bool,
    "enum": _is_list,
    "examples": _is_list,
    "required": _is_list,
    "pattern": is_pattern,
    "multipleOf": _is_positive,
    "dependentRequired": _is_dependency,
    **dict.fromkeys(("const", "default"), lambda _: True),
    **dict.fromkeys(("deprecated", "readOnly", "uniqueItems"), lambda value: value is True),
    **dict.fromkeys(
        ("contentEncoding", "contentMediaType", "description", "format", "title"), _is_text
    ),
    **dict.fromkeys(BOUNDS, is_number),
    **dict.fromkeys(COUNTS, is_count),
}
