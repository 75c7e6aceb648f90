"""Parameters and request bodies of OpenAPI operations, as one object of arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolret.catalogs.refs import References, child
from toolret.catalogs.schema import Schema, inlined, writable
from toolret.catalogs.schema_merge import ANNOTATIONS
from toolret.catalogs.text import plain_text
from toolret.errors import CatalogError

__all__ = ["Argument", "Body", "arguments_schema", "read_body", "read_parameters"]

_LOCATIONS = ("path", "query", "header", "cookie")

_IGNORED_HEADERS = frozenset({"accept", "authorization", "content-type"})
"""Parameters that OpenAPI says to ignore: the caller's HTTP client sets them."""

_STYLING = ("style", "explode", "allowReserved")

_FLAT_BODY = frozenset({"additionalProperties", "properties", "required", "type"}) | ANNOTATIONS
"""A body that says nothing else is its properties."""

_CHOICES = {"anyOf": "Give at least one of", "oneOf": "Give exactly one of"}
"""What a choice between properties that are required is in words. Providers refuse it as a keyword
at the top of a tool's schema."""

_WHOLE_BODY = "body"
"""The name of the argument for a body that is no plain object."""


@dataclass(frozen=True, slots=True)
class Argument:
    """Something to give when an operation is called.

    Attributes:
        location: ``path``, ``query``, ``header``, ``cookie`` or ``body``.
        name: Its name there; None for a whole body.
        schema: What it may be.
        required: Whether it must be given.
        details: How it is written, such as OpenAPI's ``style``.
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
        arguments: The properties of an object, or the whole.
        content_type: The media type chosen.
        encoding: OpenAPI's ``encoding`` of the properties.
        closed: Whether it refuses other properties.
        note: What else holds for its properties together, in words.
    """

    arguments: tuple[Argument, ...] = ()
    content_type: str = ""
    encoding: dict[str, Any] = field(default_factory=dict)
    closed: bool = False
    note: str = ""


def read_parameters(
    lists: Sequence[tuple[Any, str]], path: str, refs: References
) -> list[Argument]:
    """The arguments of lists of parameters, path first, then query, header and cookie.

    Args:
        lists: Each list with its JSON pointer; the later counts where both have a parameter.
        path: The path of the operation; names in braces that no list has are text parameters.
        refs: The document's references.

    Raises:
        CatalogError: If one cannot be used.
    """
    found: dict[tuple[str, str], Argument] = {}
    for raws, pointer in lists:
        for index, raw in enumerate(refs.array(raws, pointer)):
            argument = _parameter(*refs.follow(raw, child(pointer, index)), refs)
            found[argument.location, str(argument.name)] = argument
    for name in _path_names(path):
        found.setdefault(("path", name), Argument("path", name, {"type": "string"}, required=True))
    kept = [
        argument
        for (location, name), argument in found.items()
        if location != "header" or name.lower() not in _IGNORED_HEADERS
    ]
    return sorted(kept, key=lambda argument: _LOCATIONS.index(argument.location))


def read_body(raw: Any, pointer: str, refs: References) -> Body:
    """The arguments of a request body: its properties if it is a plain object, else the whole.

    Of several media types JSON is chosen, or else a form.

    Raises:
        CatalogError: If it cannot be used.
    """
    body, pointer = refs.follow(raw, pointer)
    contents = refs.object(body.get("content"), pointer := child(pointer, "content"))
    if not contents:
        return Body()
    content_type = min(contents, key=_preference)
    media, pointer = refs.follow(contents[content_type], child(pointer, content_type))
    schema = writable(inlined(media.get("schema"), child(pointer, "schema"), refs))
    required = body.get("required") is True
    note = _flat_note(schema)
    if note is None:
        described = {"description": plain_text(str(body.get("description") or ""))}
        whole = {k: v for k, v in described.items() if v} | schema
        return Body((Argument("body", None, whole, required),), content_type)
    needed = schema.get("required", [])
    properties = schema.get("properties", {})
    properties |= {name: {} for name in needed if name not in properties}
    return Body(
        arguments=tuple(
            Argument("body", name, part, required and name in needed)
            for name, part in properties.items()
        ),
        content_type=content_type,
        encoding=refs.object(media.get("encoding"), child(pointer, "encoding")),
        closed=schema.get("additionalProperties") is False,
        note=note,
    )


def arguments_schema(
    parameters: Sequence[Argument], body: Body
) -> tuple[Schema, dict[str, dict[str, Any]]]:
    """One object schema for all arguments, and where each goes.

    Of arguments with one name the first keeps it; the others are told apart by their place
    (``query_id``, ``body_id``).

    Args:
        parameters: The arguments that are not in the body; those of the path first.
        body: The body.

    Returns:
        The JSON Schema, and for each of its properties ``in``, the original ``name`` and details.
    """
    arguments = [*parameters, *body.arguments]
    taken = {argument.name or _WHOLE_BODY for argument in arguments}
    named: dict[str, Argument] = {}
    for argument in arguments:
        named[_free_name(argument, named, taken)] = argument
    schema: Schema = {"type": "object"}
    if body.note:
        schema["description"] = body.note
    schema["properties"] = {name: argument.schema for name, argument in named.items()}
    if required := [name for name, argument in named.items() if argument.required]:
        schema["required"] = required
    if body.closed:
        schema["additionalProperties"] = False
    places = {
        name: {"in": argument.location, "name": argument.name, **argument.details}
        for name, argument in named.items()
    }
    return schema, places


def _free_name(argument: Argument, named: dict[str, Argument], taken: set[str]) -> str:
    plain = argument.name or _WHOLE_BODY
    if plain not in named:
        return plain
    name = base = f"{argument.location}_{plain}"
    number = 2
    while name in named or name in taken:
        name = f"{base}_{number}"
        number += 1
    return name


def _parameter(raw: dict[str, Any], pointer: str, refs: References) -> Argument:
    name, location = raw.get("name"), raw.get("in")
    if not isinstance(name, str) or location not in _LOCATIONS:
        raise CatalogError(
            f"a parameter needs a `name`, and an `in` of {', '.join(_LOCATIONS)}",
            file=refs.file,
            place=pointer,
        )
    details = {key: raw[key] for key in _STYLING if key in raw}
    contents = refs.object(raw.get("content"), child(pointer, "content"))
    if contents:
        content_type = min(contents, key=_preference)
        place = child(child(pointer, "content"), content_type)
        media, place = refs.follow(contents[content_type], place)
        schema = inlined(media.get("schema"), child(place, "schema"), refs)
        details["content_type"] = content_type
    else:
        schema = inlined(raw.get("schema"), child(pointer, "schema"), refs)
    required = location == "path" or raw.get("required") is True
    return Argument(location, name, _annotated(schema, raw), required, details)


def _annotated(schema: Schema, raw: dict[str, Any]) -> Schema:
    """The schema of a parameter with what the parameter itself says."""
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


def _flat_note(schema: Schema) -> str | None:
    """What a body says beyond its properties, in words; None if it must stay whole."""
    if schema.get("type", "object") not in ("object", ["object", "null"]):
        return None
    extra = schema.get("additionalProperties")
    if extra is not False and not (schema.get("properties") and extra in (None, True, {})):
        return None
    notes: list[str] = []
    for key, value in schema.items():
        if key in _CHOICES and all(_is_requirement(part) for part in value):
            options = "; ".join(" and ".join(part["required"]) for part in value)
            notes.append(f"{_CHOICES[key]}: {options}.")
        elif key == "minProperties":
            notes.append(f"Give at least {value} of the properties of the body.")
        elif key not in _FLAT_BODY:
            return None
    return " ".join(notes)


def _is_requirement(schema: Schema) -> bool:
    return bool(schema.get("required")) and not schema.keys() - ANNOTATIONS - {"required"}


def _preference(content_type: str) -> int:
    """Smaller is better; of equal ones the first stays."""
    essence = content_type.partition(";")[0].strip().lower()
    if essence.endswith(("/json", "+json")):
        return 0
    order = ("application/x-www-form-urlencoded", "multipart/form-data")
    return 1 + order.index(essence) if essence in order else 1 + len(order)


def _path_names(path: str) -> Iterator[str]:
    for part in path.split("{")[1:]:
        name, closed, _ = part.partition("}")
        if closed and name:
            yield name
