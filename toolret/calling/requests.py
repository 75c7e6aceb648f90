"""Builds the HTTP request for an OpenAPI tool and arguments; pure, nothing is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from toolret.calling.security import Placed
from toolret.calling.styles import form_pairs, header_text, json_text, path_text, plain_value
from toolret.errors import CallError
from toolret.text.media_types import essence, is_json
from toolret.types import JsonObject, Tool

__all__ = ["HttpRequest", "build_request", "server_url"]

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_UNBOUNDED = ("*/*", "application/*", "")
"""Media types that leave the choice to the caller."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_STYLING = ("style", "explode", "allowReserved")

Part = tuple[str, tuple[str | None, bytes, str]]
"""A part of a multipart body: name, file name or None, content, media type."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request, ready to send.

    Attributes:
        method: Such as ``POST``.
        url: Absolute and percent-encoded, with the query.
        headers: Names and values.
        content: The body; None if there is none, or if it has ``parts``.
        parts: The parts of a multipart body.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    parts: tuple[Part, ...] = ()


@dataclass(slots=True)
class _Places:
    """Arguments sorted by where they go."""

    path: dict[str, str] = field(default_factory=dict)
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    cookies: list[tuple[str, str]] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    whole: tuple[Any, ...] = ()
    """The body in a tuple, if a single argument is the body and was given."""
    is_object: bool = False
    """Whether the body is an object whose properties are arguments."""


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
    tool: Tool, arguments: JsonObject, *, server: str, placed: Placed | None = None
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
        return _built(tool, arguments, server, placed or Placed())
    except (RecursionError, TypeError, ValueError) as exc:
        raise CallError(f"{tool.id!r}: the arguments cannot be written: {exc}") from exc


def _built(tool: Tool, arguments: JsonObject, server: str, placed: Placed) -> HttpRequest:
    places = _sorted(tool, arguments)
    path, _, literal = str(tool.metadata["path"]).partition("?")
    url = server + "/" + _filled(tool, path, places.path).lstrip("/")
    secret = {name for name, _ in placed.query}
    query = [f"{name}={value}" for name, value in places.query if name not in secret]
    query += [f"{name}={value}" for name, value in placed.query]
    query = [part for part in (literal.partition("#")[0], *query) if part]
    url += "?" + "&".join(query) if query else ""
    if _CONTROL.search(url):
        raise CallError(f"{tool.id!r}: its URL cannot hold control characters")
    content_type, content, parts = _body(tool, places)
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


def _sorted(tool: Tool, arguments: JsonObject) -> _Places:
    schema = tool.parameters or {}
    known: Mapping[str, Mapping[str, Any]] = tool.metadata.get("arguments") or {}
    missing = [name for name in schema.get("required", ()) if name not in arguments]
    if missing:
        raise CallError(f"{tool.id!r} needs the arguments {', '.join(map(repr, missing))}")
    is_object = any(place["in"] == "body" and place["name"] is not None for place in known.values())
    is_open = is_object and schema.get("additionalProperties") is not False
    places = _Places(is_object=is_object)
    keys: Mapping[str, str] = tool.metadata.get("keys") or {}
    for argument, given in arguments.items():
        value = _renamed(given, keys) if keys else given
        place = known.get(argument)
        if place is None and not is_open:
            raise CallError(
                f"{tool.id!r} has no argument {argument!r}; it has "
                f"{', '.join(map(repr, known)) or 'none'}"
            )
        if place is None:
            places.body[argument] = value
        elif place["in"] == "body":
            if place["name"] is None:
                if value is not None or argument in schema.get("required", ()):
                    places.whole = (value,)
                continue
            places.body[place["name"]] = value
            described = schema.get("properties", {}).get(argument)
            if isinstance(described, Mapping) and _is_file(described):
                places.files.add(place["name"])
        elif value is not None:
            _place(places, place, value)
    return places


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Return a value with the document's names for its properties.

    The model knows some by other names, since providers do not accept all.
    """
    if isinstance(value, Mapping):
        return {names.get(key, key): _renamed(part, names) for key, part in value.items()}
    return [_renamed(part, names) for part in value] if isinstance(value, list) else value


def _place(places: _Places, place: Mapping[str, Any], value: Any) -> None:
    name, where = str(place["name"]), place["in"]
    styling = _styling(place)
    if "content_type" in place:
        write = json_text if is_json(str(place["content_type"])) else plain_value
        value, styling = write(value), {}
    if where == "query":
        places.query += form_pairs(name, value, **_exploding(styling))
    elif where == "cookie":
        places.cookies += form_pairs(name, value, **_exploding(styling))
    elif where == "header":
        styling.pop("reserved", None)
        places.headers.append((name, header_text(value, **styling)))
    else:
        styling.pop("reserved", None)
        places.path[name] = path_text(name, value, **styling)


def _styling(details: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: details[key] for key in _STYLING if key in details}
    if "allowReserved" in found:
        found["reserved"] = found.pop("allowReserved") is True
    return found


def _exploding(styling: dict[str, Any]) -> dict[str, Any]:
    """Add OpenAPI's default: only the style ``form`` explodes."""
    return {"explode": styling.get("style", "form") == "form"} | styling


def _filled(tool: Tool, template: str, values: Mapping[str, str]) -> str:
    """Fill in the path. No value can lead elsewhere: none is empty, ``.`` or ``..``."""

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        if not values.get(name):
            raise CallError(f"{tool.id!r} needs a value for {name!r}, which is part of its path")
        return values[name]

    path = re.sub(r"\{([^{}]+)\}", fill, template.partition("#")[0])
    for before, after in zip(template.split("/"), path.split("/"), strict=False):
        if before != after and after in (".", ".."):
            raise CallError(f"{tool.id!r}: {after!r} cannot be part of a path")
    return path


def _headers(tool: Tool, places: _Places, placed: Placed) -> dict[str, str]:
    """Return headers by name, the last one winning; credentials win whatever the name's case."""
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
        if _CONTROL.search(value) or _CONTROL.search(name):
            raise CallError(f"{tool.id!r}: the header {name!r} cannot hold line breaks")
        if value != value.strip():
            raise CallError(f"{tool.id!r}: the header {name!r} cannot begin or end with a space")
    return headers


def _body(tool: Tool, places: _Places) -> tuple[str, bytes | None, tuple[Part, ...]]:
    """Return media type, content and parts of the body."""
    given = str(tool.metadata.get("content_type") or "")
    kind = essence(given)
    as_json = is_json(given) or kind in _UNBOUNDED
    value = places.whole[0] if places.whole else places.body
    is_empty = not (places.whole or places.body)
    # An empty object is still a body, for methods that write.
    if not given or (is_empty and not (as_json and places.is_object and _writes(tool))):
        return "", None, ()
    if as_json:
        content = json_text(value).encode()
        return ("application/json" if _is_range(kind) else given), content, ()
    encodings: Mapping[str, Any] = tool.metadata.get("encoding") or {}
    if kind == _FORM and isinstance(value, Mapping):
        pairs = [
            pair for item in value.items() for pair in _form_pairs(item[0], item[1], encodings)
        ]
        return given, "&".join(f"{name}={text}" for name, text in pairs).encode(), ()
    if kind == _MULTIPART and isinstance(value, Mapping):
        return "", None, tuple(_parts(value, encodings, places.files))
    if isinstance(value, str | bytes):
        content = value.encode() if isinstance(value, str) else value
        return ("" if _is_range(kind) else given), content, ()
    raise CallError(f"{tool.id!r}: a body of {given!r} must be given as text")


def _form_pairs(name: str, value: Any, encodings: Mapping[str, Any]) -> list[tuple[str, str]]:
    encoding = encodings.get(name)
    styling = _styling(encoding) if isinstance(encoding, Mapping) else {}
    if not styling and isinstance(value, Mapping):
        return [(quote(name, safe=""), quote(plain_value(value), safe=""))]
    return form_pairs(name, value, **_exploding(styling))


def _parts(
    body: Mapping[str, Any], encodings: Mapping[str, Any], files: set[str]
) -> Iterator[Part]:
    for name, value in body.items():
        encoding = encodings.get(name)
        fields: Mapping[str, Any] = encoding if isinstance(encoding, Mapping) else {}
        stated = fields.get("contentType")
        for item in _items(value, _styling(fields)):
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


def _items(value: Any, styling: dict[str, Any]) -> list[Any]:
    """Return what gets a part of its own: an array's items, unless its style joins them."""
    if not isinstance(value, list):
        return [value]
    if not styling or _exploding(styling)["explode"] or any(isinstance(v, bytes) for v in value):
        return value
    return [header_text(value, style=styling.get("style", "form"))]


def _writes(tool: Tool) -> bool:
    return tool.metadata["method"] in ("PATCH", "POST", "PUT")


def _is_range(media_type: str) -> bool:
    """Whether it stands for several media types, or any, and so is none to send."""
    return not media_type or "*" in media_type or "," in media_type


def _is_file(schema: Mapping[str, Any]) -> bool:
    """Whether the values are files, or lists of them, if they are not null."""
    items = schema.get("items")
    if isinstance(items, Mapping):
        return _is_file(items)
    for key in ("anyOf", "oneOf"):
        if choices := [part for part in schema.get(key, ()) if part != {"type": "null"}]:
            return all(map(_is_file, choices))
    return schema.get("format") == "binary" or (
        "contentMediaType" in schema and "contentEncoding" not in schema
    )
