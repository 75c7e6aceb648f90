"""Texts that are too short to be found, too long to be read, or in another language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toolret.json_values import compact_json
from toolret.lint.findings import Finding, join_first
from toolret.text.english import UNSPACED, is_in_another_language
from toolret.types import Tool

__all__ = ["folded_words", "own_description", "poor_texts"]

_MIN_WORDS = 3
"""The fewest words of a description: fewer name an object or an action, but not both."""

_MAX_DESCRIPTION_TOKENS = 256
"""The most tokens of a description: the default embedder reads no more of a tool, including its
name and parameters."""

_MAX_SCHEMA_TOKENS = 2_000
"""The most tokens of a schema: the default budget for all tools and examples in a prompt."""

_MAX_LISTED = 6
"""The most parameters that a finding lists."""

_FOLDED_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
"""A word of a text without differences of case."""


def own_description(tool: Tool) -> str:
    """Return a tool's description; empty if reading an API document only filled one in."""
    returns = tool.metadata.get("returns")
    return "" if returns and tool.description == f"Returns: {returns}." else tool.description


def folded_words(text: str) -> tuple[str, ...]:
    """Split a text into words without differences of case."""
    return tuple(_FOLDED_WORD.findall(text.casefold()))


def poor_texts(tools: Sequence[Tool]) -> Iterator[Finding]:
    """Find missing, short, long and foreign descriptions, undescribed parameters, large schemas."""
    if foreign := [t.id for t in tools if is_in_another_language(own_description(t))]:
        who = "it is" if len(foreign) == 1 else f"{len(foreign)} tools are"
        problem = f"{who} described in another language than English"
        yield Finding("other-language", tuple(foreign), problem, "description")
    for tool in tools:
        here = (tool.id,)
        description = own_description(tool)
        count = len(folded_words(description))
        if not count:
            yield Finding("missing-description", here, "it has no description", "description")
        elif count < _MIN_WORDS:
            yield Finding("short-description", here, f"it only says {description!r}", "description")
        tokens = _rough_tokens(description)
        if tokens > _MAX_DESCRIPTION_TOKENS:
            problem = (
                f"it has about {tokens} tokens; an embedder reads some {_MAX_DESCRIPTION_TOKENS}, "
                "of name and parameters too"
            )
            yield Finding("long-description", here, problem, "description")
        if names := _undescribed(tool.parameters):
            problem = f"{len(names)} without a description: {join_first(names, _MAX_LISTED)}"
            yield Finding("undescribed-parameter", here, problem, "parameters")
        size = _rough_tokens(compact_json(tool.parameters))
        if size > _MAX_SCHEMA_TOKENS:
            problem = f"its parameters take about {size} tokens of a prompt"
            yield Finding("large-schema", here, problem, "parameters")


def _rough_tokens(text: str) -> int:
    """Estimate a text's tokens by a rule of thumb, so that findings are the same everywhere.

    Four ASCII characters count as one token, and so does any other character.
    """
    others = sum(not character.isascii() for character in text)
    return others + (len(text) - others) // 4


def _undescribed(parameters: Mapping[str, Any] | None) -> list[str]:
    """Return the names of the parameters without any description."""
    properties = (parameters or {}).get("properties")
    if not isinstance(properties, Mapping):
        return []
    return [str(name) for name, schema in properties.items() if not _is_described(schema)]


def _is_described(schema: Any) -> bool:
    """Whether a parameter, or any part of it, is described."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            texts = (value.get("description"), value.get("title"))
            if any(isinstance(text, str) and text.strip() for text in texts):
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False
