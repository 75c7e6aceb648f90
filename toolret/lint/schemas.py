"""Schemas that providers reject, or that contradict themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator

from toolret.catalogs.argument_maps import WAS_MAP, misplaced_arguments
from toolret.json_values import is_deeper_than, json_pointer, short_repr
from toolret.lint.findings import Finding
from toolret.lint.providers import (
    Problem,
    name_problems,
    openai_problems,
    schema_problems,
    unquoted,
)
from toolret.schemas.subschemas import resolve, subschemas, target
from toolret.types import Tool

__all__ = ["schema_defects"]

_MAX_DEPTH = 80
"""Deepest nesting to check: twice what reading API documents produces, and half of what exhausts
Python's stack in a check."""

_ANCHORS = ("$anchor", "$dynamicAnchor")

_QUICK = frozenset(
    {
        "const",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "required",
        "type",
    }
)
"""Keywords against which default values are checked."""


def schema_defects(tools: Sequence[Tool]) -> Iterator[Finding]:
    """Find schemas that are missing, invalid, rejected by a provider, or contradictory."""
    for tool in tools:
        here = (tool.id,)
        if tool.parameters is None:
            problem = "nothing is known of its arguments"
            yield Finding("missing-schema", here, problem, "parameters")
            continue
        if is_deeper_than(tool.parameters, _MAX_DEPTH):
            problem = f"it is nested deeper than {_MAX_DEPTH} levels, and not checked further"
            yield Finding("schema-defect", here, problem, "parameters")
            continue
        if WAS_MAP in tool.metadata:
            problem = (
                "its parameters are a map of arguments, and read as the properties of an object"
            )
            yield Finding("rewritten-schema", here, problem, "parameters")
        invalid = list(schema_problems(tool.parameters))
        refused = [*name_problems(tool.parameters), *_lost(tool.parameters)]
        for place, problem in dict(refused).items():
            yield Finding("invalid-schema", here, problem, place)
        for place, problem in dict(invalid[::-1]).items():
            yield Finding("rewritten-schema", here, problem, place)
        if not invalid:
            # A missing type is not the owner's concern.
            for place, problem in openai_problems({"type": "object", **tool.parameters}):
                yield Finding("rewritten-schema", here, problem, place)
            for place, problem in _at_odds(tool.parameters, tool.parameters):
                yield Finding("schema-defect", here, problem, place)


def _lost(schema: Mapping[str, Any]) -> Iterator[Problem]:
    """Find arguments outside of ``properties``, and references that lead nowhere in the schema."""
    for name in misplaced_arguments(schema)[:1]:
        yield json_pointer("", name), f"{name!r} is no keyword: arguments belong under 'properties'"
    parts = dict(subschemas(schema))
    named = {f"#{part[key]}" for part in parts.values() for key in _ANCHORS if key in part}
    named |= {str(part["$id"]) for part in parts.values() if "$id" in part}
    for path, part in parts.items():
        reference = part.get("$ref")
        if not isinstance(reference, str) or reference in named:
            continue
        if resolve(schema, reference) is None:
            yield json_pointer("", *path, "$ref"), f"the reference {reference!r} leads nowhere"


def _at_odds(schema: Any, root: Mapping[str, Any], place: str = "") -> Iterator[Problem]:
    """Find undeclared required arguments, and defaults and choices that the schema rejects."""
    if not isinstance(schema, Mapping):
        return
    parts = list(_of_one_value(schema, root))
    if not any("patternProperties" in part for part in parts):
        declared = {name for part in parts for name in part.get("properties", ())}
        for name in schema.get("required", ()):
            if name not in declared:
                yield json_pointer(place, "required"), f"{name!r} is required and not declared"
    # A null default only means that there is none.
    if schema.get("default") is not None and not _accepts(schema, schema["default"]):
        yield place, _misfit("default", schema["default"], schema)
    for value in schema.get("enum", ()):
        if "type" in schema and not _accepts({"type": schema["type"]}, value):
            yield place, _misfit("choice", value, schema)
            break
    for name, part in schema.get("properties", {}).items():
        yield from _at_odds(part, root, json_pointer(place, "properties", name))
    yield from _at_odds(schema.get("items"), root, json_pointer(place, "items"))


def _of_one_value(
    schema: Mapping[str, Any], root: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and all schemas that apply to the same value, each once."""
    waiting: list[Any] = [schema]
    seen: set[int] = set()
    while waiting:
        part = waiting.pop()
        if not isinstance(part, Mapping) or id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        for keyword in ("allOf", "anyOf", "oneOf"):
            waiting += part.get(keyword, ())
        if isinstance(reference := part.get("$ref"), str):
            # An unresolved reference may declare anything.
            waiting.append(target(root, reference) or {"patternProperties": {}})


def _misfit(what: str, value: Any, schema: Mapping[str, Any]) -> str:
    """Say why a schema does not accept a default or a choice, and how to write it if that helps."""
    type_, written = schema.get("type"), short_repr(value)
    if type_ is None or _accepts({"type": type_}, value):
        return f"its {what} {written} is not a value that it accepts"
    hint = unquoted(value, type_)
    return f"its {what} {written} is {_kind(value)}, but its type is {type_!r}{hint}"


def _kind(value: Any) -> str:
    kinds = {str: "text", bool: "a boolean", list: "a list", dict: "an object"}
    return kinds.get(type(value), "null" if value is None else "a number")


def _accepts(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a schema accepts a value, judged by cheap keywords only.

    Patterns may take forever, and references lead elsewhere or may be circular.
    """
    plain = {keyword: part for keyword, part in schema.items() if keyword in _QUICK}
    return Draft202012Validator(plain).is_valid(value)
