"""Steps that make tools and demonstrations shorter, each leaving them valid.

Ordered so that what a model needs least to call correctly goes first. A schema keeps its
required arguments and their types through all steps, and its enumerations through all but the last.
Required are also those that it demands in some case only (``anyOf``, ``dependentRequired``), be it
in an object that an argument takes, or where a reference leads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

from toolret.accepted import accepted
from toolret.subschemas import (
    DEFINITIONS,
    NESTED,
    NESTED_LISTS,
    is_pointer,
    map_schemas,
    mapping,
    pointer,
    references,
    target,
    without_unused,
)
from toolret.types import JsonObject

__all__ = ["DEMO_STEPS", "TOOL_STEPS", "PackedDemo", "PackedTool", "shortened"]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s")

_PARAMETER_TEXT = 80
_TOOL_TEXT = 240
_LITTLE_TEXT = 60
_LONG_VALUE = 120
"""Characters that are left of a parameter's description, of a tool's, of a tool's at the last, and
of a long argument or answer in a demonstration: a sentence or two, a clause, a line."""

_LONG_REQUEST = 1_000
"""Characters that are left of a demonstration's request: what is asked, but not a whole log."""

_MANY_VALUES = 20
"""An enumeration of more is long: of events, currencies, time zones. One can outgrow a budget."""

_ANNOTATIONS = frozenset(
    {"$comment", "deprecated", "example", "examples", "readOnly", "title", "writeOnly"}
)
"""Keywords that neither constrain an argument nor say what it means; nor do extensions (``x-``)."""

_SIMPLE = frozenset({"const", "default", "description", "enum", "format", "type"})
"""What is left of an optional argument whose inner structure is removed."""

_CASES = ("allOf", "anyOf", "oneOf")

_ALWAYS = (NESTED | NESTED_LISTS) - {"not"}
"""Keywords whose schemas may hold whatever arguments are given."""


@dataclass(frozen=True)
class PackedTool:
    """A tool as the planner will see it."""

    id: str
    name: str
    description: str
    schema: JsonObject
    """Of its arguments; it says which belong together, of which ``parameters`` can only tell."""

    @cached_property
    def parameters(self) -> JsonObject:
        """The schema in the form that providers accept."""
        return accepted(self.schema)


@dataclass(frozen=True, slots=True)
class PackedDemo:
    """A demonstration as the planner will see it; calls are ``(name, arguments, result)``.

    It is partial if calls of tools that are not there were left out.
    """

    id: str
    tools: tuple[str, ...]
    text: str
    calls: tuple[tuple[str, JsonObject, Any], ...]
    answer: str
    partial: bool = False


def shortened(text: str, length: int) -> str:
    """At most ``length`` characters of a text: whole sentences if one fits, else an ellipsis."""
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
    """At most ``length`` characters of a text, with an ellipsis if that is not all."""
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
    """Optional arguments keep their types; what is inside objects and arrays goes."""

    def flat(properties: JsonObject, needed: set[str]) -> JsonObject:
        return {
            name: schema if name in needed else _flat(schema, tool.schema)
            for name, schema in properties.items()
        }

    made = _with_properties(tool, flat)
    # What many arguments refer to is longer in each of them.
    is_shorter = len(json.dumps(made.schema)) < len(json.dumps(tool.schema))
    return made if is_shorter else tool


def _flat(schema: Any, root: JsonObject, levels: int = 2) -> Any:
    """Without inner structure; so many levels of references and choices are followed."""
    if not isinstance(schema, Mapping):
        return schema
    flat = {keyword: value for keyword, value in schema.items() if keyword in _SIMPLE}
    if "items" in schema:
        flat["items"] = {}  # OpenAI refuses an array without it
    if not levels:
        return flat
    for keyword in _CASES:
        if isinstance(cases := schema.get(keyword), list):
            looser = keyword.replace("oneOf", "anyOf")  # without inner structure several may hold
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
    """With other properties in all that is said of what must be given.

    ``change`` is told which are needed. Definitions that nothing refers to any more go.
    """
    parts, needed = _needed(tool.schema)

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


def _needed(root: JsonObject) -> tuple[dict[int, JsonObject], set[str]]:
    """The parts of a schema that say something of what must be given, and the names of that.

    A name is one of an argument at any depth, without which a schema could refuse every call or
    refer to nothing. What is needed in one part stays in all.

    Returns:
        The parts by their ``id``, and the names.
    """
    parts: dict[int, JsonObject] = {}
    needed: set[str] = set()
    optional: dict[str, list[Any]] = {}
    named = [each for keyword in DEFINITIONS for each in mapping(root.get(keyword)).values()]
    anywhere = {"allOf": named}
    waiting: list[Any] = [root]
    while waiting:
        part = waiting.pop()
        if not isinstance(part, Mapping) or id(part) in parts:
            continue
        parts[id(part)] = part
        for name in _demanded(part) - needed:
            needed.add(name)
            waiting += optional.pop(name, ())
        for name, schema in _by_name(part):
            if name in needed:
                waiting.append(schema)
            else:
                optional.setdefault(name, []).append(schema)
        waiting += _in_any_case(part)
        for reference in _followed(part):
            waiting.append(target(root, reference) if is_pointer(reference) else anywhere)
    return parts, needed


def _demanded(schema: JsonObject) -> set[str]:
    """The names that a schema itself requires, fixes or refers to.

    What has a constant tells cases apart: servers demand it where a schema gives it a default.
    """
    properties = mapping(schema.get("properties"))
    required = schema.get("required")
    names = set(required if isinstance(required, list) else ())
    names |= {name for name, part in properties.items() if "const" in mapping(part)}
    for reference in _followed(schema):
        names |= {name for key, name in pairwise(pointer(reference)) if key == "properties"}
    least = schema.get("minProperties")
    if isinstance(least, int):
        others = [name for name in properties if name not in names]
        names.update(others[: max(0, least - len(properties) + len(others))])
    return names


def _by_name(schema: JsonObject) -> Iterator[tuple[str, Any]]:
    """What a schema says for the case that an argument is given, by its name."""
    for keyword in ("properties", "dependentSchemas", "dependencies", "dependentRequired"):
        for name, part in mapping(schema.get(keyword)).items():
            yield name, {"required": part} if isinstance(part, list) else part


def _in_any_case(schema: JsonObject) -> Iterator[Any]:
    """The schemas in another that may hold whatever is given."""
    for keyword in _ALWAYS & schema.keys():
        inner = schema[keyword]
        yield from inner if isinstance(inner, list) else [inner]
    yield from mapping(schema.get("patternProperties")).values()


def _followed(schema: JsonObject) -> Iterator[str]:
    """The references of a schema itself. What it forbids is not looked into, but stays valid."""
    return references({key: schema.get(key) for key in ("$ref", "$dynamicRef", "not")})


def _no_parameter_texts(tool: PackedTool) -> PackedTool:
    def drop(schema: dict[str, Any], _: bool) -> dict[str, Any]:
        schema.pop("description", None)
        return schema

    return _with_schemas(tool, drop)


def _little_description(tool: PackedTool) -> PackedTool:
    return replace(tool, description=shortened(tool.description, _LITTLE_TEXT))


def _no_long_enumerations(tool: PackedTool) -> PackedTool:
    """The first of their values remain, as a description; the tool's server checks what comes."""

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
    """One of the same type: all keys, shorter texts, and of a list the first values that fit."""
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


TOOL_STEPS: Mapping[str, Callable[[PackedTool], PackedTool]] = {
    "schema annotations removed": _without_annotations,
    "parameter descriptions shortened": _short_parameter_texts,
    "optional parameters' descriptions removed": _no_optional_texts,
    "optional parameters' inner structure removed": _flat_optional_parameters,
    "description shortened": _short_description,
    "optional parameters removed": _no_optional_parameters,
    "parameter descriptions removed": _no_parameter_texts,
    "description shortened to a line": _little_description,
    "long enumerations removed": _no_long_enumerations,
}
"""What is done to tools, in this order."""

DEMO_STEPS: Mapping[str, Callable[[PackedDemo], PackedDemo]] = {
    "results removed": _without_results,
    "long values shortened": _short_values,
    "long request shortened": _short_request,
    "answer removed": _without_answer,
}
"""What is done to demonstrations, in this order."""
