"""The choices of a ``discriminator`` that lists none: the schemas that build on it by ``allOf``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from toolret.catalogs.keys import PropertyKeys
from toolret.catalogs.refs import Place, References
from toolret.errors import CatalogError

__all__ = ["Subtypes"]

_NAMED = ("/components/schemas", "/definitions")
"""Where documents keep schemas by name."""

_MANY = 20
"""Most values of a discriminator that are named; Microsoft Graph's ``entity`` has hundreds."""

_VALUE = "x-ms-discriminator-value"
"""The value that stands for a schema in documents of Swagger 2.0, which has no ``mapping``."""


class Subtypes:
    """Finds the schemas of a document that build on others.

    Args:
        refs: The document's references.
        keys: The names of properties.
    """

    def __init__(self, refs: References, keys: PropertyKeys) -> None:
        self._refs = refs
        self._keys = keys
        self._shown: dict[Place, dict[str, Any]] = {}
        self._found: dict[str, dict[Place, list[str]]] = {}

    def is_base(self, schema: Any) -> bool:
        """Whether a schema has a discriminator, but no choices of its own."""
        return bool(_property(schema)) and schema.keys().isdisjoint(("anyOf", "oneOf"))

    def builds(self, place: Place) -> bool:
        """Whether the schema at a place has a name, so that its ``allOf`` makes it a subtype."""
        return not place.pointer or place.pointer.rpartition("/")[0] in _NAMED

    def with_choices(self, schema: dict[str, Any], place: Place) -> dict[str, Any]:
        """Return a schema; if others build on it, with them as its choices, and any other."""
        if not self.is_base(schema):
            return schema
        if place not in self._shown:
            self._shown[place] = self._with_choices(schema, place)
        return self._shown[place]

    def with_names(self, schema: dict[str, Any], place: Place) -> dict[str, Any]:
        """Return a schema; if others build on it, its description names them."""
        whole = self.with_choices(schema, place)
        if whole is schema:
            return schema
        values = list(whole["discriminator"]["mapping"])
        named = ", ".join(values[:_MANY]) + (" and others" if len(values) > _MANY else "")
        text = schema.get("description")
        said = f"{text}\n\n" if isinstance(text, str) and text else ""
        key = self._keys.key(_property(schema))
        return {**schema, "description": f"{said}{key} may be {named}."}

    def _with_choices(self, schema: dict[str, Any], place: Place) -> dict[str, Any]:
        name, said = _property(schema), schema["discriminator"]
        mapping = dict(self._mapped(said.get("mapping") if isinstance(said, dict) else None, place))
        for ref in self._building_on(place):
            if ref not in mapping.values():
                mapping.setdefault(self._value(ref, place), ref)
        if not mapping:
            return schema
        options: list[dict[str, Any]] = [{"$ref": ref} for ref in dict.fromkeys(mapping.values())]
        options.append({"description": f"Another {self._keys.key(name)}."})
        return {
            **schema,
            "discriminator": {"propertyName": name, "mapping": mapping},
            "anyOf": options,
        }

    def _mapped(self, mapping: Any, place: Place) -> Iterator[tuple[str, str]]:
        """Yield the values of a mapping with the other schemas that they stand for."""
        for value, target in mapping.items() if isinstance(mapping, dict) else ():
            for ref in (target, f"#{_NAMED[0]}/{target}") if isinstance(target, str) else ():
                with suppress(CatalogError):
                    if self._refs.lookup(ref, place)[1] != place:
                        yield value, ref
                    break

    def _building_on(self, place: Place) -> list[str]:
        """Return references to the schemas that build on one, directly or through others."""
        below = self._below(place)
        found: list[str] = []
        waiting = list(below.get(place, ()))
        for ref in waiting:
            schema, there = self._refs.lookup(ref, place)
            if there != place and ref not in found:
                found.append(ref)
                if not self.is_base(schema):  # it shows its own choices
                    waiting += below.get(there, ())
        return found

    def _below(self, place: Place) -> dict[Place, list[str]]:
        """Return the named schemas of a place's file, as references, by what they build on."""
        if place.file not in self._found:
            below: dict[Place, list[str]] = defaultdict(list)
            self._found[place.file] = below
            for pointer in _NAMED:
                with suppress(CatalogError):
                    schemas, there = self._refs.lookup(f"#{pointer}", Place(place.file))
                    for name, schema in there.object(schemas).items():
                        for base in self._bases(schema, there / name):
                            below[base].append(f"#{quote((there / name).pointer)}")
        return self._found[place.file]

    def _bases(self, schema: Any, place: Place) -> Iterator[Place]:
        parts = schema.get("allOf") if isinstance(schema, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and isinstance(ref := part.get("$ref"), str):
                with suppress(CatalogError):
                    yield self._refs.lookup(ref, place)[1]

    def _value(self, ref: str, place: Place) -> str:
        schema, there = self._refs.lookup(ref, place)
        value = schema.get(_VALUE) if isinstance(schema, dict) else None
        return value if isinstance(value, str) else there.name


def _property(schema: Any) -> str:
    """Return the property that a schema's discriminator names; empty if there is none."""
    said = schema.get("discriminator") if isinstance(schema, dict) else None
    name = said.get("propertyName") if isinstance(said, dict) else said
    return name if isinstance(name, str) else ""
