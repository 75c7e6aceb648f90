"""Schemas that providers reject, or that contradict themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
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
    unquoting_hint,
)
from toolret.schemas.subschemas import resolve, subschemas, target
from toolret.types import Tool

__all__ = ["schema_defects"]

_DEEPEST_CHECKED = 80
"""The most levels of nesting that are checked: twice what reading API documents produces, and half
of what exhausts Python's stack in a check."""

_ANCHORS = ("$anchor", "$dynamicAnchor")
"""Keywords that name a part of a schema, to which references can lead."""

_CHEAP_KEYWORDS = frozenset(
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
"""Keywords against which defaults and choices are checked; ``_accepts`` says why no others."""


def schema_defects(tools: Sequence[Tool]) -> Iterator[Finding]:
    """Find schemas that are missing, invalid, rejected by a provider, or contradictory."""
    for tool in tools:
        for check, problem, place in _tool_defects(tool):
            yield Finding(check, (tool.id,), problem, place)


def _tool_defects(tool: Tool) -> Iterator[tuple[str, str, str]]:
    """Yield the name of the check, the problem and its place for each defect of a tool's schema."""
    schema = tool.parameters
    if schema is None:
        yield "missing-schema", "nothing is known of its arguments", "parameters"
        return
    if is_deeper_than(schema, _DEEPEST_CHECKED):
        problem = f"it is nested deeper than {_DEEPEST_CHECKED} levels, and not checked further"
        yield "schema-defect", problem, "parameters"
        return
    if WAS_MAP in tool.metadata:
        problem = "its parameters are a map of arguments, and read as the properties of an object"
        yield "rewritten-schema", problem, "parameters"
    # jsonschema finds problems in an order that changes from process to process.
    invalid = sorted(schema_problems(schema), key=itemgetter(0))
    refused = [*name_problems(schema), *_misplaced_parts(schema)]
    for place, problem in dict(refused).items():
        yield "invalid-schema", problem, place
    for place, problem in reversed(dict(invalid[::-1]).items()):
        yield "rewritten-schema", problem, place
    if not invalid:
        # A missing type is not the owner's concern.
        for place, problem in openai_problems({"type": "object", **schema}):
            yield "rewritten-schema", problem, place
        for place, problem in _contradictions(schema, schema):
            yield "schema-defect", problem, place


def _misplaced_parts(schema: Mapping[str, Any]) -> Iterator[Problem]:
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


def _contradictions(schema: Any, root: Mapping[str, Any], place: str = "") -> Iterator[Problem]:
    """Find undeclared required arguments, and defaults and choices that the schema rejects."""
    if not isinstance(schema, Mapping):
        return
    parts = list(_schemas_of_value(schema, root))
    if not any("patternProperties" in part for part in parts):
        declared = {name for part in parts for name in part.get("properties", ())}
        for name in schema.get("required", ()):
            if name not in declared:
                yield json_pointer(place, "required"), f"{name!r} is required and not declared"
    # A null default only means that there is none.
    if schema.get("default") is not None and not _accepts(schema, schema["default"]):
        yield place, _misfit_in_words("default", schema["default"], schema)
    for value in schema.get("enum", ()):
        if "type" in schema and not _accepts({"type": schema["type"]}, value):
            yield place, _misfit_in_words("choice", value, schema)
            break
    for name, part in schema.get("properties", {}).items():
        yield from _contradictions(part, root, json_pointer(place, "properties", name))
    yield from _contradictions(schema.get("items"), root, json_pointer(place, "items"))


def _schemas_of_value(
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


def _misfit_in_words(role: str, value: Any, schema: Mapping[str, Any]) -> str:
    """Say why a schema does not accept a value, and how to write it if that helps.

    Args:
        role: The part that the value has in the schema: ``default`` or ``choice``.
        value: The value.
        schema: The schema.
    """
    type_, written = schema.get("type"), short_repr(value)
    if type_ is None or _accepts({"type": type_}, value):
        return f"its {role} {written} is not a value that it accepts"
    hint = unquoting_hint(value, type_)
    return f"its {role} {written} is {_type_in_words(value)}, but its type is {type_!r}{hint}"


def _type_in_words(value: Any) -> str:
    kinds = {str: "text", bool: "a boolean", list: "a list", dict: "an object"}
    return kinds.get(type(value), "null" if value is None else "a number")


def _accepts(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a schema accepts a value, as far as keywords tell that are cheap to check.

    Patterns may take forever, and references lead elsewhere or may be circular.
    """
    cheap = {keyword: part for keyword, part in schema.items() if keyword in _CHEAP_KEYWORDS}
    return Draft202012Validator(cheap).is_valid(value)
