"""Rules of Anthropic for the schemas that toolret itself writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from toolret.lint.providers import Problem, name_problems

__all__ = ["anthropic_problems"]


def anthropic_problems(schema: Mapping[str, Any]) -> Iterator[Problem]:
    """Find what Anthropic rejects with "tools.0.custom.input_schema: ..."."""
    if schema.get("type") != "object":
        yield "", "Anthropic asks for type 'object' at the top"
    for key in ("oneOf", "anyOf", "allOf"):
        if key in schema:
            yield f"/{key}", f"Anthropic refuses {key!r} at the top"
    yield from name_problems(schema)
