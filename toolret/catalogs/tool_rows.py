"""Tools in the project's own rows: JSON Lines, or a JSON or YAML list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toolret.catalogs.source import Document
from toolret.errors import CatalogError
from toolret.jsonlines import shown
from toolret.rows import tool_from_row
from toolret.types import Tool

__all__ = ["ToolRows"]

_FIELDS = frozenset({"name", "namespace", "description", "parameters"})
"""A row has one of them at least."""

_FOREIGN_FIELDS = frozenset({"function", "inputSchema", "input_schema", "openapi", "swagger"})
"""What the forms of OpenAI, MCP and Anthropic have; read as rows they would lose their schemas."""


class ToolRows:
    """Reads tool rows."""

    reads = "tool rows (JSON Lines, or a list of them)"

    def recognizes(self, content: Any) -> bool:
        """Whether the first row, or the only one, looks like a tool."""
        first = content[0] if isinstance(content, list) and content else content
        return isinstance(first, dict) and bool(
            first.keys() & _FIELDS and not first.keys() & _FOREIGN_FIELDS
        )

    def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
        """The tools of the rows; those that name no namespace get the one given.

        Raises:
            CatalogError: If a row cannot be used.
        """
        rows = document.content if isinstance(document.content, list) else [document.content]
        for index, row in enumerate(rows):
            place = document.place(index) if isinstance(document.content, list) else ""
            if not isinstance(row, dict):
                raise CatalogError(
                    f"expected a tool row, found {shown(row)}", file=document.file, place=place
                )
            if namespace and not row.get("namespace"):
                row = {**row, "namespace": namespace}
            yield tool_from_row(row, file=document.file, place=place)
