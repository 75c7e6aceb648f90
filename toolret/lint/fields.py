"""Fields of rows that are not read, although one with another name would be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toolret.catalogs.tool_rows import likely_field
from toolret.lint.findings import Finding
from toolret.types import Tool

__all__ = ["unread_fields"]


def unread_fields(tools: Sequence[Tool]) -> Iterator[Finding]:
    """Find unknown fields whose names suggest a field that the tool does not have.

    Unknown fields of a row become the tool's metadata, which retrieval does not use.
    """
    for tool in tools:
        for name in tool.metadata:
            likely = likely_field(name)
            if likely and not getattr(tool, likely):
                problem = f"the field {name!r} is not read; is {likely!r} meant?"
                if name == likely:  # in an MCP tool, or in metadata
                    problem = f"the field {name!r} is not read where it stands"
                yield Finding("unknown-field", (tool.id,), problem, name)
