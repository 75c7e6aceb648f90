"""Read OpenAPI 3.0 and 3.1: one tool per operation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toolret.catalogs.arguments import (
    Argument,
    Body,
    preferred_type,
    read_body,
    read_parameter,
    read_parameters,
)
from toolret.catalogs.operations import Dialect, Operation, api_tools
from toolret.catalogs.refs import Place, referenced_files
from toolret.catalogs.schema import Schemas
from toolret.catalogs.source import Document
from toolret.text.visible import visible
from toolret.types import Tool

__all__ = ["OpenApi"]

_VERSION = re.compile(r"3\.[01](\.[\w.+-]*)?")
"""The versions of OpenAPI that are read."""


class OpenApi:
    """Reads OpenAPI documents."""

    reads = "OpenAPI 3.0 and 3.1 documents"

    def kind(self, content: Any) -> str:
        """Return the kind of document, for messages."""
        return f"OpenAPI {content['openapi']!s} document"

    def recognizes(self, content: Any) -> bool:
        """Whether the content declares itself an OpenAPI document."""
        return isinstance(content, dict) and "openapi" in content

    def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
        """Yield a document's operations as tools.

        The namespace is the one given, or derived from the title, or else from the file's name.

        Raises:
            CatalogError: If the document is invalid.
        """
        version = document.content["openapi"]
        if not _VERSION.fullmatch(str(version)):
            raise (Place(document.file) / "openapi").error(
                f"OpenAPI {visible(str(version))} is not read: convert it to OpenAPI 3.0 or 3.1"
            )
        yield from api_tools(document, namespace, _OPENAPI)

    def used_files(self, document: Document) -> set[Path]:
        """Return the files that a document in a folder refers to, directly or indirectly."""
        return referenced_files(document) if document.folder else set()


def _inputs(
    operation: Operation, _: dict[str, Any], schemas: Schemas
) -> tuple[list[Argument], Body]:
    """Return an operation's parameters and body."""
    raw, place = operation.raw, operation.place
    return (
        read_parameters(operation.parameters, operation.path, schemas, read_parameter),
        read_body(raw.get("requestBody"), place / "requestBody", schemas),
    )


def _server(operation: Operation, content: dict[str, Any]) -> str:
    """Return the first server URL of the operation, path item or document."""
    for holder in (operation.raw, operation.item, content):
        servers = holder.get("servers")
        if isinstance(servers, list) and servers and isinstance(servers[0], dict):
            return _server_url(servers[0])
    return "/"


def _server_url(server: dict[str, Any]) -> str:
    """Return a server's URL with the defaults of its variables filled in."""
    url = str(server.get("url", ""))
    variables = server.get("variables")
    for name, variable in (variables if isinstance(variables, dict) else {}).items():
        if isinstance(variable, dict):
            url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
    return url


def _schema_of(response: dict[str, Any], place: Place) -> tuple[Any, Place]:
    """Return the schema of a response, in its preferred media type, and the schema's place."""
    contents = (place / "content").object(response.get("content"))
    if not contents:
        return None, place
    content_type = preferred_type(contents)
    media = (place / "content" / content_type).object(contents[content_type])
    return media.get("schema"), place / "content" / content_type / "schema"


_OPENAPI = Dialect("OpenAPI", _inputs, _server, ("components", "securitySchemes"), _schema_of)
