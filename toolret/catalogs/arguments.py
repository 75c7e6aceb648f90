"""Convert the parameters and the request body of an API operation to one object of arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolret.catalogs.keys import MAX_KEY, argument_name, with_name
from toolret.catalogs.refs import Place
from toolret.catalogs.schema import Schema, Schemas
from toolret.catalogs.schema_merge import ANNOTATIONS
from toolret.catalogs.text import join_texts, plain_text
from toolret.catalogs.writable import writable
from toolret.schemas.accepted import choice_in_words
from toolret.text.media_types import ANY, FORM, MULTIPART, essence, is_json

__all__ = [
    "LOCATIONS",
    "Argument",
    "Body",
    "arguments_schema",
    "body_arguments",
    "parameter_name",
    "preferred_type",
    "read_body",
    "read_parameter",
    "read_parameters",
    "with_annotations",
]

LOCATIONS = ("path", "query", "header", "cookie")
"""Values of a parameter's ``in`` in OpenAPI 3, in the order in which arguments are listed."""

_IGNORED_HEADERS = frozenset(
    {"accept", "authorization", "content-type"}
    | {"connection", "content-length", "host", "transfer-encoding"}
)
"""Header parameters that are no arguments: the HTTP client sets them. OpenAPI says to ignore the
first three; by the others, a model could choose another server, or where a request ends."""

_STYLING = ("style", "explode", "allowReserved")
"""Fields of a parameter that say how it is serialised."""

_FLAT_BODY = frozenset({"additionalProperties", "properties", "required", "type"}) | ANNOTATIONS
"""Keywords of a plain object; a body with only these is split into its properties."""

_FORMS = (FORM, MULTIPART)
"""Media types of forms, whose fields are built from JSON values; the first is preferred."""

_WHOLE_BODY = "body"
"""The argument's name for a body that is not a plain object."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of an operation.

    Attributes:
        location: ``path``, ``query``, ``header``, ``cookie`` or ``body``.
        name: The argument's name there; None for a whole body.
        schema: The argument's JSON Schema.
        required: Whether the argument is required.
        details: How the argument is serialised, such as OpenAPI's ``style``.
    """

    location: str
    name: str | None
    schema: Schema
    required: bool
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Body:
    """A request body.

    Attributes:
        arguments: The properties of an object, or the whole body as one argument.
        content_type: The chosen media type.
        encoding: OpenAPI's ``encoding`` of the properties.
        closed: Whether other properties are rejected.
        constraints: Constraints across properties, by keyword, with original property names.
        description: Description of an object whose properties are arguments.
    """

    arguments: tuple[Argument, ...] = ()
    content_type: str = ""
    encoding: dict[str, Any] = field(default_factory=dict)
    closed: bool = False
    constraints: dict[str, Any] = field(default_factory=dict)
    description: str = ""


def read_parameters(
    lists: Sequence[tuple[Any, Place]],
    path: str,
    schemas: Schemas,
    read: Callable[[dict[str, Any], Place, Schemas], Argument | None],
) -> list[Argument]:
    """Read the arguments from lists of parameters: path first, then query, header and cookie.

    Args:
        lists: Each list with its place; a parameter in a later list overrides an earlier one.
        path: The operation's path; undeclared names in braces become string parameters.
        schemas: The document's schemas.
        read: Reads one parameter; returns None for one in another location.

    Raises:
        CatalogError: If a parameter is invalid.
    """
    arguments: dict[tuple[str, str], Argument] = {}
    for raws, place in lists:
        for index, raw in enumerate(place.array(raws)):
            argument = read(*schemas.refs.follow(raw, place / index), schemas)
            if argument:
                arguments[argument.location, str(argument.name)] = argument
    for name in _path_names(path):
        undeclared = Argument("path", name, {"type": "string"}, required=True)
        arguments.setdefault(("path", name), undeclared)
    kept = [
        argument
        for (location, name), argument in arguments.items()
        if location != "header" or name.lower() not in _IGNORED_HEADERS
    ]
    return sorted(kept, key=lambda argument: LOCATIONS.index(argument.location))


def read_parameter(raw: dict[str, Any], place: Place, schemas: Schemas) -> Argument:
    """Read a parameter of OpenAPI 3.

    Raises:
        CatalogError: If it is invalid.
    """
    name, location = parameter_name(raw, place, LOCATIONS)
    details = {key: raw[key] for key in _STYLING if key in raw}
    contents = (place / "content").object(raw.get("content"))
    if contents:
        content_type = preferred_type(contents)
        there = place / "content" / content_type
        media, there = schemas.refs.follow(contents[content_type], there)
        schema = schemas.inline(media.get("schema"), there / "schema")
        details["content_type"] = content_type
    else:
        schema = schemas.inline(raw.get("schema"), place / "schema")
    required = location == "path" or raw.get("required") is True
    return Argument(location, name, with_annotations(schema, raw), required, details)


def parameter_name(raw: dict[str, Any], place: Place, locations: Sequence[str]) -> tuple[str, str]:
    """Return a parameter's name and location.

    Raises:
        CatalogError: If either is missing or invalid.
    """
    name, location = raw.get("name"), raw.get("in")
    if isinstance(name, str) and isinstance(location, str) and location in locations:
        return name, location
    raise place.error(f"a parameter needs a `name`, and an `in` of {', '.join(locations)}")


def read_body(raw: Any, place: Place, schemas: Schemas) -> Body:
    """Read a request body of OpenAPI 3.

    Of several media types, JSON is preferred, then a form.

    Raises:
        CatalogError: If it is invalid.
    """
    body, place = schemas.refs.follow(raw, place)
    contents = (place / "content").object(body.get("content"))
    if not contents:
        return Body()
    content_type = preferred_type(contents)
    media, place = schemas.refs.follow(contents[content_type], place / "content" / content_type)
    return body_arguments(
        schemas.inline(media.get("schema"), place / "schema"),
        schemas,
        content_type=content_type,
        encoding=(place / "encoding").object(media.get("encoding")),
        required=body.get("required"),
        description=str(body.get("description") or ""),
    )


def body_arguments(
    schema: Schema,
    schemas: Schemas,
    *,
    content_type: str,
    encoding: dict[str, Any],
    required: Any,
    description: str,
) -> Body:
    """Return a body: a plain object as its properties, XML and the like as one string.

    Args:
        schema: The body's schema, from ``Schemas.inline``.
        schemas: The document's schemas.
        content_type: The body's media type.
        encoding: OpenAPI's ``encoding`` of the properties.
        required: Whether a body is required, as the document says it. If it says nothing (as
            Twilio's), the properties are required that the schema requires: hardly any operation
            does something useful without them.
        description: Description of the whole body.
    """
    schema = writable(schema)
    is_text = not _takes_values(content_type)
    if is_text and schema.get("type") != "string":
        schema = {"type": "string"}
        description = f"{description}\n\nWritten as {content_type}.".strip()
    constraints = None if is_text else _joint_constraints(schema, schemas)
    description = join_texts(description, schema.get("description", ""))
    if constraints is None:
        described: Schema = {"description": description} if description else {}
        described |= {key: value for key, value in schema.items() if key != "description"}
        return Body((Argument("body", None, described, required is True),), content_type, encoding)
    needed = schema.get("required", [])
    properties = schema.get("properties", {})
    if not properties and not needed:  # for example in documents that give a GET a body
        return Body(closed=schema.get("additionalProperties") is False, constraints=constraints)
    unknown: Schema = {name: {} for name in needed if name not in properties}
    if required is None:
        needed = [name for name in needed if name in properties]
    elif required is not True:
        needed = []
    return Body(
        arguments=tuple(
            Argument("body", schemas.keys.name(key), part, key in needed)
            for key, part in (properties | unknown).items()
        ),
        content_type=content_type,
        encoding=encoding,
        closed=schema.get("additionalProperties") is False,
        constraints=constraints,
        description=description,
    )


def arguments_schema(
    parameters: Sequence[Argument], body: Body
) -> tuple[Schema, dict[str, dict[str, Any]]]:
    """Combine all arguments into one object schema, and record where each goes.

    If several arguments share a name, the first keeps it and the others get their location as a
    prefix (``query_id``, ``body_id``).

    Args:
        parameters: The arguments outside the body, path parameters first.
        body: The body.

    Returns:
        The JSON Schema, and for each of its properties ``in``, the original ``name`` and details.
    """
    arguments = [*parameters, *body.arguments]
    reserved = {_preferred_name(argument) for argument in arguments}
    named: dict[str, Argument] = {}
    for argument in arguments:
        named[_free_name(argument, named, reserved)] = argument
    schema: Schema = {"type": "object"}
    names = {a.name: name for name, a in named.items() if a.location == "body"}
    constraints = _constraints_in_words(body.constraints, names)
    if description := " ".join(filter(None, [body.description, constraints])):
        schema["description"] = description
    schema["properties"] = {
        name: with_name(argument.schema, argument.name or "") for name, argument in named.items()
    }
    if required := [name for name, argument in named.items() if argument.required]:
        schema["required"] = required
    if body.closed:
        schema["additionalProperties"] = False
    places = {
        name: {"in": argument.location, "name": argument.name, **argument.details}
        for name, argument in named.items()
    }
    return schema, places


def _preferred_name(argument: Argument) -> str:
    """Return the name that an argument gets if no other argument has it."""
    return _WHOLE_BODY if argument.name is None else argument_name(argument.name)


def _free_name(argument: Argument, named: dict[str, Argument], reserved: set[str]) -> str:
    """Return an argument's preferred name, or one with its location if another has that name."""
    plain = _preferred_name(argument)
    if plain not in named:
        return plain
    name = base = f"{argument.location}_{plain}"[:MAX_KEY]
    number = 2
    while name in named or name in reserved:
        name = f"{base[: MAX_KEY - len(str(number)) - 1]}_{number}"
        number += 1
    return name


def with_annotations(schema: Schema, raw: dict[str, Any]) -> Schema:
    """Return a schema with its parameter's own description, deprecation and examples."""
    added: Schema = {}
    if isinstance(text := raw.get("description"), str) and plain_text(text):
        added["description"] = plain_text(text)
    if raw.get("deprecated") is True:
        added["deprecated"] = True
    examples = raw.get("examples")
    if "example" in raw:
        added["examples"] = [raw["example"]]
    elif isinstance(examples, dict):
        values = [e["value"] for e in examples.values() if isinstance(e, dict) and "value" in e]
        added |= {"examples": values} if values else {}
    return schema | added


def _joint_constraints(schema: Schema, schemas: Schemas) -> dict[str, Any] | None:
    """Return a body's constraints across properties; None if it cannot be split into these."""
    if schema.get("type", "object") not in ("object", ["object", "null"], ["null", "object"]):
        return None
    extra = schema.get("additionalProperties")
    if extra is not False and not (schema.get("properties") and extra in (None, True, {})):
        return None
    constraints: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("anyOf", "oneOf") and all(_is_requirement(part) for part in value):
            constraints[key] = [[schemas.keys.name(k) for k in part["required"]] for part in value]
        elif key == "minProperties":
            constraints[key] = value
        elif key not in _FLAT_BODY:
            return None
    return constraints


def _constraints_in_words(constraints: dict[str, Any], names: dict[str | None, str]) -> str:
    """Describe constraints across properties in words, using argument names."""
    notes = []
    for key, value in constraints.items():
        if key == "minProperties":
            notes.append(f"Give at least {value} of the properties of the body.")
        else:
            options = ([names.get(name, argument_name(name)) for name in part] for part in value)
            notes.append(choice_in_words(key, map(" and ".join, options)))
    return " ".join(notes)


def _is_requirement(schema: Schema) -> bool:
    """Whether a schema does nothing but require properties."""
    return bool(schema.get("required")) and not schema.keys() - ANNOTATIONS - {"required"}


def preferred_type(content_types: Iterable[str]) -> str:
    """Return the preferred media type to send: JSON, or else a form, or else the first."""
    return min(content_types, key=_type_rank)


def _type_rank(content_type: str) -> int:
    """Return the rank of a media type; smaller is better."""
    if is_json(content_type):
        return 0
    kind = essence(content_type)
    return 1 + _FORMS.index(kind) if kind in _FORMS else 1 + len(_FORMS)


def _takes_values(content_type: str) -> bool:
    """Whether a body can be built from JSON values; XML, for example, must be given as text."""
    return is_json(content_type) or essence(content_type) in (*_FORMS, *ANY)


def _path_names(path: str) -> Iterator[str]:
    """Yield the names in braces in a path."""
    for part in path.split("{")[1:]:
        name, closed, _ = part.partition("}")
        if closed and name:
            yield name
