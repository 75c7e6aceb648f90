"""Recognize parameters that are written as a bare map of arguments, without a schema around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from toolret.schemas.drafts import JSON_TYPES, as_draft_2020_12
from toolret.schemas.subschemas import MAPS, NESTED, NESTED_LISTS
from toolret.types import Tool

__all__ = ["WAS_MAP", "is_schema", "unplaced", "with_properties"]

WAS_MAP = "parameters_were_a_map"
"""Metadata of a tool whose parameters were a map of arguments, for ``toolret lint``."""

_REFERRING = frozenset({"$ref", "allOf", "anyOf", "const", "enum", "oneOf", "properties"})

_KEYWORDS = frozenset(
    {
        "$anchor", "$comment", "$dynamicAnchor", "$dynamicRef", "$id", "$ref", "$schema",
        "$vocabulary", "const", "default", "dependentRequired", "deprecated", "description",
        "enum", "examples", "format", "maxProperties", "minProperties", "readOnly", "required",
        "title", "type", "writeOnly", *NESTED, *NESTED_LISTS, *MAPS,
    }
)  # fmt: skip
"""Keywords at the top of an object's schema."""


def with_properties(tool: Tool) -> Tool:
    """Return a tool whose bare map of arguments is the ``properties`` of an object.

    Only a map that cannot be a schema is taken for one: no key is a keyword, and every value is a
    schema. ``"required": true`` in an argument is read as it is meant.
    """
    given = tool.parameters
    if (
        not given
        or not given.keys().isdisjoint(_KEYWORDS)
        or not all(map(is_schema, given.values()))
    ):
        return tool
    parameters = as_draft_2020_12({"type": "object", "properties": given})
    return replace(tool, parameters=parameters, metadata={**tool.metadata, WAS_MAP: True})


def unplaced(parameters: Mapping[str, Any]) -> list[str]:
    """Return the keys at the top that can only be arguments, and so are seen by nobody."""
    if "properties" in parameters or not _REFERRING.isdisjoint(parameters):
        return []
    others = [key for key in parameters if key not in _KEYWORDS and not key.startswith("x-")]
    is_map = parameters.keys().isdisjoint(_KEYWORDS)
    return [key for key in others if is_map or is_schema(parameters[key])]


def is_schema(value: Any) -> bool:
    """Whether a value is evidently a JSON Schema."""
    if not isinstance(value, Mapping):
        return False
    named = value.get("type")
    names = named if isinstance(named, list) and named else [named]
    return all(n in JSON_TYPES for n in names if isinstance(n, str)) and (
        isinstance(names[0], str) or not _REFERRING.isdisjoint(value)
    )
