"""Tools of MCP servers, as ``tools/list`` gives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toolret.catalogs.functions import schema_tool
from toolret.catalogs.source import Document
from toolret.catalogs.text import slug
from toolret.errors import CatalogError
from toolret.jsonlines import shown
from toolret.types import Tool

__all__ = ["McpTools"]

_HINTS = {
    "readOnlyHint": "read-only",
    "destructiveHint": "destructive",
    "idempotentHint": "idempotent",
    "openWorldHint": "open-world",
}
"""The tags of what a server says of its tool. MCP has these be hints, not promises."""

_FOR_PEOPLE = frozenset({"icons"})
"""Pictures, often as long data URLs, that neither retrieval nor a model can use."""


class McpTools:
    """Reads tools of MCP servers.

    The namespace is the one given, or the name of the dump's file. The hints that a server gives
    become tags; they and all else but icons are kept in the metadata as well.
    """

    reads = "MCP tools (what tools/list gives)"

    def recognizes(self, content: Any) -> bool:
        """Whether it has MCP's ``inputSchema``."""
        return isinstance(content, dict) and "inputSchema" in content

    def kind(self, content: Any) -> str:  # noqa: ARG002 - part of the protocol
        """What it is."""
        return "MCP tool"

    def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
        """The tool.

        Raises:
            CatalogError: If it cannot be used.
        """
        fields = {k: v for k, v in document.content.items() if k not in _FOR_PEOPLE}
        hints = fields.get("annotations") or {}
        if not isinstance(hints, dict):
            raise CatalogError(
                f"the field `annotations` should be an object, not {shown(hints)}",
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
