"""Fields of rows that are not read, although one with another name would be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from toolret.lint.findings import Finding
from toolret.types import Tool

__all__ = ["unread_fields"]

_FIELDS = ("description", "namespace", "parameters", "permissions", "tags")

_MEANT = {
    "description": ("desc", "details", "doc", "docstring", "summary"),
    "parameters": ("args", "arguments", "input", "inputs", "params", "schema"),
    "permissions": ("roles", "scope", "scopes"),
    "tags": ("categories", "category", "keywords", "labels"),
}
_MEANT_BY = {name: field for field, names in _MEANT.items() for name in names}

_LIKENESS = 0.85
"""Least likeness to a field's name, which one wrong letter or a plural has."""


def unread_fields(tools: Sequence[Tool]) -> Iterator[Finding]:
    """Find fields that seem to mean one that the tool does not have.

    Fields of a row that toolret does not know are its metadata, which nothing is done with.
    """
    for tool in tools:
        for name in tool.metadata:
            close = get_close_matches(name.lower(), _FIELDS, n=1, cutoff=_LIKENESS)
            meant = _MEANT_BY.get(name.lower()) or next(iter(close), "")
            if meant and not getattr(tool, meant):
                problem = f"the field {name!r} is not read; is {meant!r} meant?"
                yield Finding("unknown-field", (tool.id,), problem, name)
