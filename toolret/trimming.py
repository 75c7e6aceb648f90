"""Steps that make tools and demonstrations shorter, each leaving them valid.

Ordered so that what a model needs least to call correctly goes first. A schema keeps its
required arguments and their types through all steps, and its enumerations through all but the last.
Required are also those that it demands in some case only (``anyOf``, ``dependentRequired``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from toolret.accepted import accepted
from toolret.subschemas import DEFINITIONS, map_schemas
from toolret.types import JsonObject

__all__ = ["DEMO_STEPS", "TOOL_STEPS", "PackedDemo", "PackedTool", "shortened"]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s")

_PARAMETER_TEXT = 80
_TOOL_TEXT = 240
_LITTLE_TEXT = 60
_LONG_VALUE = 120
"""Characters that are left of a parameter's description, of a tool's, of a tool's at the last, and
of a long argument or answer in a demonstration: a sentence or two, a clause, a line."""

_MANY_VALUES = 20
"""An enumeration of more is long: of events, currencies, time zones. One can outgrow a budget."""

_ANNOTATIONS = frozenset({"$comment", "deprecated", "examples", "readOnly", "title", "writeOnly"})
"""Keywords that neither constrain an argument nor say what it means."""

_SIMPLE = frozenset({"const", "default", "description", "enum", "format", "type"})
"""What is left of an optional argument whose inner structure is removed."""

_WHOLE = re.compile("#/[^/]+/[^/]+")
"""A reference to a whole definition or argument."""

_CASES = ("allOf", "anyOf", "oneOf")
_CONDITIONS = ("if", "then", "else")
_NAMED = ("properties", *DEFINITIONS)
_DEPENDENT = ("dependencies", "dependentRequired", "dependentSchemas")


@dataclass(frozen=True, slots=True)
class PackedTool:
    """A tool as the planner will see it."""

    id: str
    name: str
    description: str
    schema: JsonObject
    """Of its arguments; it says which belong together, of which ``parameters`` can only tell."""

    @property
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
    return kept or text[: length - 1].rstrip() + "…"


def _required(schema: JsonObject) -> frozenset[str]:
    names = schema.get("required")
    return frozenset(names) if isinstance(names, list) else frozenset()


def _without_annotations(tool: PackedTool) -> PackedTool:
    return _with_schemas(
        tool, lambda schema, _: {k: v for k, v in schema.items() if k not in _ANNOTATIONS}
    )


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
    needed = _needed(tool.schema)
    flat = {
        name: schema if name in needed else _flat(schema, tool.schema)
        for name, schema in _map(tool.schema, "properties").items()
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
    if _WHOLE.fullmatch(str(schema.get("$ref"))):
        for holder, name in _references(schema, root):
            flat = {**_flat(root[holder][name], root, levels - 1), **flat}
    return flat


def _short_description(tool: PackedTool) -> PackedTool:
    return replace(tool, description=shortened(tool.description, _TOOL_TEXT))


def _no_optional_parameters(tool: PackedTool) -> PackedTool:
    needed = _needed(tool.schema)
    properties = _map(tool.schema, "properties")
    return _with_properties(tool, {name: properties[name] for name in properties if name in needed})


def _needed(schema: JsonObject) -> set[str]:
    """The properties without which a schema could refuse every call, or refer to nothing."""
    properties = _map(schema, "properties")
    outside = [value for keyword, value in schema.items() if keyword not in _NAMED]
    waiting = [*_demanded(schema), *_referred("properties", outside, schema)]
    least = schema.get("minProperties")
    if isinstance(least, int):
        others = [name for name in properties if name not in waiting]
        waiting += others[: max(0, least - len(properties) + len(others))]
    needed: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in properties or name in needed:
            continue
        needed.add(name)
        waiting += _referred("properties", [properties[name]], schema)
        for keyword in _DEPENDENT:
            more = _map(schema, keyword).get(name)
            waiting += more if isinstance(more, list) else _demanded(more)
    return needed


def _demanded(schema: Any) -> Iterator[str]:
    """The names that a schema requires, be it in some case only."""
    if not isinstance(schema, Mapping):
        return
    yield from _required(schema)
    for keyword in _CASES:
        cases = schema.get(keyword)
        for case in cases if isinstance(cases, list) else ():
            yield from _demanded(case)
    for keyword in _CONDITIONS:
        yield from _demanded(schema.get(keyword))


def _with_properties(tool: PackedTool, properties: JsonObject) -> PackedTool:
    """With these properties, and of the definitions those that something still refers to."""
    schema = {**tool.schema, "properties": properties}
    outside = [value for keyword, value in schema.items() if keyword not in DEFINITIONS]
    for keyword in schema.keys() & set(DEFINITIONS):
        names = _referred(keyword, outside, schema)
        definitions = _map(schema, keyword)
        schema[keyword] = {name: definitions[name] for name in definitions if name in names}
        if not schema[keyword]:
            del schema[keyword]
    return replace(tool, schema=schema)


def _referred(keyword: str, parts: Iterable[Any], root: JsonObject) -> set[str]:
    """The names under a keyword of the root that parts of it refer to, directly or not."""
    found: set[tuple[str, str]] = set()
    waiting = list(parts)
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, Mapping):
            waiting += value.values()
            new = set(_references(value, root)) - found
            found |= new
            waiting += [root[holder][name] for holder, name in new]
    return {name for holder, name in found if holder == keyword}


def _references(schema: JsonObject, root: JsonObject) -> Iterator[tuple[str, str]]:
    """Where the root holds what a schema refers to: the keyword, and the name under it."""
    for reference in (schema.get("$ref"), schema.get("$dynamicRef")):
        if not isinstance(reference, str) or reference == "#":
            continue
        if not reference.startswith("#/"):  # an anchor or a URI, of whichever definition
            yield from ((holder, name) for holder in DEFINITIONS for name in _map(root, holder))
            continue
        holder, name, *_ = [*unquote(reference).split("/")[1:], ""]
        name = name.replace("~1", "/").replace("~0", "~")
        if holder in _NAMED and name in _map(root, holder):
            yield holder, name


def _map(schema: JsonObject, keyword: str) -> JsonObject:
    value = schema.get(keyword)
    return value if isinstance(value, Mapping) else {}


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
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= _LONG_VALUE else shortened(text, _LONG_VALUE)


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
    "answer removed": _without_answer,
}
"""What is done to demonstrations, in this order."""
