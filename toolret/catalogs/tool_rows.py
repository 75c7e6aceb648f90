"""Tools in the project's own rows: JSON Lines, or a JSON or YAML list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toolret.catalogs.claims import without_claims
from toolret.catalogs.source import Document
from toolret.rows import tool_from_row
from toolret.types import Tool

__all__ = ["ToolRows"]

_FIELDS = frozenset({"name", "namespace", "description", "parameters"})
"""A row has one of them at least."""

_PARAMETER_PLACES = ("query", "header", "path", "cookie", "body", "formData")
"""Where parameters of API documents are ``in``, which have names and descriptions too."""


class ToolRows:
    """Reads tool rows. It recognizes almost anything, so it is asked last."""

    reads = "tool rows (JSON Lines, or a list of them)"

    def recognizes(self, content: Any) -> bool:
        """Whether it looks like a tool, and not like an agent with tools, or a parameter of one."""
        return (
            isinstance(content, dict)
            and not _FIELDS.isdisjoint(content)
            and not isinstance(content.get("tools"), list)
            and content.get("in") not in _PARAMETER_PLACES
        )

    def kind(self, content: Any) -> str:  # noqa: ARG002 - part of the protocol
        """What a row is."""
        return "tool row"

    def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
        """The tool of a row, in the namespace given if the row names none.

        What it says of how it is run is left out.

        Raises:
            CatalogError: If the row cannot be used.
        """
        row = document.content
        if namespace and not row.get("namespace"):
            row = {**row, "namespace": namespace}
        yield without_claims(tool_from_row(row, file=document.file, place=document.at))
