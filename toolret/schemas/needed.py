"""Find the arguments that a schema needs: those without which it could refuse every call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from toolret.schemas.subschemas import (
    DEFINITIONS,
    NESTED,
    NESTED_LISTS,
    is_pointer,
    mapping,
    pointer_steps,
    references,
    target,
)
from toolret.types import JsonObject

__all__ = ["needed_names"]

_ALWAYS = (NESTED | NESTED_LISTS) - {"not"}
"""Keywords whose schemas may apply whichever arguments are given."""


def needed_names(root: JsonObject) -> tuple[dict[int, JsonObject], set[str]]:
    """Find the parts of a schema that say what must be given, and the names that they need.

    A needed name is that of an argument, at any depth, without which the schema could refuse every
    call or refer to nothing. What one part needs is kept in all.

    Returns:
        The parts by their ``id``, and the names.
    """
    parts: dict[int, JsonObject] = {}
    needed: set[str] = set()
    optional: dict[str, list[Any]] = {}
    definitions = [part for keyword in DEFINITIONS for part in mapping(root.get(keyword)).values()]
    any_definition = {"allOf": definitions}  # an anchor or URI may lead to any of them
    waiting: list[Any] = [root]
    while waiting:
        part = waiting.pop()
        if not isinstance(part, Mapping) or id(part) in parts:
            continue
        parts[id(part)] = part
        for name in _demanded_names(part) - needed:
            needed.add(name)
            waiting += optional.pop(name, ())
        for name, schema in _conditional_schemas(part):
            if name in needed:
                waiting.append(schema)
            else:
                optional.setdefault(name, []).append(schema)
        waiting += _unconditional_schemas(part)
        for reference in _own_references(part):
            waiting.append(target(root, reference) if is_pointer(reference) else any_definition)
    return parts, needed


def _demanded_names(schema: JsonObject) -> set[str]:
    """Return the names that a schema itself requires, fixes or refers to.

    A constant tells cases apart: servers demand it even where the schema gives it a default.
    """
    properties = mapping(schema.get("properties"))
    required = schema.get("required")
    names = set(required if isinstance(required, list) else ())
    names |= {name for name, part in properties.items() if "const" in mapping(part)}
    for reference in _own_references(schema):
        names |= {name for key, name in pairwise(pointer_steps(reference)) if key == "properties"}
    least = schema.get("minProperties")
    if isinstance(least, int):
        others = [name for name in properties if name not in names]
        names.update(others[: max(0, least - len(properties) + len(others))])
    return names


def _conditional_schemas(schema: JsonObject) -> Iterator[tuple[str, Any]]:
    """Yield names of arguments, each with the schema that applies if it is given."""
    for keyword in ("properties", "dependentSchemas", "dependencies", "dependentRequired"):
        for name, part in mapping(schema.get(keyword)).items():
            yield name, {"required": part} if isinstance(part, list) else part


def _unconditional_schemas(schema: JsonObject) -> Iterator[Any]:
    """Yield the subschemas that may apply whichever arguments are given."""
    for keyword in _ALWAYS & schema.keys():
        inner = schema[keyword]
        yield from inner if isinstance(inner, list) else [inner]
    yield from mapping(schema.get("patternProperties")).values()


def _own_references(schema: JsonObject) -> Iterator[str]:
    """Yield a schema's own references, and those in its ``not``.

    The ``not`` is not searched for needed names, but its references have to stay valid.
    """
    return references({key: schema.get(key) for key in ("$ref", "$dynamicRef", "not")})
