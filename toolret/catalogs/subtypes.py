"""Find the choices of a ``discriminator`` that lists none.

A schema with a discriminator is a base; the schemas that build on it by ``allOf`` are its subtypes,
and the choices.
"""

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

_SCHEMA_HOLDERS = ("/components/schemas", "/definitions")
"""JSON pointers to the objects in which documents keep schemas by name."""

_MAX_VALUES = 20
"""Most discriminator values named in a description; Microsoft Graph's ``entity`` has hundreds."""

_VALUE_KEYWORD = "x-ms-discriminator-value"
"""Keyword with a subtype's discriminator value in Swagger 2.0, which has no ``mapping``."""


class Subtypes:
    """Finds the schemas of a document that build on others.

    Args:
        refs: The document's references.
        keys: The keys for the names of properties.
    """

    def __init__(self, refs: References, keys: PropertyKeys) -> None:
        self._refs = refs
        self._keys = keys
        self._expanded: dict[Place, dict[str, Any]] = {}
        self._derived: dict[str, dict[Place, list[str]]] = {}

    def is_base(self, schema: Any) -> bool:
        """Whether a schema has a discriminator, but no choices beside it."""
        return bool(_discriminator_property(schema)) and schema.keys().isdisjoint(
            ("anyOf", "oneOf")
        )

    def may_be_subtype(self, place: Place) -> bool:
        """Whether the schema at a place has a name, so that its ``allOf`` makes it a subtype."""
        return not place.pointer or place.pointer.rpartition("/")[0] in _SCHEMA_HOLDERS

    def with_choices(self, schema: dict[str, Any], place: Place) -> dict[str, Any]:
        """Return a schema; if it has subtypes, with these and "another one" as its choices."""
        if not self.is_base(schema):
            return schema
        if place not in self._expanded:
            self._expanded[place] = self._with_choices(schema, place)
        return self._expanded[place]

    def with_names(self, schema: dict[str, Any], place: Place) -> dict[str, Any]:
        """Return a schema; if it has subtypes, with their values named in its description."""
        expanded = self.with_choices(schema, place)
        if expanded is schema:
            return schema
        values = list(expanded["discriminator"]["mapping"])
        listed = ", ".join(values[:_MAX_VALUES]) + (
            " and others" if len(values) > _MAX_VALUES else ""
        )
        text = schema.get("description")
        start = f"{text}\n\n" if isinstance(text, str) and text else ""
        key = self._keys.key(_discriminator_property(schema))
        return {**schema, "description": f"{start}{key} may be {listed}."}

    def _with_choices(self, schema: dict[str, Any], place: Place) -> dict[str, Any]:
        """Return a schema with its subtypes as choices, or as it is if it has none."""
        name, discriminator = _discriminator_property(schema), schema["discriminator"]
        declared = discriminator.get("mapping") if isinstance(discriminator, dict) else None
        mapping = dict(self._mapped_references(declared, place))
        for ref in self._references_to_derived(place):
            if ref not in mapping.values():
                mapping.setdefault(self._discriminator_value(ref, place), ref)
        if not mapping:
            return schema
        options: list[dict[str, Any]] = [{"$ref": ref} for ref in dict.fromkeys(mapping.values())]
        options.append({"description": f"Another {self._keys.key(name)}."})
        return {
            **schema,
            "discriminator": {"propertyName": name, "mapping": mapping},
            "anyOf": options,
        }

    def _mapped_references(self, mapping: Any, place: Place) -> Iterator[tuple[str, str]]:
        """Yield the values of a declared mapping, each with a reference to the schema it selects.

        A mapping may name schemas instead of referring to them. Values for the schema that declares
        it are left out.
        """
        for value, target in mapping.items() if isinstance(mapping, dict) else ():
            refs = (target, f"#{_SCHEMA_HOLDERS[0]}/{target}") if isinstance(target, str) else ()
            for ref in refs:
                if selected := self._place_of(ref, place):
                    if selected != place:
                        yield value, ref
                    break

    def _place_of(self, ref: str, place: Place) -> Place | None:
        """Return the place that a reference leads to; None if it leads nowhere."""
        with suppress(CatalogError):
            return self._refs.lookup(ref, place)[1]
        return None

    def _references_to_derived(self, place: Place) -> list[str]:
        """Return references to the schemas that build on one, directly or through others."""
        derived = self._derived_by_base(place)
        refs: list[str] = []
        waiting = list(derived.get(place, ()))
        for ref in waiting:
            schema, there = self._refs.lookup(ref, place)
            if there != place and ref not in refs:
                refs.append(ref)
                if not self.is_base(schema):  # a base shows its own choices
                    waiting += derived.get(there, ())
        return refs

    def _derived_by_base(self, place: Place) -> dict[Place, list[str]]:
        """Return references to the named schemas of a place's file, by the schema they build on."""
        if place.file not in self._derived:
            derived: dict[Place, list[str]] = defaultdict(list)
            for ref, base in self._derivations(place.file):
                derived[base].append(ref)
            self._derived[place.file] = derived
        return self._derived[place.file]

    def _derivations(self, file: str) -> Iterator[tuple[str, Place]]:
        """Yield references to the named schemas of a file, with each schema they build on."""
        for pointer in _SCHEMA_HOLDERS:
            try:
                holder, there = self._refs.lookup(f"#{pointer}", Place(file))
                schemas = there.object(holder)
            except CatalogError:
                continue
            for name, schema in schemas.items():
                for base in self._bases(schema, there / name):
                    yield f"#{quote((there / name).pointer)}", base

    def _bases(self, schema: Any, place: Place) -> Iterator[Place]:
        """Yield the places of the schemas that a schema builds on."""
        parts = schema.get("allOf") if isinstance(schema, dict) else None
        for part in parts if isinstance(parts, list) else ():
            ref = part.get("$ref") if isinstance(part, dict) else None
            if isinstance(ref, str) and (base := self._place_of(ref, place)):
                yield base

    def _discriminator_value(self, ref: str, place: Place) -> str:
        """Return the value that selects a subtype: the one it declares, or else its name."""
        schema, there = self._refs.lookup(ref, place)
        value = schema.get(_VALUE_KEYWORD) if isinstance(schema, dict) else None
        return value if isinstance(value, str) else there.name


def _discriminator_property(schema: Any) -> str:
    """Return the property that a schema's discriminator names; empty if there is none."""
    discriminator = schema.get("discriminator") if isinstance(schema, dict) else None
    name = discriminator
    if isinstance(discriminator, dict):
        name = discriminator.get("propertyName")
    return name if isinstance(name, str) else ""
