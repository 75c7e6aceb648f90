"""The schemas in a JSON Schema (draft 2020-12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["DEFINITIONS", "NESTED", "NESTED_LISTS", "NESTED_MAPS", "map_schemas", "subschemas"]

NESTED = frozenset(
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
"""Keywords whose value is a schema."""

NESTED_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
NESTED_MAPS = frozenset({"dependentSchemas", "patternProperties", "properties"})
"""Keywords whose value holds schemas."""

DEFINITIONS = ("$defs", "definitions")
"""Keywords whose value holds schemas that others refer to: today's, and that of earlier drafts."""

_MAPS = NESTED_MAPS | set(DEFINITIONS)


def subschemas(schema: Any) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
    """A schema and all schemas in it, each with the path that leads to it."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), schema)]
    while waiting:
        path, value = waiting.pop()
        if not isinstance(value, Mapping):
            continue
        yield path, value
        for key, part in value.items():
            if key in NESTED:
                waiting.append(((*path, key), part))
            elif key in NESTED_LISTS and isinstance(part, list):
                waiting += [((*path, key, index), each) for index, each in enumerate(part)]
            elif key in _MAPS and isinstance(part, Mapping):
                waiting += [((*path, key, name), each) for name, each in part.items()]


def map_schemas(
    schema: Any, change: Callable[[dict[str, Any], bool], dict[str, Any]], *, optional: bool = False
) -> Any:
    """A copy of a schema with ``change`` applied to it and all schemas in it.

    ``change`` is told whether a schema belongs to an argument that may be left out.
    """
    if not isinstance(schema, Mapping):
        return schema
    required = schema.get("required")
    needed = required if isinstance(required, list) else ()

    def inner(value: Any) -> Any:
        return map_schemas(value, change, optional=optional)

    copy: dict[str, Any] = {}
    for key, part in schema.items():
        if key == "properties" and isinstance(part, Mapping):
            copy[key] = {
                name: map_schemas(each, change, optional=optional or name not in needed)
                for name, each in part.items()
            }
        elif key in _MAPS and isinstance(part, Mapping):
            copy[key] = {name: inner(each) for name, each in part.items()}
        elif key in NESTED_LISTS and isinstance(part, list):
            copy[key] = [inner(each) for each in part]
        elif key in NESTED:
            copy[key] = inner(part)
        else:
            copy[key] = part
    return change(copy, optional)
