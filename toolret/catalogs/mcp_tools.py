"""Read tools of MCP servers, as returned by ``tools/list``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toolret.catalogs.functions import schema_tool
from toolret.catalogs.source import Document
from toolret.catalogs.text import slug
from toolret.errors import CatalogError
from toolret.json_values import short_repr
from toolret.types import Tool

__all__ = ["McpTools"]

_HINTS = {
    "readOnlyHint": "read-only",
    "destructiveHint": "destructive",
    "idempotentHint": "idempotent",
    "openWorldHint": "open-world",
}
"""Tags for a server's statements about its tool, which in MCP are hints and no guarantees."""

_FOR_PEOPLE = frozenset({"icons"})
"""Fields with images, often as long data URLs, which neither retrieval nor a model can use."""


class McpTools:
    """Reads tools of MCP servers.

    The namespace is the one given, or derived from the dump's file name. The server's hints become
    tags; all other fields except icons are kept in the metadata, hints included.
    """

    reads = "MCP tools (what tools/list gives)"

    def recognizes(self, content: Any) -> bool:
        """Whether the content has MCP's ``inputSchema``."""
        return isinstance(content, dict) and "inputSchema" in content

    def kind(self, content: Any) -> str:  # noqa: ARG002 - part of the protocol
        """Return the kind, for messages."""
        return "MCP tool"

    def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
        """Yield the tool.

        Raises:
            CatalogError: If it is invalid.
        """
        fields = {k: v for k, v in document.content.items() if k not in _FOR_PEOPLE}
        hints = fields.get("annotations") or {}
        if not isinstance(hints, dict):
            raise CatalogError(
                f"the field `annotations` should be an object, not {short_repr(hints)}",
                file=document.file,
                place=document.at,
            )
        if not fields.get("description"):
            fields["description"] = fields.get("title") or hints.get("title") or ""
        yield schema_tool(
            fields,
            document,
            schema="inputSchema",
            namespace=slug(document.stem) if namespace is None else namespace,
            tags=tuple(tag for hint, tag in _HINTS.items() if hints.get(hint) is True),
        )
