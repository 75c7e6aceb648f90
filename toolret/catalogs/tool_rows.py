"""Read tools in the project's own row format: JSON Lines, or a JSON or YAML list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toolret.catalogs.argument_maps import with_properties
from toolret.catalogs.claims import without_claims
from toolret.catalogs.source import Document
from toolret.rows import corrected_field, tool_from_row
from toolret.types import Tool

__all__ = ["ToolRows", "likely_field"]

_FIELDS = frozenset({"name", "namespace", "description", "parameters"})
"""Fields of which every row has at least one."""

_MORE_FIELDS = frozenset({"id", "metadata", "permissions", "tags"})
"""The other fields of a row."""

_SYNONYMS = {
    "description": ("desc", "details", "doc", "docstring", "summary"),
    "parameters": ("args", "arguments", "input", "inputs", "params", "schema"),
    "permissions": ("roles", "scope", "scopes"),
    "tags": ("categories", "category", "keywords", "labels"),
}
"""Names that people give to the fields of a row."""

_FIELD_OF_SYNONYM = {name: field for field, names in _SYNONYMS.items() for name in names}

_UNKNOWN_PER_KNOWN = 5
"""Unknown fields that a row without parameters may have for each known field besides its name."""

_PARAMETER_PLACES = ("query", "header", "path", "cookie", "body", "formData")
"""Values of ``in`` that reveal a parameter of an API document, which also has a name."""


def likely_field(name: str) -> str:
    """Return the field that a row's unknown field seems to be meant for; empty if none."""
    return _FIELD_OF_SYNONYM.get(name.lower()) or corrected_field(name)


class ToolRows:
    """Reads tool rows. It recognizes most objects that have a name, so it is asked last."""

    reads = "tool rows (JSON Lines, or a list of them)"

    def recognizes(self, content: Any) -> bool:
        """Whether the content looks like a tool, not like an agent, a parameter or a settings file.

        A settings file has a name too, and perhaps a description, but mostly other fields.
        """
        if (
            not isinstance(content, dict)
            or _FIELDS.isdisjoint(content)
            or isinstance(content.get("tools"), list)
            or content.get("in") in _PARAMETER_PLACES
        ):
            return False
        if isinstance(content.get("parameters"), dict):
            return True
        known = (_FIELDS | _MORE_FIELDS) & content.keys()
        others = [key for key in content.keys() - known if not likely_field(key)]
        return len(others) <= _UNKNOWN_PER_KNOWN * (len(known) - 1)

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
