"""Convert operations of API documents to tools; shared by Swagger and OpenAPI 3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from toolret.catalogs.arguments import Argument, Body, arguments_schema
from toolret.catalogs.refs import Place, References
from toolret.catalogs.responses import SchemaOf, describe_response
from toolret.catalogs.schema import Schemas
from toolret.catalogs.security import Security, read_security
from toolret.catalogs.source import Document
from toolret.catalogs.text import join_texts, operation_name, slug
from toolret.types import Tool

__all__ = ["Dialect", "Operation", "api_tools"]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
"""The keys of a path item that hold operations."""

_PROBES = ("options", "head", "trace")
"""HTTP methods that gateways add to each path, for browsers and caches; these become tools only if
they are named or described."""

_NAMING = ("operationId", "summary", "description")
"""Fields that name or describe an operation."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation in its document.

    Attributes:
        method: The HTTP method, in lower case.
        path: The path template.
        raw: The operation object.
        place: The operation object's place.
        item: The path item that contains the operation.
        item_place: The path item's place.
    """

    method: str
    path: str
    raw: dict[str, Any]
    place: Place
    item: dict[str, Any]
    item_place: Place

    @property
    def parameters(self) -> list[tuple[Any, Place]]:
        """The path item's list of parameters and the operation's own, each with its place."""
        return [
            (holder.get("parameters"), place / "parameters")
            for holder, place in ((self.item, self.item_place), (self.raw, self.place))
        ]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between versions of the format.

    Attributes:
        name: The format's name.
        inputs: Returns an operation's parameters and body.
        server: Returns an operation's base URL.
        schemes: Keys that lead to the document's security schemes.
        schema_of: Returns a response's schema and its place.
    """

    name: str
    inputs: Callable[[Operation, dict[str, Any], Schemas], tuple[list[Argument], Body]]
    server: Callable[[Operation, dict[str, Any]], str]
    schemes: tuple[str, ...]
    schema_of: SchemaOf


def api_tools(document: Document, namespace: str | None, dialect: Dialect) -> Iterator[Tool]:
    """Yield a document's operations, one tool each.

    The namespace is the one given, or derived from the title, or else from the file's name.

    A document in a folder may have no operations, for example if it holds shared schemas.

    Raises:
        CatalogError: If the document is invalid, or is not in a folder and has no operations.
    """
    content: dict[str, Any] = document.content
    schemas = Schemas(References(document))
    root = Place(document.file)
    operations = list(_operations(content, root, schemas.refs))
    if not operations and not document.folder:
        raise root.error(f"the {dialect.name} document has no `paths` with operations")
    title = (root / "info").object(content.get("info")).get("title")
    if namespace is None:
        namespace = slug(str(title or "")) or slug(document.stem)
    for name, operation in zip(_operation_names(operations), operations, strict=True):
        yield _operation_tool(name, namespace, operation, content, schemas, dialect)


def _operations(content: dict[str, Any], root: Place, refs: References) -> Iterator[Operation]:
    """Yield the operations of a document."""
    paths = root / "paths"
    for path, raw_item in paths.object(content.get("paths")).items():
        if path.startswith("x-"):
            continue
        item, item_place = refs.follow(raw_item, paths / path)
        for key, raw in item.items():
            method = key.lower()
            if method not in _METHODS:
                continue
            operation, place = refs.follow(raw, item_place / key)
            if method in _PROBES and not any(map(operation.get, _NAMING)):
                continue
            yield Operation(method, path, operation, place, item, item_place)


def _operation_names(operations: list[Operation]) -> list[str]:
    """Return the ``operationId``s, or names from method and path if missing or already used."""
    ids = [str(operation.raw.get("operationId") or "").strip() for operation in operations]
    taken = set(ids)
    used: set[str] = set()
    names: list[str] = []
    for operation, operation_id in zip(operations, ids, strict=True):
        name = operation_id
        if not name or name in used:
            name = base = operation_name(operation.method, operation.path)
            number = 2
            while name in used or name in taken:
                name = f"{base}_{number}"
                number += 1
        used.add(name)
        names.append(name)
    return names


def _operation_tool(
    name: str,
    namespace: str,
    operation: Operation,
    content: dict[str, Any],
    schemas: Schemas,
    dialect: Dialect,
) -> Tool:
    """Return the tool that an operation becomes."""
    raw, place = operation.raw, operation.place
    parameters, body = dialect.inputs(operation, content, schemas)
    schema, places = arguments_schema(parameters, body)
    returns = describe_response(raw, place, schemas.refs, dialect.schema_of)
    security = _security(operation, content, schemas.refs, dialect)
    metadata: dict[str, Any] = {
        "method": operation.method.upper(),
        "path": operation.path,
        "server": dialect.server(operation, content),
        "arguments": places,
        "content_type": body.content_type,
        "encoding": body.encoding,
        "keys": schemas.keys.changed_in(schema),
        "security": security.alternatives,
        "returns": returns,
    }
    optional = ("content_type", "encoding", "keys", "security", "returns")
    metadata = {k: v for k, v in metadata.items() if v or k not in optional}
    tags = [tag for tag in (place / "tags").array(raw.get("tags")) if isinstance(tag, str)]
    if raw.get("deprecated") is True and "deprecated" not in tags:
        tags.append("deprecated")
    description = _description(raw) or _description(operation.item)
    if returns and not description:  # retrieval has more to go by than with the name alone
        description = f"Returns: {returns}."
    return Tool(
        id=f"{namespace}.{name}" if namespace else name,
        name=name,
        namespace=namespace,
        description=description,
        parameters=schema,
        tags=tuple(tags),
        permissions=security.permissions,
        metadata=metadata,
        origin=str(place),
    )


def _description(raw: dict[str, Any]) -> str:
    """Return the summary and description of an operation or a path item as one text."""
    summary, description = (
        text if isinstance(text := raw.get(key), str) else "" for key in ("summary", "description")
    )
    return join_texts(summary, description)


def _security(
    operation: Operation, content: dict[str, Any], refs: References, dialect: Dialect
) -> Security:
    """Return the security requirements of an operation: its own, or else the document's."""
    place, raw = operation.place, operation.raw
    if "security" not in raw:
        place, raw = refs.root, content
    schemes: Any = content
    there = refs.root
    for key in dialect.schemes:
        schemes, there = there.object(schemes).get(key), there / key
    return read_security(raw.get("security", []), place / "security", schemes, there, refs)
