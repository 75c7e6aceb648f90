"""Schemas that providers refuse, or that do not say what is meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator

from toolret.accepted import accepted
from toolret.jsonlines import below
from toolret.lint.findings import Finding
from toolret.lint.providers import (
    Problem,
    anthropic_problems,
    openai_problems,
    schema_problems,
)
from toolret.types import Tool

__all__ = ["schema_defects"]

_MAX_DEPTH = 80
"""Levels of JSON: twice what the reader of API documents makes, and half of what exhausts Python's
stack in a check."""

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
"""Keywords by which defaults are judged."""


def schema_defects(tools: Sequence[Tool]) -> Iterator[Finding]:
    """Schemas that are missing, invalid, refused by a provider, or at odds with themselves."""
    for tool in tools:
        here = (tool.id,)
        if tool.parameters is None:
            problem = "nothing is known of its arguments"
            yield Finding("missing-schema", here, problem, "parameters")
            continue
        if _is_deep(tool.parameters):
            problem = f"it is nested deeper than {_MAX_DEPTH} levels, and not checked further"
            yield Finding("schema-defect", here, problem, "parameters")
            continue
        invalid = list(schema_problems(tool.parameters))
        refused = anthropic_problems(accepted(tool.parameters))
        for pointer, problem in {**dict(refused), **dict(invalid[::-1])}.items():
            yield Finding("invalid-schema", here, problem, pointer)
        if not invalid:
            # That the type lacks is no matter for its owner.
            for pointer, problem in openai_problems({"type": "object", **tool.parameters}):
                yield Finding("rewritten-schema", here, problem, pointer)
            for pointer, problem in _at_odds(tool.parameters):
                yield Finding("schema-defect", here, problem, pointer)


def _is_deep(schema: Any) -> bool:
    level = [schema]
    for _ in range(_MAX_DEPTH):
        level = [part for value in level for part in _held(value)]
    return bool(level)


def _held(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def _at_odds(schema: Mapping[str, Any], pointer: str = "") -> Iterator[Problem]:
    """Required arguments that are not declared, and defaults that are refused."""
    properties = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in properties:
            yield below(pointer, "required"), f"{name!r} is required and not declared"
    for name, part in properties.items():
        if not isinstance(part, Mapping):
            continue
        here = below(pointer, "properties", name)
        # Null as a default only says that there is none.
        if part.get("default") is not None and not _accepts(part, part["default"]):
            yield here, f"its default {part['default']!r} is not a value that it accepts"
        for value in part.get("enum", ()):
            if "type" in part and not _accepts({"type": part["type"]}, value):
                yield here, f"its choice {value!r} is not of type {part['type']!r}"
                break
        if part.get("type") == "object":
            yield from _at_odds(part, here)


def _accepts(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a schema accepts a value, as far as that can be judged in no time.

    Patterns may take forever, and references lead out of this part, or to itself without end.
    """
    plain = {keyword: part for keyword, part in schema.items() if keyword in _QUICK}
    return Draft202012Validator(plain).is_valid(value)
