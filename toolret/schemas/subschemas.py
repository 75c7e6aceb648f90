"""Walk, copy and resolve the schemas within a JSON Schema (draft 2020-12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

__all__ = [
    "DEFINITIONS",
    "MAPS",
    "NESTED",
    "NESTED_LISTS",
    "NESTED_MAPS",
    "is_pointer",
    "map_schemas",
    "mapping",
    "pointer_steps",
    "references",
    "resolve",
    "subschemas",
    "target",
    "without_unused",
]

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
"""Keywords whose value is a list of schemas."""

NESTED_MAPS = frozenset({"dependentSchemas", "patternProperties", "properties"})
"""Keywords whose value is a mapping of names to schemas that apply."""

DEFINITIONS = ("$defs", "definitions")
"""Keywords whose value is a mapping of names to schemas to refer to: that of draft 2020-12, and
that of earlier drafts."""

MAPS = NESTED_MAPS | set(DEFINITIONS)
"""All keywords whose value is a mapping of names to schemas."""


def subschemas(schema: Any) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
    """Yield a schema and all schemas in it, each with the path that leads to it."""
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
                waiting += [((*path, key, index), item) for index, item in enumerate(part)]
            elif key in MAPS and isinstance(part, Mapping):
                waiting += [((*path, key, name), item) for name, item in part.items()]


def map_schemas(
    schema: Any, change: Callable[[dict[str, Any], bool], dict[str, Any]], *, optional: bool = False
) -> Any:
    """Return a copy of a schema, with ``change`` applied to it and to all schemas in it.

    Args:
        schema: The schema.
        change: Returns what replaces a schema, inner ones first; its second argument is whether
            the schema belongs to an optional argument.
        optional: Whether the schema as a whole belongs to an optional argument.
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
                name: map_schemas(item, change, optional=optional or name not in needed)
                for name, item in part.items()
            }
        elif key in MAPS and isinstance(part, Mapping):
            copy[key] = {name: inner(item) for name, item in part.items()}
        elif key in NESTED_LISTS and isinstance(part, list):
            copy[key] = [inner(item) for item in part]
        elif key in NESTED:
            copy[key] = inner(part)
        else:
            copy[key] = part
    return change(copy, optional)


def references(value: Any) -> Iterator[str]:
    """Yield all references in a schema, wherever they are."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, Mapping):
            waiting += part.values()
            values = (part.get("$ref"), part.get("$dynamicRef"))
            yield from (reference for reference in values if isinstance(reference, str))


def target(root: Any, reference: str) -> Any:
    """Return what a JSON pointer leads to; if nothing, a schema that allows anything."""
    value = resolve(root, reference)
    return {} if value is None else value


def resolve(root: Any, reference: str) -> Any:
    """Return what a JSON pointer leads to, or None if nothing."""
    start, *names = pointer_steps(reference)
    value: Any = root if start == "#" else None
    for name in names:
        if isinstance(value, list):
            value = {str(index): item for index, item in enumerate(value)}
        value = mapping(value).get(name)
    return value


def is_pointer(reference: str) -> bool:
    """Whether a reference is a JSON pointer; other references are anchors and URIs."""
    return reference == "#" or reference.startswith("#/")


def without_unused(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema without the definitions that nothing refers to, except perhaps each other."""
    held = {keyword: mapping(schema.get(keyword)) for keyword in DEFINITIONS}
    used: set[tuple[str, str]] = set()
    waiting: list[Any] = [{key: part for key, part in schema.items() if key not in held}]
    while waiting:
        for reference in references(waiting.pop()):
            if not is_pointer(reference):
                return dict(schema)  # it may lead to any of them
            _, keyword, name, *_ = [*pointer_steps(reference), "", ""]
            if name in held.get(keyword, {}) and (keyword, name) not in used:
                used.add((keyword, name))
                waiting.append(held[keyword][name])
    kept = {
        keyword: {name: part for name, part in parts.items() if (keyword, name) in used}
        for keyword, parts in held.items()
    }
    whole = {key: kept.get(key, part) for key, part in schema.items()}
    return {key: part for key, part in whole.items() if part or key not in held}


def pointer_steps(reference: str) -> list[str]:
    """Return the steps of a JSON pointer in a reference, decoded; the first is ``#``."""
    steps = unquote(reference).split("/")
    return [step.replace("~1", "/").replace("~0", "~") for step in steps]


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a value if it is a mapping, else an empty mapping."""
    return value if isinstance(value, Mapping) else {}
