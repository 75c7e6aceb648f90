"""Read Swagger 2.0, OpenAPI's predecessor: one tool per operation."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from toolret.catalogs.arguments import (
    Argument,
    Body,
    body_arguments,
    parameter_name,
    preferred_type,
    read_parameters,
    with_annotations,
)
from toolret.catalogs.operations import Dialect, Operation, api_tools
from toolret.catalogs.refs import Place, referenced_files
from toolret.catalogs.schema import Schema, Schemas
from toolret.catalogs.source import Document
from toolret.text.media_types import FORM, MULTIPART
from toolret.text.visible import visible
from toolret.types import Tool

__all__ = ["Swagger"]

_LOCATIONS = ("path", "query", "header", "body", "formData")
"""Values of a parameter's ``in``."""

_STYLES: dict[str, dict[str, Any]] = {
    "csv": {"explode": False},
    "ssv": {"style": "spaceDelimited", "explode": False},
    "tsv": {"style": "tabDelimited", "explode": False},
    "pipes": {"style": "pipeDelimited", "explode": False},
    "multi": {"style": "form", "explode": True},
}
"""Values of ``collectionFormat`` as styles of OpenAPI 3, which lacks the one for tabs."""

_PARAMETER_FIELDS = frozenset(
    {"allowEmptyValue", "collectionFormat", "description", "in", "name", "required"}
)
"""Fields of the parameter itself; a parameter's other fields are its schema."""

_Parameters: TypeAlias = dict[str, tuple[dict[str, Any], Place]]
"""Parameters with their places, by name."""


class Swagger:
    """Reads Swagger documents."""

    reads = "Swagger 2.0 documents"

    def kind(self, content: Any) -> str:
        """Return the kind of document, for messages."""
        return f"Swagger {content['swagger']!s} document"

    def recognizes(self, content: Any) -> bool:
        """Whether the content declares itself a Swagger document."""
        return isinstance(content, dict) and "swagger" in content

    def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
        """Yield a document's operations as tools.

        The namespace is the one given, or derived from the title, or else from the file's name.

        Raises:
            CatalogError: If the document is invalid.
        """
        version = document.content["swagger"]
        if str(version) not in ("2.0", "2"):
            raise (Place(document.file) / "swagger").error(
                f"Swagger {visible(str(version))} is not read: convert it to OpenAPI 3.0 or 3.1"
            )
        yield from api_tools(document, namespace, _SWAGGER)

    def used_files(self, document: Document) -> set[Path]:
        """Return the files that a document in a folder refers to, directly or indirectly."""
        return referenced_files(document) if document.folder else set()


def _inputs(
    operation: Operation, content: dict[str, Any], schemas: Schemas
) -> tuple[list[Argument], Body]:
    """Return an operation's parameters and body."""
    parameters = read_parameters(operation.parameters, operation.path, schemas, _parameter)
    return parameters, _body(operation, content, schemas)


def _parameter(raw: dict[str, Any], place: Place, schemas: Schemas) -> Argument | None:
    """Read a parameter; None if it belongs to the body."""
    name, location = parameter_name(raw, place, _LOCATIONS)
    if location in ("body", "formData"):
        return None
    required = location == "path" or raw.get("required") is True
    schema = with_annotations(_schema(raw, place, schemas), raw)
    return Argument(location, name, schema, required, _style(raw, location))


def _body(operation: Operation, content: dict[str, Any], schemas: Schemas) -> Body:
    """Read the body: the parameter in ``body``, or those in ``formData`` as one form.

    Raises:
        CatalogError: If there are several bodies, or a body and a form: a request has one.
    """
    bodies: _Parameters = {}
    fields: _Parameters = {}
    for raws, place in operation.parameters:
        for index, raw in enumerate(place.array(raws)):
            parameter, there = schemas.refs.follow(raw, place / index)
            name, location = parameter_name(parameter, there, _LOCATIONS)
            if location == "body":
                bodies[name] = parameter, there
            elif location == "formData":
                fields[name] = parameter, there
    if len(bodies) + bool(fields) > 1:
        *_, (_, there) = bodies.values()
        raise there.error(
            "a request has one body, and its parameters give several: keep one in `body`, or those "
            "in `formData`"
        )
    consumed = _consumed(operation, content)
    if fields:
        return _form(fields, consumed, schemas)
    if not bodies:
        return Body()
    ((raw, there),) = bodies.values()
    return body_arguments(
        schemas.inline(raw.get("schema"), there / "schema"),
        schemas,
        content_type=preferred_type(consumed) if consumed else "application/json",
        encoding={},
        required=raw.get("required"),
        description=str(raw.get("description") or ""),
    )


def _form(fields: _Parameters, consumed: Collection[str], schemas: Schemas) -> Body:
    """Return a form as a body; a form with files can only be sent as multipart.

    Args:
        fields: The parameters in ``formData``.
        consumed: The media types that the operation accepts.
        schemas: The document's schemas.
    """
    has_files = any(raw.get("type") == "file" for raw, _ in fields.values())
    usable = (MULTIPART,) if has_files else (FORM, MULTIPART)
    styles = {name: _style(raw, "query") for name, (raw, _) in fields.items()}
    return Body(
        arguments=tuple(
            Argument(
                "body",
                name,
                with_annotations(_schema(raw, place, schemas), raw),
                raw.get("required") is True,
            )
            for name, (raw, place) in fields.items()
        ),
        content_type=next((name for name in usable if name in consumed), usable[0]),
        encoding={name: style for name, style in styles.items() if style},
    )


def _consumed(operation: Operation, content: dict[str, Any]) -> list[str]:
    """Return the media types that an operation's body may have."""
    raw = operation.raw.get("consumes", content.get("consumes"))
    return [name for name in raw if isinstance(name, str)] if isinstance(raw, list) else []


def _schema(raw: dict[str, Any], place: Place, schemas: Schemas) -> Schema:
    """Return the schema of a parameter that is not a body."""
    schema = {key: value for key, value in raw.items() if key not in _PARAMETER_FIELDS}
    if schema.get("type") == "file":
        schema |= {"type": "string", "format": "binary"}
    return schemas.inline(schema, place)


def _style(raw: dict[str, Any], location: str) -> dict[str, Any]:
    """Return the style in which an array is serialised: separated by commas by default."""
    if raw.get("type") != "array":
        return {}
    style = _STYLES.get(str(raw.get("collectionFormat")), _STYLES["csv"])
    return {"style": "form" if location == "query" else "simple"} | style


def _server(operation: Operation, content: dict[str, Any]) -> str:
    """Return the base URL, with https if offered; relative if the host is unknown."""
    host = content.get("host")
    base = content.get("basePath")
    path = base if isinstance(base, str) else ""
    if path and not path.startswith("/"):  # otherwise it would be appended to the host
        path = f"/{path}"
    if not isinstance(host, str) or not host:
        return path or "/"
    offered = operation.raw.get("schemes", content.get("schemes"))
    schemes = [s for s in offered if isinstance(s, str)] if isinstance(offered, list) else []
    scheme = "https" if "https" in schemes or not schemes else schemes[0]
    return f"{scheme}://{host}{path}"


def _schema_of(response: dict[str, Any], place: Place) -> tuple[Any, Place]:
    """Return the schema of a response, and the schema's place."""
    return response.get("schema"), place / "schema"


_SWAGGER = Dialect("Swagger", _inputs, _server, ("securityDefinitions",), _schema_of)
