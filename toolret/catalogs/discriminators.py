"""OpenAPI's ``discriminator``: which value of a property stands for which choice.

JSON Schema has no word for it, and no model can guess the values: a document may map any to its
schemas, whose names are not kept either.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from toolret.catalogs.keys import PropertyKeys

__all__ = ["with_values"]

_CHOICES = ("anyOf", "oneOf")


def with_values(schema: dict[str, Any], raw: dict[str, Any], keys: PropertyKeys) -> dict[str, Any]:
    """Return a schema whose choices say in words which value stands for them.

    Args:
        schema: The inlined schema.
        raw: The schema in its document.
        keys: The names of properties.
    """
    said = raw.get("discriminator")
    name = said.get("propertyName") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(name, str):
        return schema
    mapping = said.get("mapping")
    mapped: dict[str, list[str]] = defaultdict(list)
    for value, target in mapping.items() if isinstance(mapping, dict) else ():
        mapped[_name(str(target))].append(value)
    result = dict(schema)
    for choice in _CHOICES:
        options = raw.get(choice)
        if choice in schema and isinstance(options, list):
            result[choice] = [
                _described(part, keys.key(name), _values(option, mapped))
                for part, option in zip(schema[choice], options, strict=True)
            ]
    return result


def _name(ref: str) -> str:
    return ref.rpartition("/")[2]


def _values(option: Any, mapped: Mapping[str, list[str]]) -> list[str]:
    """Return the values that stand for a choice: those mapped to it, or else its name."""
    ref = option.get("$ref") if isinstance(option, dict) else None
    if not isinstance(ref, str):
        return []
    name = _name(ref)
    return mapped.get(name) or ([name] if "#/" in ref else [])


def _described(schema: dict[str, Any], key: str, values: list[str]) -> dict[str, Any]:
    told = schema.get("properties", {}).get(key, {})
    if not values or "const" in told or len(told.get("enum", ())) == 1:
        return schema
    text = f"{schema.get('description', '')} {key} is {' or '.join(values)} here."
    return {**schema, "description": text.strip()}
