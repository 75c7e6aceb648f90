"""Argument schemas in a form that providers accept.

OpenAI and Anthropic refuse a whole request because of one tool's schema: for choices at its top
level, for anything that is not JSON Schema (draft 2020-12), and OpenAI for an array that does not
say what it holds. The form made here keeps all arguments of the original. Which of them belong
together is said in words, and left to the tool's server to check.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolret.schemas.drafts import as_draft_2020_12
from toolret.schemas.subschemas import map_schemas, mapping, subschemas, target, without_unused
from toolret.types import JsonObject

__all__ = ["accepted_form", "choice_in_words", "is_bare_array", "with_items"]

_CHOICES = {"anyOf": "Give at least one of", "oneOf": "Give exactly one of"}
"""Keywords for choices, with the words that stand for them in a description."""

_REFUSED = ("$ref", "allOf", "anyOf", "const", "enum", "not", "oneOf")
"""Keywords that providers refuse at the top level of a schema; a reference may lead to any of the
others."""


def accepted_form(parameters: JsonObject | None) -> JsonObject:
    """Return an argument schema as one plain, valid object schema, whose arrays have ``items``.

    A schema in this form is returned as it is.
    """
    schema = as_draft_2020_12(parameters or {})
    if not schema.keys().isdisjoint(_REFUSED):
        schema = _flatten(schema)
    if schema.get("type") != "object":
        schema = {"type": "object"} | {k: v for k, v in schema.items() if k != "type"}
    if "properties" not in schema:
        schema = {**schema, "properties": {}}
    if any(is_bare_array(part) for _, part in subschemas(schema)):
        complete: JsonObject = map_schemas(schema, lambda part, _: with_items(part))
        return complete
    return schema


def choice_in_words(keyword: str, options: Iterable[str]) -> str:
    """Return a sentence that asks for a choice between arguments.

    Args:
        keyword: ``anyOf`` or ``oneOf``.
        options: A description of each option.
    """
    return f"{_CHOICES[keyword]}: {'; '.join(options)}."


def with_items(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in which an array that said nothing about its items allows any."""
    return {**schema, "items": {}} if is_bare_array(schema) else schema


def is_bare_array(schema: Mapping[str, Any]) -> bool:
    """Whether a schema is an array that says nothing about its items."""
    named = schema.get("type")
    is_array = named == "array" or (isinstance(named, list) and "array" in named)
    return is_array and "items" not in schema


@dataclass(frozen=True, slots=True)
class _ObjectRules:
    """The rules that a schema has for objects.

    Attributes:
        properties: The properties' schemas, by name.
        required: Names of the required properties.
        closed: Whether other properties are forbidden.
        text: The schema's description, and its choices in words.
    """

    properties: Mapping[str, Any]
    required: tuple[str, ...] = ()
    closed: bool = False
    text: str = ""


def _flatten(schema: JsonObject) -> JsonObject:
    """Return a schema with the references, choices and parts at its top level merged into one."""
    rules = _ObjectReader(schema).read(schema) or _ObjectRules({})
    rest = {key: value for key, value in schema.items() if key not in _REFUSED}
    flat = {"type": "object", "properties": rules.properties}
    if rules.text:
        rest["description"] = rules.text
    if rules.required:
        rest["required"] = list(rules.required)
    if rules.closed:
        rest["additionalProperties"] = False
    return without_unused(_move_definitions(rest | flat, schema))


def _move_definitions(flat: JsonObject, source: JsonObject) -> JsonObject:
    """Return a schema with a new definition for each reference that no longer leads to its target.

    Args:
        flat: The schema, whose parts were moved.
        source: The schema that it was made from, in which all references lead to their targets.
    """
    moved: dict[str, str] = {}

    def redirect(part: dict[str, Any], _: bool) -> dict[str, Any]:
        reference = part.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return part
        if reference not in moved and target(flat, reference) == target(source, reference):
            return part
        moved.setdefault(reference, f"toolret_{len(moved) + 1}")
        return {**part, "$ref": f"#/$defs/{moved[reference]}"}

    redirected: dict[str, Any] = map_schemas(flat, redirect)
    targets: dict[str, Any] = {}
    while waiting := [reference for reference in moved if moved[reference] not in targets]:
        for reference in waiting:  # redirecting a target may add references to ``moved``
            targets[moved[reference]] = map_schemas(target(source, reference), redirect)
    definitions = {**mapping(redirected.get("$defs")), **targets}
    return {**redirected, "$defs": definitions} if moved else flat


class _ObjectReader:
    """Reads the rules that the parts of a schema have for objects, following each reference once.

    Args:
        root: The schema that references point into.
    """

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._known: dict[str, _ObjectRules | None] = {}

    def read(self, schema: Any) -> _ObjectRules | None:
        """Return a schema's rules for objects; None if it refuses all objects."""
        if not isinstance(schema, Mapping):
            return None if schema is False else _ObjectRules({})
        named = schema.get("type", "object")
        if "object" not in (named if isinstance(named, list) else [named]):
            return None
        text = schema.get("description")
        rules = _ObjectRules(
            mapping(schema.get("properties")),
            tuple(name for name in _as_list(schema.get("required")) if isinstance(name, str)),
            schema.get("additionalProperties") is False and not schema.get("patternProperties"),
            text if isinstance(text, str) else "",
        )
        if isinstance(reference := schema.get("$ref"), str):
            rules = _conjunction(rules, self._referenced(reference))
        for part in _as_list(schema.get("allOf")):
            rules = _conjunction(rules, self.read(part))
        for keyword in _CHOICES:
            cases = map(self.read, _as_list(schema.get(keyword)))
            rules = _conjunction(rules, _disjunction(keyword, [case for case in cases if case]))
        return rules

    def _referenced(self, reference: str) -> _ObjectRules | None:
        """Return the rules of the schema that a reference leads to."""
        if reference not in self._known:
            self._known[reference] = _ObjectRules({})  # for references back to itself
            self._known[reference] = self.read(target(self._root, reference))
        return self._known[reference]


def _conjunction(first: _ObjectRules, second: _ObjectRules | None) -> _ObjectRules:
    """Return the rules for objects that satisfy both rules; None stands for no rules."""
    if second is None:
        return first
    return _ObjectRules(
        _merged_properties("allOf", [first.properties, second.properties]),
        tuple(dict.fromkeys(first.required + second.required)),
        first.closed or second.closed,
        " ".join(dict.fromkeys(filter(None, [first.text, second.text]))),
    )


def _disjunction(keyword: str, cases: Sequence[_ObjectRules]) -> _ObjectRules | None:
    """Return the rules for objects that satisfy at least one case; None if there are no cases."""
    if not cases:
        return None
    options = [_describe_case(case, cases) for case in cases]
    return _ObjectRules(
        _merged_properties("anyOf", [case.properties for case in cases]),
        tuple(name for name in cases[0].required if all(name in c.required for c in cases)),
        all(case.closed for case in cases),
        choice_in_words(keyword, options) if len(cases) > 1 and all(options) else "",
    )


def _describe_case(case: _ObjectRules, cases: Sequence[_ObjectRules]) -> str:
    """Describe what sets a case apart: the arguments that it demands or fixes, and its text."""
    demands = []
    for name in case.required:
        schemas = [other.properties.get(name) for other in cases]
        values = _single_value(case.properties.get(name))
        if values and any(schema != schemas[0] for schema in schemas):
            demands.append(f"{name} {json.dumps(values[0], ensure_ascii=False)}")
        elif any(name not in other.required for other in cases):
            demands.append(name)
    text = case.text.rstrip(".")
    demanded = " and ".join(demands)
    return f"{demanded} ({text})" if demanded and text else demanded or text


def _single_value(schema: Any) -> Sequence[Any]:
    """Return the only value that a schema accepts, as a sequence; empty if there are others."""
    rules = mapping(schema)
    values = [rules["const"]] if "const" in rules else _as_list(rules.get("enum"))
    return values if len(values) == 1 else ()


def _merged_properties(keyword: str, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the properties of all parts; several schemas of one are put under ``keyword``."""
    schemas_of: dict[str, list[Any]] = {}
    for part in parts:
        for name, schema in part.items():
            if schema not in (schemas := schemas_of.setdefault(name, [])):
                schemas.append(schema)
    return {
        name: schemas[0] if len(schemas) == 1 else {keyword: schemas}
        for name, schemas in schemas_of.items()
    }


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
