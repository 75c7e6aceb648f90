"""Steps that shorten tools and demonstrations, each leaving them valid.

The steps for an item are ordered so that what a model needs least for a correct call goes first,
and each says how much it costs. A schema keeps its required arguments and their types through all
steps, and its enumerations through all except the last. Arguments that are required only in some
case (``anyOf``, ``dependentRequired``) count as required too, even inside an object that an
argument takes, or behind a reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from toolret.forking import cached_property
from toolret.recent import Recent
from toolret.schemas.accepted import accepted_form
from toolret.schemas.needed import needed_names
from toolret.schemas.subschemas import (
    map_schemas,
    mapping,
    target,
    without_unused,
)
from toolret.text.names import wire_name
from toolret.types import JsonObject, Tool

__all__ = [
    "DEMO_STEPS",
    "TOOL_STEPS",
    "PackedDemo",
    "PackedTool",
    "Step",
    "packed_tool",
    "shortened",
]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s")

_PARAMETER_TEXT = 80
_TOOL_TEXT = 240
_LITTLE_TEXT = 60
_LONG_VALUE = 120
"""Characters kept of a parameter's description, a tool's description, the same in its last step,
and a long argument or answer in a demonstration: from a clause to a sentence or two."""

_LONG_REQUEST = 1_000
"""Characters kept of a demonstration's request: what is asked, but not a whole log."""

_MANY_VALUES = 20
"""Enumerations of more values are long: events, currencies, time zones. One can fill a budget."""

_ANNOTATIONS = frozenset(
    {"$comment", "deprecated", "example", "examples", "readOnly", "title", "writeOnly"}
)
"""Keywords that neither constrain an argument nor explain it; extensions (``x-``) do not either."""

_SIMPLE = frozenset({"const", "default", "description", "enum", "format", "type"})
"""Keywords kept of an optional argument whose inner structure is removed."""

_CASES = ("allOf", "anyOf", "oneOf")

_REMEMBERED = 4_096
"""How many packed tools are remembered."""


@dataclass(frozen=True)
class PackedTool:
    """A tool as the planner will see it."""

    id: str
    name: str
    description: str
    schema: JsonObject
    """The arguments' schema. It can say which belong together; ``parameters`` only in words."""

    @cached_property
    def parameters(self) -> JsonObject:
        """The schema in the form that providers accept."""
        return accepted_form(self.schema)


_tools: Recent[tuple[str, str, int], PackedTool] = Recent(_REMEMBERED)


def packed_tool(tool: Tool) -> PackedTool:
    """Return a tool untrimmed; the same tools are packed again and again, and are remembered."""
    # What is remembered holds the parameters, so that nothing else can come to have their id.
    key = (tool.id, tool.description, id(tool.parameters))
    packed = _tools.get(key)
    if packed is None:
        schema = {} if tool.parameters is None else tool.parameters
        packed = PackedTool(tool.id, wire_name(tool.id), tool.description, schema)
        _tools.put(key, packed)
    return packed


@dataclass(frozen=True, slots=True)
class PackedDemo:
    """A demonstration as the planner will see it; calls are ``(name, arguments, result)``.

    ``partial`` is set if calls of tools that are not in the prompt were left out.
    """

    id: str
    tools: tuple[str, ...]
    text: str
    calls: tuple[tuple[str, JsonObject, Any], ...]
    answer: str
    partial: bool = False


_Item = TypeVar("_Item", PackedTool, PackedDemo)


def shortened(text: str, length: int) -> str:
    """Cut a text to ``length`` characters: whole sentences if one fits, else an ellipsis."""
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
            schema["description"] = shortened(text, _PARAMETER_TEXT)
        return schema

    return _with_schemas(tool, shorten)


def _no_optional_texts(tool: PackedTool) -> PackedTool:
    def drop(schema: dict[str, Any], optional: bool) -> dict[str, Any]:
        if optional:
            schema.pop("description", None)
        return schema

    return _with_schemas(tool, drop)


def _flat_optional_parameters(tool: PackedTool) -> PackedTool:
    """Keep the types of optional arguments, and remove what is inside their objects and arrays."""

    def flat(properties: JsonObject, needed: set[str]) -> JsonObject:
        return {
            name: schema if name in needed else _flat(schema, tool.schema)
            for name, schema in properties.items()
        }

    made = _with_properties(tool, flat)
    # A definition copied into many arguments that refer to it can make the schema longer.
    is_shorter = len(json.dumps(made.schema)) < len(json.dumps(tool.schema))
    return made if is_shorter else tool


def _flat(schema: Any, root: JsonObject, levels: int = 2) -> Any:
    """Remove inner structure, following ``levels`` levels of references and choices."""
    if not isinstance(schema, Mapping):
        return schema
    flat = {keyword: value for keyword, value in schema.items() if keyword in _SIMPLE}
    if "items" in schema:
        flat["items"] = {}  # OpenAI refuses an array without it
    if not levels:
        return flat
    for keyword in _CASES:
        if isinstance(cases := schema.get(keyword), list):
            looser = keyword.replace("oneOf", "anyOf")  # without inner structure several may match
            flat[looser] = [_flat(case, root, levels - 1) for case in cases]
    if isinstance(reference := schema.get("$ref"), str):
        referred = _flat(target(root, reference), root, levels - 1)
        flat = {**mapping(referred), **flat}
    return flat


def _short_description(tool: PackedTool) -> PackedTool:
    return replace(tool, description=shortened(tool.description, _TOOL_TEXT))


def _no_optional_parameters(tool: PackedTool) -> PackedTool:
    def required(properties: JsonObject, needed: set[str]) -> JsonObject:
        return {name: schema for name, schema in properties.items() if name in needed}

    return _with_properties(tool, required)


def _with_properties(
    tool: PackedTool, change: Callable[[JsonObject, set[str]], JsonObject]
) -> PackedTool:
    """Change the properties in all parts of the schema that say what must be given.

    ``change`` also gets the names that are needed. Definitions no longer referred to are removed.
    """
    parts, needed = needed_names(tool.schema)

    def changed(value: Any) -> Any:
        if isinstance(value, list):
            return [changed(each) for each in value]
        if not isinstance(value, Mapping):
            return value
        copy = dict(value)
        if id(value) in parts and isinstance(properties := value.get("properties"), Mapping):
            copy["properties"] = change(properties, needed)
        return {key: changed(part) for key, part in copy.items()}

    return replace(tool, schema=without_unused(changed(tool.schema)))


def _no_parameter_texts(tool: PackedTool) -> PackedTool:
    def drop(schema: dict[str, Any], _: bool) -> dict[str, Any]:
        schema.pop("description", None)
        return schema

    return _with_schemas(tool, drop)


def _little_description(tool: PackedTool) -> PackedTool:
    return replace(tool, description=shortened(tool.description, _LITTLE_TEXT))


def _no_long_enumerations(tool: PackedTool) -> PackedTool:
    """Keep their first values, as a description; the tool's server checks what it is given."""

    def drop(schema: dict[str, Any], _: bool) -> dict[str, Any]:
        values = schema.get("enum")
        if isinstance(values, list) and len(values) > _MANY_VALUES:
            del schema["enum"]
            shown = ", ".join(json.dumps(value, ensure_ascii=False) for value in values)
            schema["description"] = shortened(f"such as {shown}", _PARAMETER_TEXT)
        return schema

    return _with_schemas(tool, drop)


def _with_schemas(
    tool: PackedTool, change: Callable[[dict[str, Any], bool], dict[str, Any]]
) -> PackedTool:
    return replace(tool, schema=map_schemas(tool.schema, change))


def _without_results(demo: PackedDemo) -> PackedDemo:
    return replace(demo, calls=tuple((name, values, None) for name, values, _ in demo.calls))


def _short_values(demo: PackedDemo) -> PackedDemo:
    calls = tuple(
        (name, {key: _short_value(value) for key, value in values.items()}, result)
        for name, values, result in demo.calls
    )
    return replace(demo, calls=calls, answer=shortened(demo.answer, _LONG_VALUE))


def _short_value(value: Any) -> Any:
    """Shorten a value but keep its type: all keys, shorter texts, a list's first values."""
    if isinstance(value, str):
        return shortened(value, _LONG_VALUE)
    if isinstance(value, Mapping):
        return {key: _short_value(part) for key, part in value.items()}
    if not isinstance(value, list | tuple):
        return value
    kept: list[Any] = []
    left = _LONG_VALUE
    for part in map(_short_value, value):
        left -= len(json.dumps(part, ensure_ascii=False))
        if kept and left < 0:
            break
        kept.append(part)
    return kept


def _short_request(demo: PackedDemo) -> PackedDemo:
    return replace(demo, text=_cut(demo.text, _LONG_REQUEST))


def _without_answer(demo: PackedDemo) -> PackedDemo:
    return replace(demo, answer="")


@dataclass(frozen=True, slots=True)
class Step(Generic[_Item]):
    """A step that shortens an item.

    Attributes:
        shorten: What it does.
        loss: The share of the item's worth that it is taken to cost, 0 to 1.
    """

    shorten: Callable[[_Item], _Item]
    loss: float

    def __call__(self, item: _Item) -> _Item:
        """Return the item shortened."""
        return self.shorten(item)


TOOL_STEPS: Mapping[str, Step[PackedTool]] = {
    "schema annotations removed": Step(_without_annotations, 0.0),
    "parameter descriptions shortened": Step(_short_parameter_texts, 0.01),
    "optional parameters' descriptions removed": Step(_no_optional_texts, 0.02),
    "optional parameters' inner structure removed": Step(_flat_optional_parameters, 0.03),
    "description shortened": Step(_short_description, 0.02),
    "optional parameters removed": Step(_no_optional_parameters, 0.5),
    "parameter descriptions removed": Step(_no_parameter_texts, 0.05),
    "description shortened to a line": Step(_little_description, 0.05),
    "long enumerations removed": Step(_no_long_enumerations, 0.1),
}
"""Steps for tools, in this order. Without its optional parameters a tool can still be called, but
often not as the request needs it: on two public sets, that is half of the calls."""

DEMO_STEPS: Mapping[str, Step[PackedDemo]] = {
    "results removed": Step(_without_results, 0.05),
    "long values shortened": Step(_short_values, 0.05),
    "long request shortened": Step(_short_request, 0.05),
    "answer removed": Step(_without_answer, 0.05),
}
"""Steps for demonstrations, in this order."""
