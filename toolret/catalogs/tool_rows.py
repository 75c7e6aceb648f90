"""Read tools in the project's own row format: JSON Lines, or a JSON or YAML list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toolret.catalogs.argument_maps import with_properties
from toolret.catalogs.claims import without_claims
from toolret.catalogs.source import Document
from toolret.rows import tool_from_row
from toolret.types import Tool

__all__ = ["ToolRows"]

_FIELDS = frozenset({"name", "namespace", "description", "parameters"})
"""A row has at least one of these fields."""

_PARAMETER_PLACES = ("query", "header", "path", "cookie", "body", "formData")
"""Values of ``in`` that reveal a parameter of an API document, which also has a name."""


class ToolRows:
    """Reads tool rows. It recognizes almost anything, so it is asked last."""

    reads = "tool rows (JSON Lines, or a list of them)"

    def recognizes(self, content: Any) -> bool:
        """Whether the content looks like a tool, not like an agent with tools or a parameter."""
        return (
            isinstance(content, dict)
            and not _FIELDS.isdisjoint(content)
            and not isinstance(content.get("tools"), list)
            and content.get("in") not in _PARAMETER_PLACES
        )

    def kind(self, content: Any) -> str:  # noqa: ARG002 - part of the protocol
        """Return the kind, for messages."""
        return "tool row"

    def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
        """Yield the tool of a row, in the given namespace unless the row has its own.

        Metadata that would control how it is run is removed.

        Raises:
            CatalogError: If the row is invalid.
        """
        row = document.content
        if namespace and not row.get("namespace"):
            row = {**row, "namespace": namespace}
        tool = tool_from_row(row, file=document.file, place=document.at)
        yield with_properties(without_claims(tool))
