"""Steps that shorten tools and demonstrations, each leaving them valid.

The steps for an item are ordered so that what a model needs least for a correct call goes first,
and each says how much it costs. A schema keeps its required arguments and their types through all
steps, and its enumerations unless they are long. Arguments that are required only in some
case (``anyOf``, ``dependentRequired``) count as required too, even inside an object that an
argument takes, or behind a reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic

from toolret.prompt.packed import Item, PackedDemo, PackedTool
from toolret.schemas.needed import needed_names
from toolret.schemas.subschemas import map_schemas, mapping, target, without_unused
from toolret.types import JsonObject

__all__ = ["DEMO_STEPS", "TOOL_STEPS", "Step", "first_sentences"]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s")

_PARAMETER_LENGTH = 80
"""Characters kept of a parameter's description: about a clause."""

_DESCRIPTION_LENGTH = 240
"""Characters kept of a tool's description: a sentence or two."""

_LINE_LENGTH = 60
"""Characters kept of a tool's description in its last step: about a clause."""

_VALUE_LENGTH = 120
"""Characters kept of a long argument or answer in a demonstration: about a sentence."""

_REQUEST_LENGTH = 1_000
"""Characters kept of a demonstration's request: what is asked, but not a whole log."""

_MAX_VALUES = 20
"""Enumerations of more values (events, currencies, time zones) are long: one can fill a budget."""

_ANNOTATIONS = frozenset(
    {"$comment", "deprecated", "example", "examples", "readOnly", "title", "writeOnly"}
)
"""Keywords that neither constrain an argument nor explain it; extensions (``x-``) do not either."""

_SIMPLE = frozenset({"const", "default", "description", "enum", "format", "type"})
"""Keywords kept of an optional argument whose inner structure is removed."""

_CASES = ("allOf", "anyOf", "oneOf")
"""Keywords whose subschemas are followed when inner structure is removed."""


def first_sentences(text: str, length: int) -> str:
    """Return a text's first sentences, at most ``length`` characters.

    If not even the first one fits, its beginning is returned, with an ellipsis.
    """
    if len(text) <= length:
        return text
    kept = ""
    for sentence in _SENTENCE_END.split(text):
        longer = f"{kept} {sentence}".strip()
        if len(longer) > length:
            break
        kept = longer
    return kept or _cut(text, length)


def _cut(text: str, length: int) -> str:
    """Cut a text to at most ``length`` characters, with an ellipsis if it was longer."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _without_annotations(tool: PackedTool) -> PackedTool:
    def drop(schema: dict[str, Any], _: bool) -> dict[str, Any]:
        return {
            keyword: value
            for keyword, value in schema.items()
            if keyword not in _ANNOTATIONS and not keyword.startswith("x-")
        }

    return _with_schemas(tool, drop)


def _short_parameter_texts(tool: PackedTool) -> PackedTool:
    def shorten(schema: dict[str, Any], _: bool) -> dict[str, Any]:
        text = schema.get("description")
        if isinstance(text, str):
            schema["description"] = first_sentences(text, _PARAMETER_LENGTH)
        return schema

    return _with_schemas(tool, shorten)


def _no_optional_texts(tool: PackedTool) -> PackedTool:
    def drop(schema: dict[str, Any], optional: bool) -> dict[str, Any]:
        if optional:
            schema.pop("description", None)
        return schema

    return _with_schemas(tool, drop)


def _shallow_optional_parameters(tool: PackedTool) -> PackedTool:
    """Keep what is inside optional arguments, and remove what is inside that."""
    return _with_flat_optional_parameters(tool, depth=1)


def _flat_optional_parameters(tool: PackedTool) -> PackedTool:
    """Keep the types of optional arguments, and remove what is inside their objects and arrays."""
    return _with_flat_optional_parameters(tool, depth=0)


def _with_flat_optional_parameters(tool: PackedTool, depth: int) -> PackedTool:
    def flatten(properties: JsonObject, needed: set[str]) -> JsonObject:
        return {
            name: schema if name in needed else _flatten(schema, tool.schema, depth)
            for name, schema in properties.items()
        }

    flattened = _with_properties(tool, flatten)
    # A definition copied into many arguments that refer to it can make the schema longer.
    is_shorter = len(json.dumps(flattened.schema)) < len(json.dumps(tool.schema))
    return flattened if is_shorter else tool


def _flatten(schema: Any, root: JsonObject, depth: int, levels: int = 2) -> Any:
    """Return a schema without its inner structure.

    Args:
        schema: The schema.
        root: The schema that its references point into.
        depth: How many levels of properties to keep.
        levels: How many levels of references and choices to follow.
    """
    if not isinstance(schema, Mapping):
        return schema
    flat = {keyword: value for keyword, value in schema.items() if keyword in _SIMPLE}
    if "items" in schema:  # OpenAI refuses an array without it
        flat["items"] = _flatten(schema["items"], root, depth, levels) if depth else {}
    if depth and isinstance(properties := schema.get("properties"), Mapping):
        flat["properties"] = {
            name: _flatten(part, root, depth - 1, levels) for name, part in properties.items()
        }
        flat |= {"required": schema["required"]} if "required" in schema else {}
    if not levels:
        return flat
    for keyword in _CASES:
        if isinstance(cases := schema.get(keyword), list):
            looser = keyword.replace("oneOf", "anyOf")  # without inner structure several may match
            flat[looser] = [_flatten(case, root, depth, levels - 1) for case in cases]
    if isinstance(reference := schema.get("$ref"), str):
        referred = _flatten(target(root, reference), root, depth, levels - 1)
        flat = {**mapping(referred), **flat}
    return flat


def _short_description(tool: PackedTool) -> PackedTool:
    return replace(tool, description=first_sentences(tool.description, _DESCRIPTION_LENGTH))


def _no_long_enumerations(tool: PackedTool) -> PackedTool:
    """Replace long enumerations by their first values, as examples.

    The tool's server still checks the values that it is given.
    """

    def drop(schema: dict[str, Any], _: bool) -> dict[str, Any]:
        values = schema.get("enum")
        if isinstance(values, list) and len(values) > _MAX_VALUES:
            del schema["enum"]
            schema["examples"] = _short_value(values)
        return schema

    return _with_schemas(tool, drop)


def _no_optional_parameters(tool: PackedTool) -> PackedTool:
    def keep_needed(properties: JsonObject, needed: set[str]) -> JsonObject:
        return {name: schema for name, schema in properties.items() if name in needed}

    return _with_properties(tool, keep_needed)


def _with_properties(
    tool: PackedTool, change: Callable[[JsonObject, set[str]], JsonObject]
) -> PackedTool:
    """Change the properties in all parts of the schema that say what must be given.

    Definitions that are no longer referred to are removed.

    Args:
        tool: The tool.
        change: Takes properties, and the names of the arguments that are needed; returns the
            properties to put in their place.
    """
    parts, needed = needed_names(tool.schema)

    def rewrite(value: Any) -> Any:
        if isinstance(value, list):
            return [rewrite(part) for part in value]
        if not isinstance(value, Mapping):
            return value
        copy = dict(value)
        if id(value) in parts and isinstance(properties := value.get("properties"), Mapping):
            copy["properties"] = change(properties, needed)
        return {key: rewrite(part) for key, part in copy.items()}

    return replace(tool, schema=without_unused(rewrite(tool.schema)))


def _no_parameter_texts(tool: PackedTool) -> PackedTool:
    def drop(schema: dict[str, Any], _: bool) -> dict[str, Any]:
        schema.pop("description", None)
        return schema

    return _with_schemas(tool, drop)


def _little_description(tool: PackedTool) -> PackedTool:
    return replace(tool, description=first_sentences(tool.description, _LINE_LENGTH))


def _with_schemas(
    tool: PackedTool, change: Callable[[dict[str, Any], bool], dict[str, Any]]
) -> PackedTool:
    """Change all subschemas; ``change`` takes one, and whether its argument is optional."""
    return replace(tool, schema=map_schemas(tool.schema, change))


def _without_results(demo: PackedDemo) -> PackedDemo:
    return replace(demo, calls=tuple((name, values, None) for name, values, _ in demo.calls))


def _short_values(demo: PackedDemo) -> PackedDemo:
    calls = tuple(
        (name, {key: _short_value(value) for key, value in values.items()}, result)
        for name, values, result in demo.calls
    )
    return replace(demo, calls=calls, answer=first_sentences(demo.answer, _VALUE_LENGTH))


def _short_value(value: Any) -> Any:
    """Return a shorter value of the same type: all keys, shorter texts, a list's first values."""
    if isinstance(value, str):
        return first_sentences(value, _VALUE_LENGTH)
    if isinstance(value, Mapping):
        return {key: _short_value(part) for key, part in value.items()}
    if not isinstance(value, list | tuple):
        return value
    kept: list[Any] = []
    room = _VALUE_LENGTH
    for part in map(_short_value, value):
        room -= len(json.dumps(part, ensure_ascii=False))
        if kept and room < 0:
            break
        kept.append(part)
    return kept


def _short_request(demo: PackedDemo) -> PackedDemo:
    return replace(demo, text=_cut(demo.text, _REQUEST_LENGTH))


def _without_answer(demo: PackedDemo) -> PackedDemo:
    return replace(demo, answer="")


@dataclass(frozen=True, slots=True)
class Step(Generic[Item]):
    """A step that shortens an item, called with the item.

    Attributes:
        shorten: The function that shortens an item.
        loss: The share of the item's worth that the step is taken to cost, 0 to 1.
    """

    shorten: Callable[[Item], Item]
    loss: float

    def __call__(self, item: Item) -> Item:
        """Return the item shortened."""
        return self.shorten(item)


TOOL_STEPS: Mapping[str, Step[PackedTool]] = {
    "schema annotations removed": Step(_without_annotations, 0.0),
    "optional parameters' deeper structure removed": Step(_shallow_optional_parameters, 0.01),
    "parameter descriptions shortened": Step(_short_parameter_texts, 0.01),
    "optional parameters' descriptions removed": Step(_no_optional_texts, 0.02),
    "optional parameters' inner structure removed": Step(_flat_optional_parameters, 0.02),
    "description shortened": Step(_short_description, 0.02),
    "long enumerations removed": Step(_no_long_enumerations, 0.1),
    "optional parameters removed": Step(_no_optional_parameters, 0.5),
    "parameter descriptions removed": Step(_no_parameter_texts, 0.05),
    "description shortened to a line": Step(_little_description, 0.05),
}
"""Steps for tools, by name, in the order in which they are taken. Without its optional parameters a
tool can still be called, but often not as the request needs it, which is taken for half a loss."""

DEMO_STEPS: Mapping[str, Step[PackedDemo]] = {
    "results removed": Step(_without_results, 0.05),
    "long values shortened": Step(_short_values, 0.05),
    "long request shortened": Step(_short_request, 0.05),
    "answer removed": Step(_without_answer, 0.05),
}
"""Steps for demonstrations, by name, in the order in which they are taken."""
