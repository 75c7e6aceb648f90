"""Leave out of inlined schemas what only the server sets (``readOnly``)."""

from __future__ import annotations

import operator

from toolret.catalogs.schema import Schema
from toolret.catalogs.schema_merge import ANNOTATIONS
from toolret.schemas.subschemas import NESTED, NESTED_LISTS, NESTED_MAPS

__all__ = ["writable"]

_CHOICES = ("anyOf", "oneOf")
"""Keywords for alternatives, of which an empty one would accept anything."""

_IN_PLACE = ("allOf", *_CHOICES)
"""In-place applicators: keywords whose subschemas apply to the same value as the schema itself."""


def writable(schema: Schema, hidden: frozenset[str] = frozenset()) -> Schema:
    """Return an inlined schema without properties that only the server sets (``readOnly``).

    A schema without any is returned as it is.

    Args:
        schema: The schema.
        hidden: Read-only properties declared by other schemas for the same object.
    """
    hidden |= _read_only(schema)
    result: Schema = {}
    for key, value in schema.items():
        if key in NESTED and isinstance(value, dict):
            result[key] = writable(value)
        elif key in NESTED_LISTS:
            parts = [writable(part, hidden if key in _IN_PLACE else frozenset()) for part in value]
            same = all(map(operator.is_, parts, value))
            if same or key not in _CHOICES or all(part.keys() - ANNOTATIONS for part in parts):
                result[key] = value if same else parts
        elif key in NESTED_MAPS:
            kept = {
                name: writable(part)
                for name, part in value.items()
                if "readOnly" not in part and not (key == "properties" and name in hidden)
            }
            same = len(kept) == len(value) and all(kept[name] is value[name] for name in kept)
            result[key] = value if same else kept
        elif key == "required" and not hidden.isdisjoint(value):
            if needed := [name for name in value if name not in hidden]:
                result[key] = needed
        else:
            result[key] = value
    same = len(result) == len(schema) and all(result[key] is schema[key] for key in schema)
    return schema if same else result


def _read_only(schema: Schema) -> frozenset[str]:
    """Return the read-only properties of a schema, including those of its ``allOf`` parts."""
    own = {name for name, part in schema.get("properties", {}).items() if "readOnly" in part}
    return frozenset(own).union(*map(_read_only, schema.get("allOf", ())))
