"""OpenAPI 3.0 and 3.1: one tool for each operation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolret.catalogs.arguments import arguments_schema, read_body, read_parameters
from toolret.catalogs.refs import References, child
from toolret.catalogs.source import Document
from toolret.catalogs.text import joined, operation_name, slug
from toolret.errors import CatalogError
from toolret.types import Permissions, Tool

__all__ = ["OpenApi"]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_VERSION = re.compile(r"3\.[01](\.|$)")


@dataclass(frozen=True, slots=True)
class _Operation:
    method: str
    path: str
    pointer: str
    item: dict[str, Any]
    item_pointer: str
    raw: dict[str, Any]


class OpenApi:
    """Reads OpenAPI documents."""

    reads = "OpenAPI 3.0 and 3.1 documents"

    def recognizes(self, content: Any) -> bool:
        """Whether it says that it is an OpenAPI document."""
        return isinstance(content, dict) and "openapi" in content

    def kind(self, content: Any) -> str:
        """What it is."""
        return f"OpenAPI {content['openapi']} document"

    def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
        """The operations of a document.

        The namespace is the one given, or made of the document's title, or of its file's name.

        Raises:
            CatalogError: If the document cannot be used.
        """
        content: dict[str, Any] = document.content
        if not _VERSION.match(str(content["openapi"])):
            raise CatalogError(
                f"OpenAPI {content['openapi']!s} is not read: convert it to OpenAPI 3.0 or 3.1",
                file=document.file,
                place="/openapi",
            )
        refs = References(content, document.file)
        operations = list(_operations(content, refs))
        if not operations:
            raise CatalogError(
                "the OpenAPI document has no `paths` with operations", file=document.file
            )
        title = refs.object(content.get("info"), "/info").get("title")
        stem = Path(document.file).name.partition(".")[0]
        space = namespace or slug(str(title or "")) or slug(stem)
        for name, operation in zip(_names(operations), operations, strict=True):
            yield _tool(name, space, operation, content, refs)


def _operations(content: dict[str, Any], refs: References) -> Iterator[_Operation]:
    for path, raw_item in refs.object(content.get("paths"), "/paths").items():
        if path.startswith("x-"):
            continue
        item, item_pointer = refs.follow(raw_item, child("/paths", path))
        for method, raw in item.items():
            if method in _METHODS:
                pointer = child(item_pointer, method)
                operation = refs.object(raw, pointer)
                yield _Operation(method, path, pointer, item, item_pointer, operation)


def _names(operations: list[_Operation]) -> list[str]:
    """The ``operationId``s; where one is missing or taken, a name from method and path."""
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


def _tool(
    name: str, namespace: str, operation: _Operation, content: dict[str, Any], refs: References
) -> Tool:
    raw, pointer = operation.raw, operation.pointer
    parameters = read_parameters(
        [
            (operation.item.get("parameters"), child(operation.item_pointer, "parameters")),
            (raw.get("parameters"), child(pointer, "parameters")),
        ],
        operation.path,
        refs,
    )
    body = read_body(raw.get("requestBody"), child(pointer, "requestBody"), refs)
    schema, places = arguments_schema(parameters, body)
    metadata: dict[str, Any] = {
        "method": operation.method.upper(),
        "path": operation.path,
        "server": _server(raw, operation.item, content),
        "arguments": places,
    }
    if body.content_type:
        metadata["content_type"] = body.content_type
    if body.encoding:
        metadata["encoding"] = body.encoding
    tags = [
        tag for tag in refs.array(raw.get("tags"), child(pointer, "tags")) if isinstance(tag, str)
    ]
    if raw.get("deprecated") is True and "deprecated" not in tags:
        tags.append("deprecated")
    return Tool(
        id=f"{namespace}.{name}" if namespace else name,
        name=name,
        namespace=namespace,
        description=_description(raw) or _description(operation.item),
        parameters=schema,
        tags=tuple(tags),
        permissions=_permissions(raw, pointer, content, refs),
        metadata=metadata,
        origin=f"{refs.file}: {pointer}",
    )


def _description(raw: dict[str, Any]) -> str:
    summary, description = (
        text if isinstance(text := raw.get(key), str) else "" for key in ("summary", "description")
    )
    return joined(summary, description)


def _server(*holders: dict[str, Any]) -> str:
    """The first server of the first holder that has one, its variables at their defaults."""
    for holder in holders:
        servers = holder.get("servers")
        if isinstance(servers, list) and servers and isinstance(servers[0], dict):
            url = str(servers[0].get("url", ""))
            variables = servers[0].get("variables")
            for name, variable in (variables if isinstance(variables, dict) else {}).items():
                if isinstance(variable, dict):
                    url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
            return url
    return "/"


def _permissions(
    raw: dict[str, Any], pointer: str, content: dict[str, Any], refs: References
) -> Permissions:
    """The scopes that a caller needs: each requirement is an alternative.

    A malformed or empty one is an error: permissions are never dropped.
    """
    holder, place = (raw, pointer) if "security" in raw else (content, "")
    place = child(place, "security")
    requirements = holder.get("security", [])
    if not isinstance(requirements, list):
        raise refs.wrong("an array", requirements, place)
    alternatives: list[frozenset[str]] = []
    for index, requirement in enumerate(requirements):
        here = child(place, index)
        if not isinstance(requirement, dict):
            raise refs.wrong("an object", requirement, here)
        needed: set[str] = set()
        for scheme, scopes in requirement.items():
            if not isinstance(scopes, list) or not all(isinstance(name, str) for name in scopes):
                raise refs.wrong("a list of scopes", scopes, child(here, scheme))
            needed.update(scopes)
        alternatives.append(frozenset(needed))
    return () if frozenset() in alternatives else tuple(dict.fromkeys(alternatives))
