"""Build the HTTP request that calls an OpenAPI tool; pure functions that send nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from toolret.calling.security import PlacedCredentials
from toolret.calling.styles import form_pairs, header_text, json_text, path_text, plain_value
from toolret.errors import CallError
from toolret.text.media_types import ANY, FORM, MULTIPART, essence, is_json
from toolret.types import OPERATION_KEYS, JsonObject, Tool

__all__ = ["HttpRequest", "build_request", "is_operation", "server_url"]

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
"""A character that must not stand in a URL or header: with a line break, one could add a header."""

_STYLING = ("style", "explode", "allowReserved")
"""OpenAPI's fields that say how a parameter is serialised."""

Part = tuple[str, tuple[str | None, bytes, str]]
"""A part of a multipart body: its name, its file name or None, its content and its media type."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request, ready to send.

    Attributes:
        method: The HTTP method, such as ``POST``.
        url: The absolute, percent-encoded URL with its query.
        headers: The headers' names and values.
        content: The body; None if there is none, or if it has ``parts``.
        parts: The parts of a multipart body.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    parts: tuple[Part, ...] = ()


@dataclass(slots=True)
class _PlacedArguments:
    """Arguments sorted by where they go.

    Attributes:
        path: Percent-encoded texts for the path, by parameter name.
        query: Percent-encoded names and values for the query.
        headers: Names and values of headers.
        cookies: Percent-encoded names and values of cookies.
        body: Properties of the body, by name.
        files: Names of the body's properties that are files.
        whole_body: The body in a tuple, if a single argument is the body and was given.
        is_object: Whether the body is an object whose properties are arguments.
    """

    path: dict[str, str] = field(default_factory=dict)
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    cookies: list[tuple[str, str]] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    whole_body: tuple[Any, ...] = ()
    is_object: bool = False


def is_operation(tool: Tool) -> bool:
    """Whether a tool was read from an OpenAPI document, and so can be called over HTTP."""
    return tool.metadata.keys() >= OPERATION_KEYS


def server_url(tool: Tool, base_url: str | None) -> str:
    """Return the URL of a tool's server, without a trailing slash.

    Args:
        tool: The tool.
        base_url: Overrides scheme and host of the server that its document names; the server's path
            is appended to it.

    Raises:
        CallError: If the result is not an absolute HTTP URL.
    """
    server = str(tool.metadata.get("server") or "")
    try:
        if base_url is not None:
            server = base_url.rstrip("/") + "/" + urlsplit(server).path.lstrip("/")
        parts = urlsplit(server)
    except ValueError as exc:  # an IPv6 address without its bracket
        raise CallError(f"{tool.id!r}: its server is no URL: {exc}") from exc
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise CallError(
            f"{tool.id!r} has no whole server URL but {server!r}: pass base_url, such as "
            "'https://api.example.com'"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def build_request(
    tool: Tool, arguments: JsonObject, *, server: str, placed: PlacedCredentials | None = None
) -> HttpRequest:
    """Build the request that calls a tool.

    An argument that is null is left out, except within a body, or as a body that is required. One
    that the schema does not name goes into the body if that is an object that takes any; otherwise
    it is an error.

    Args:
        tool: A tool that ``load_tools`` read from an OpenAPI document.
        arguments: The arguments, by their names in the tool's schema.
        server: The URL of its server.
        placed: The credentials to send, in their places.

    Raises:
        CallError: If arguments are missing or unknown, or cannot be encoded where they go.
    """
    try:
        return _request(tool, arguments, server, placed or PlacedCredentials())
    except (RecursionError, TypeError, ValueError) as exc:
        raise CallError(f"{tool.id!r}: the arguments cannot be written: {exc}") from exc


def _request(
    tool: Tool, arguments: JsonObject, server: str, placed: PlacedCredentials
) -> HttpRequest:
    """Return the request that calls a tool; errors of encoding are not mapped yet."""
    places = _place_arguments(tool, arguments)
    path, _, literal = str(tool.metadata["path"]).partition("?")
    url = server + "/" + _fill_path(tool, path, places.path).lstrip("/")
    secret = {name for name, _ in placed.query}
    query = [f"{name}={value}" for name, value in places.query if name not in secret]
    query += [f"{name}={value}" for name, value in placed.query]
    query = [part for part in (literal.partition("#")[0], *query) if part]
    url += "?" + "&".join(query) if query else ""
    if _CONTROL_CHARACTER.search(url):
        raise CallError(f"{tool.id!r}: its URL cannot hold control characters")
    content_type, content, parts = _encode_body(tool, places)
    headers = _headers(tool, places, placed)
    if content_type:
        headers["Content-Type"] = content_type
    return HttpRequest(
        method=str(tool.metadata["method"]),
        url=url,
        headers=tuple(headers.items()),
        content=content,
        parts=parts,
    )


def _place_arguments(tool: Tool, arguments: JsonObject) -> _PlacedArguments:
    """Sort a call's arguments by where they go.

    Raises:
        CallError: If arguments are missing or unknown.
    """
    schema = tool.parameters or {}
    known: Mapping[str, Mapping[str, Any]] = tool.metadata.get("arguments") or {}
    missing = [name for name in schema.get("required", ()) if name not in arguments]
    if missing:
        raise CallError(f"{tool.id!r} needs the arguments {', '.join(map(repr, missing))}")
    is_object = any(place["in"] == "body" and place["name"] is not None for place in known.values())
    is_open = is_object and schema.get("additionalProperties") is not False
    places = _PlacedArguments(is_object=is_object)
    keys: Mapping[str, str] = tool.metadata.get("keys") or {}
    for argument, value in arguments.items():
        if keys:
            value = _with_original_names(value, keys)
        place = known.get(argument)
        if place is None and not is_open:
            raise CallError(
                f"{tool.id!r} has no argument {argument!r}; it has "
                f"{', '.join(map(repr, known)) or 'none'}"
            )
        if place is None:
            places.body[argument] = value
        elif place["in"] != "body":
            if value is not None:
                _place_outside_body(places, place, value)
        elif place["name"] is not None:
            places.body[place["name"]] = value
            argument_schema = schema.get("properties", {}).get(argument)
            if isinstance(argument_schema, Mapping) and _is_file_schema(argument_schema):
                places.files.add(place["name"])
        elif value is not None or argument in schema.get("required", ()):
            places.whole_body = (value,)
    return places


def _with_original_names(value: Any, names: Mapping[str, str]) -> Any:
    """Return a value with the document's names for its properties, at any depth.

    The model knows some by other names, because providers do not accept all names.
    """
    if isinstance(value, Mapping):
        return {
            names.get(key, key): _with_original_names(part, names) for key, part in value.items()
        }
    return (
        [_with_original_names(part, names) for part in value] if isinstance(value, list) else value
    )


def _place_outside_body(places: _PlacedArguments, place: Mapping[str, Any], value: Any) -> None:
    """Write one argument into ``places``: into its path, query, headers or cookies."""
    name, where = str(place["name"]), place["in"]
    styling = _styling(place)
    if "content_type" in place:
        write = json_text if is_json(str(place["content_type"])) else plain_value
        value, styling = write(value), {}
    if where == "query":
        places.query += form_pairs(name, value, **_with_default_explode(styling))
    elif where == "cookie":
        places.cookies += form_pairs(name, value, **_with_default_explode(styling))
    elif where == "header":
        styling.pop("reserved", None)
        text = header_text(value, **styling)
        if name.lower() == "cookie":  # as cookies, none of which replaces a secret
            pairs = (pair.strip().partition("=") for pair in text.split(";"))
            places.cookies += [(key, content) for key, _, content in pairs if key]
        else:
            places.headers.append((name, text))
    else:
        styling.pop("reserved", None)
        places.path[name] = path_text(name, value, **styling)


def _styling(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments for the functions of ``styles`` that a parameter asks for."""
    styling = {key: details[key] for key in _STYLING if key in details}
    if "allowReserved" in styling:
        styling["reserved"] = styling.pop("allowReserved") is True
    return styling


def _with_default_explode(styling: dict[str, Any]) -> dict[str, Any]:
    """Return a styling with OpenAPI's default: only the style ``form`` explodes."""
    return {"explode": styling.get("style", "form") == "form"} | styling


def _fill_path(tool: Tool, template: str, values: Mapping[str, str]) -> str:
    """Return a path with its values, none of which leads elsewhere: not empty, ``.`` or ``..``.

    Raises:
        CallError: If a value would.
    """

    def fill(placeholder: re.Match[str]) -> str:
        name = placeholder[1]
        if not values.get(name):
            raise CallError(f"{tool.id!r} needs a value for {name!r}, which is part of its path")
        return values[name]

    path = re.sub(r"\{([^{}]+)\}", fill, template.partition("#")[0])
    for before, after in zip(template.split("/"), path.split("/"), strict=False):
        if before != after and after in (".", ".."):
            raise CallError(f"{tool.id!r}: {after!r} cannot be part of a path")
    return path


def _headers(tool: Tool, places: _PlacedArguments, placed: PlacedCredentials) -> dict[str, str]:
    """Return the headers by name: the last of each name, and credentials instead of any other.

    Raises:
        CallError: If a header cannot be sent.
    """
    secret_cookies = dict(placed.cookies)
    cookies = [pair for pair in places.cookies if pair[0] not in secret_cookies]
    cookies += secret_cookies.items()
    secret = {name.lower() for name, _ in placed.headers}
    headers = {name: value for name, value in places.headers if name.lower() not in secret}
    headers |= dict(placed.headers)
    if cookies:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies)
    for name, value in headers.items():
        value.encode()  # raises if it cannot be sent
        if _CONTROL_CHARACTER.search(value) or _CONTROL_CHARACTER.search(name):
            raise CallError(f"{tool.id!r}: the header {name!r} cannot hold line breaks")
        if value != value.strip():
            raise CallError(f"{tool.id!r}: the header {name!r} cannot begin or end with a space")
    return headers


def _encode_body(
    tool: Tool, places: _PlacedArguments
) -> tuple[str, bytes | None, tuple[Part, ...]]:
    """Return the media type, the content and the parts of the body.

    Raises:
        CallError: If the body has to be given as text, and is not.
    """
    declared = str(tool.metadata.get("content_type") or "")
    kind = essence(declared)
    as_json = is_json(declared) or kind in ANY
    value = places.whole_body[0] if places.whole_body else places.body
    is_empty = not (places.whole_body or places.body)
    # An empty object is still a body, for methods that write.
    if not declared or (
        is_empty and not (as_json and places.is_object and _has_writing_method(tool))
    ):
        return "", None, ()
    if as_json:
        content = json_text(value).encode()
        return ("application/json" if _is_range(kind) else declared), content, ()
    encodings: Mapping[str, Any] = tool.metadata.get("encoding") or {}
    if kind == FORM and isinstance(value, Mapping):
        pairs = [
            pair for item in value.items() for pair in _field_pairs(item[0], item[1], encodings)
        ]
        return declared, "&".join(f"{name}={text}" for name, text in pairs).encode(), ()
    if kind == MULTIPART and isinstance(value, Mapping):
        return "", None, tuple(_multipart_parts(value, encodings, places.files))
    if isinstance(value, str | bytes):
        content = value.encode() if isinstance(value, str) else value
        return ("" if _is_range(kind) else declared), content, ()
    raise CallError(f"{tool.id!r}: a body of {declared!r} must be given as text")


def _field_pairs(name: str, value: Any, encodings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a form field's names and values, percent-encoded; a plain object becomes JSON."""
    encoding = encodings.get(name)
    styling = _styling(encoding) if isinstance(encoding, Mapping) else {}
    if not styling and isinstance(value, Mapping):
        return [(quote(name, safe=""), quote(plain_value(value), safe=""))]
    return form_pairs(name, value, **_with_default_explode(styling))


def _multipart_parts(
    body: Mapping[str, Any], encodings: Mapping[str, Any], files: set[str]
) -> Iterator[Part]:
    """Yield the parts of a multipart body; properties in ``files`` and bytes are sent as files."""
    for name, value in body.items():
        encoding = encodings.get(name)
        fields: Mapping[str, Any] = encoding if isinstance(encoding, Mapping) else {}
        stated = fields.get("contentType")
        for item in _part_values(value, _styling(fields)):
            is_file = name in files or isinstance(item, bytes)
            if is_file and item is None:  # instead of an empty file
                continue
            usual = "text/plain"
            if is_file:
                usual = "application/octet-stream"
            elif isinstance(item, Mapping | list):
                usual = "application/json"
            content = item if isinstance(item, bytes) else plain_value(item).encode()
            media_type = stated if isinstance(stated, str) and not _is_range(stated) else usual
            yield name, (name if is_file else None, content, media_type)


def _part_values(value: Any, styling: dict[str, Any]) -> list[Any]:
    """Return the values that get a part each: an array's items, unless its style joins them."""
    if not isinstance(value, list):
        return [value]
    if (
        not styling
        or _with_default_explode(styling)["explode"]
        or any(isinstance(v, bytes) for v in value)
    ):
        return value
    return [header_text(value, style=styling.get("style", "form"))]


def _has_writing_method(tool: Tool) -> bool:
    """Whether a tool's HTTP method is one that usually sends a body."""
    return tool.metadata["method"] in ("PATCH", "POST", "PUT")


def _is_range(media_type: str) -> bool:
    """Whether a media type stands for several, or for any, and so cannot be sent."""
    return not media_type or "*" in media_type or "," in media_type


def _is_file_schema(schema: Mapping[str, Any]) -> bool:
    """Whether a schema's values are files, or lists of files, if they are not null."""
    items = schema.get("items")
    if isinstance(items, Mapping):
        return _is_file_schema(items)
    for key in ("anyOf", "oneOf"):
        if choices := [part for part in schema.get(key, ()) if part != {"type": "null"}]:
            return all(map(_is_file_schema, choices))
    return schema.get("format") == "binary" or (
        "contentMediaType" in schema and "contentEncoding" not in schema
    )
