"""Put OpenAPI's ``discriminator`` into words: which value of a property selects which choice.

JSON Schema has no keyword for it, and no model can guess the values: a document may map any values
to its schemas, and the schemas' names are not kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from toolret.catalogs.keys import PropertyKeys

__all__ = ["with_values"]

_CHOICES = ("anyOf", "oneOf")
"""Keywords whose subschemas a discriminator selects from."""


def with_values(schema: dict[str, Any], raw: dict[str, Any], keys: PropertyKeys) -> dict[str, Any]:
    """Return a schema whose choices say in words which values of the discriminator select them.

    Args:
        schema: The inlined schema.
        raw: The schema in its document.
        keys: The names of properties.
    """
    discriminator = raw.get("discriminator")
    name = discriminator.get("propertyName") if isinstance(discriminator, dict) else None
    if not isinstance(discriminator, dict) or not isinstance(name, str):
        return schema
    mapping = discriminator.get("mapping")
    values: dict[str, list[str]] = defaultdict(list)
    for value, target in mapping.items() if isinstance(mapping, dict) else ():
        values[_schema_name(str(target))].append(value)
    result = dict(schema)
    for choice in _CHOICES:
        options = raw.get(choice)
        if choice in schema and isinstance(options, list):
            result[choice] = [
                _with_value(part, keys.key(name), _values_of(option, values))
                for part, option in zip(schema[choice], options, strict=True)
            ]
    return result


def _schema_name(ref: str) -> str:
    """Return the name of the schema that a reference leads to."""
    return ref.rpartition("/")[2]


def _values_of(option: Any, mapped: Mapping[str, list[str]]) -> list[str]:
    """Return the values that select a choice: those mapped to it, or else its schema's name."""
    ref = option.get("$ref") if isinstance(option, dict) else None
    if not isinstance(ref, str):
        return []
    name = _schema_name(ref)
    return mapped.get(name) or ([name] if "#/" in ref else [])


def _with_value(schema: dict[str, Any], key: str, values: list[str]) -> dict[str, Any]:
    """Return a choice whose description names its values, unless its schema fixes one already."""
    discriminating = schema.get("properties", {}).get(key, {})
    if not values or "const" in discriminating or len(discriminating.get("enum", ())) == 1:
        return schema
    text = f"{schema.get('description', '')} {key} is {' or '.join(values)} here."
    return {**schema, "description": text.strip()}
