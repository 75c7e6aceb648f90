"""Fields of rows that are not read, although one with another name would be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toolret.catalogs.tool_rows import likely_field
from toolret.lint.findings import Finding
from toolret.types import Tool

__all__ = ["unread_fields"]


def unread_fields(tools: Sequence[Tool]) -> Iterator[Finding]:
    """Find fields that seem to mean one that the tool does not have.

    Fields of a row that toolret does not know are its metadata, which nothing is done with.
    """
    for tool in tools:
        for name in tool.metadata:
            meant = likely_field(name)
            if meant and not getattr(tool, meant):
                problem = f"the field {name!r} is not read; is {meant!r} meant?"
                yield Finding("unknown-field", (tool.id,), problem, name)
