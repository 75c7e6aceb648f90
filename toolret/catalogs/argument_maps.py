"""Recognize parameters that are written as a bare map of arguments, without a schema around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from toolret.schemas.drafts import JSON_TYPES, as_draft_2020_12
from toolret.schemas.subschemas import MAPS, NESTED, NESTED_LISTS
from toolret.types import Tool

__all__ = ["WAS_MAP", "is_schema", "misplaced_arguments", "with_properties"]

WAS_MAP = "parameters_were_a_map"
"""Key in the metadata of a tool whose parameters were a map of arguments, for ``toolret lint``."""

_REFERRING = frozenset({"$ref", "allOf", "anyOf", "const", "enum", "oneOf", "properties"})
"""Keywords by which a schema without ``type`` can be told from other objects."""

_KEYWORDS = frozenset(
    {
        "$anchor", "$comment", "$dynamicAnchor", "$dynamicRef", "$id", "$ref", "$schema",
        "$vocabulary", "const", "default", "dependentRequired", "deprecated", "description",
        "enum", "examples", "format", "maxProperties", "minProperties", "readOnly", "required",
        "title", "type", "writeOnly", *NESTED, *NESTED_LISTS, *MAPS,
    }
)  # fmt: skip
"""Keywords that the schema of an arguments object may have at its top level."""


def with_properties(tool: Tool) -> Tool:
    """Return a tool whose bare map of arguments is the ``properties`` of an object.

    Only a map that cannot be a schema is taken for one: no key is a keyword, and every value is a
    schema. ``"required": true`` in an argument makes that argument required.
    """
    arguments = tool.parameters
    if (
        not arguments
        or not arguments.keys().isdisjoint(_KEYWORDS)
        or not all(map(is_schema, arguments.values()))
    ):
        return tool
    parameters = as_draft_2020_12({"type": "object", "properties": arguments})
    return replace(tool, parameters=parameters, metadata={**tool.metadata, WAS_MAP: True})


def misplaced_arguments(parameters: Mapping[str, Any]) -> list[str]:
    """Return the keys at a schema's top level that can only be arguments in the wrong place."""
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
