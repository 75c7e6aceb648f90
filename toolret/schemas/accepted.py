"""Argument schemas in a form that providers accept.

OpenAI and Anthropic refuse a whole request because of one tool's schema: for choices at its top,
for what is not JSON Schema (draft 2020-12), and OpenAI for an array that does not say what it
holds. The form made here keeps all arguments of the original. It says in words which of them
belong together, and the tool's server checks that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolret.schemas.drafts import current
from toolret.schemas.subschemas import map_schemas, mapping, subschemas, target, without_unused
from toolret.types import JsonObject

__all__ = ["accepted", "choice", "is_bare_array", "with_items"]

_CHOICES = {"anyOf": "Give at least one of", "oneOf": "Give exactly one of"}

_REFUSED = ("$ref", "allOf", "anyOf", "const", "enum", "not", "oneOf")
"""Keywords removed from the top of a schema; a reference may lead to any of the others."""


def accepted(parameters: JsonObject | None) -> JsonObject:
    """Return an argument schema as one plain, valid object, whose arrays say what they hold.

    A schema in this form is returned as it is.
    """
    schema = current(parameters or {})
    if not schema.keys().isdisjoint(_REFUSED):
        schema = _flat(schema)
    if schema.get("type") != "object":
        schema = {"type": "object"} | {k: v for k, v in schema.items() if k != "type"}
    if "properties" not in schema:
        schema = {**schema, "properties": {}}
    if any(is_bare_array(part) for _, part in subschemas(schema)):
        complete: JsonObject = map_schemas(schema, lambda part, _: with_items(part))
        return complete
    return schema


def choice(keyword: str, options: Iterable[str]) -> str:
    """Put a choice between arguments into words.

    Args:
        keyword: ``anyOf`` or ``oneOf``.
        options: A description of each option.
    """
    return f"{_CHOICES[keyword]}: {'; '.join(options)}."


def with_items(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema; an array that says nothing about its items now allows any."""
    return {**schema, "items": {}} if is_bare_array(schema) else schema


def is_bare_array(schema: Mapping[str, Any]) -> bool:
    """Whether a schema is an array that says nothing about its items."""
    named = schema.get("type")
    is_array = named == "array" or (isinstance(named, list) and "array" in named)
    return is_array and "items" not in schema


@dataclass(frozen=True, slots=True)
class _Object:
    """A schema's statements about objects.

    Attributes:
        properties: Their schemas, by name.
        required: Names of the required properties.
        closed: Whether other properties are forbidden.
        text: The schema's description, and its choices in words.
    """

    properties: Mapping[str, Any]
    required: tuple[str, ...] = ()
    closed: bool = False
    text: str = ""


def _flat(schema: JsonObject) -> JsonObject:
    """Merge references, choices and parts into one object schema."""
    said = _Reader(schema).read(schema) or _Object({})
    rest = {key: value for key, value in schema.items() if key not in _REFUSED}
    flat = {"type": "object", "properties": said.properties}
    if said.text:
        rest["description"] = said.text
    if said.required:
        rest["required"] = list(said.required)
    if said.closed:
        rest["additionalProperties"] = False
    return without_unused(_resolved(rest | flat, schema))


def _resolved(flat: JsonObject, source: JsonObject) -> JsonObject:
    """Add definitions for references that no longer lead to what they do in the source."""
    moved: dict[str, str] = {}

    def redirect(part: dict[str, Any], _: bool) -> dict[str, Any]:
        reference = part.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return part
        if reference not in moved and target(flat, reference) == target(source, reference):
            return part
        moved.setdefault(reference, f"toolret_{len(moved) + 1}")
        return {**part, "$ref": f"#/$defs/{moved[reference]}"}

    made: dict[str, Any] = map_schemas(flat, redirect)
    definitions = dict(mapping(made.get("$defs")))
    for reference in (waiting := list(moved)):
        definitions[moved[reference]] = map_schemas(target(source, reference), redirect)
        waiting += [each for each in moved if each not in waiting]
    return {**made, "$defs": definitions} if moved else flat


class _Reader:
    """Reads what the parts of a schema say about objects, each reference once.

    Args:
        root: The schema that references point into.
    """

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._known: dict[str, _Object | None] = {}

    def read(self, schema: Any) -> _Object | None:
        """Return what a schema says; None if it refuses all objects."""
        if not isinstance(schema, Mapping):
            return None if schema is False else _Object({})
        named = schema.get("type", "object")
        if "object" not in (named if isinstance(named, list) else [named]):
            return None
        text = schema.get("description")
        found = _Object(
            mapping(schema.get("properties")),
            tuple(name for name in _list(schema.get("required")) if isinstance(name, str)),
            schema.get("additionalProperties") is False and not schema.get("patternProperties"),
            text if isinstance(text, str) else "",
        )
        if isinstance(reference := schema.get("$ref"), str):
            found = _both(found, self._referred(reference))
        for part in _list(schema.get("allOf")):
            found = _both(found, self.read(part))
        for keyword in _CHOICES:
            cases = map(self.read, _list(schema.get(keyword)))
            found = _both(found, _either(keyword, [case for case in cases if case]))
        return found

    def _referred(self, reference: str) -> _Object | None:
        if reference not in self._known:
            self._known[reference] = _Object({})  # for references back to itself
            self._known[reference] = self.read(target(self._root, reference))
        return self._known[reference]


def _both(first: _Object, second: _Object | None) -> _Object:
    """Combine two schemas for objects that both accept; None says nothing."""
    if second is None:
        return first
    return _Object(
        _joined("allOf", [first.properties, second.properties]),
        tuple(dict.fromkeys(first.required + second.required)),
        first.closed or second.closed,
        " ".join(dict.fromkeys(filter(None, [first.text, second.text]))),
    )


def _either(keyword: str, cases: Sequence[_Object]) -> _Object | None:
    """Combine schemas for objects that at least one of them accepts."""
    if not cases:
        return None
    options = [_option(case, cases) for case in cases]
    return _Object(
        _joined("anyOf", [case.properties for case in cases]),
        tuple(name for name in cases[0].required if all(name in c.required for c in cases)),
        all(case.closed for case in cases),
        choice(keyword, options) if len(cases) > 1 and all(options) else "",
    )


def _option(case: _Object, cases: Sequence[_Object]) -> str:
    """Say what sets a case apart: the arguments that it alone demands or fixes, and its text."""
    told = []
    for name in case.required:
        schemas = [each.properties.get(name) for each in cases]
        values = _fixed(case.properties.get(name))
        if values and any(schema != schemas[0] for schema in schemas):
            told.append(f"{name} {json.dumps(values[0], ensure_ascii=False)}")
        elif any(name not in each.required for each in cases):
            told.append(name)
    text = case.text.rstrip(".")
    return f"{' and '.join(told)} ({text})" if told and text else " and ".join(told) or text


def _fixed(schema: Any) -> Sequence[Any]:
    """Return the only value that a schema accepts, if there is one."""
    said = mapping(schema)
    values = [said["const"]] if "const" in said else _list(said.get("enum"))
    return values if len(values) == 1 else ()


def _joined(keyword: str, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge the parts' properties; several schemas of one are combined under ``keyword``."""
    said: dict[str, list[Any]] = {}
    for part in parts:
        for name, schema in part.items():
            if schema not in (schemas := said.setdefault(name, [])):
                schemas.append(schema)
    return {name: some[0] if len(some) == 1 else {keyword: some} for name, some in said.items()}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
