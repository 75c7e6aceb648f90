"""Describe in one line what an operation returns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeAlias

from toolret.catalogs.refs import Place, References
from toolret.catalogs.text import plain_text
from toolret.errors import CatalogError

__all__ = ["SchemaOf", "describe_response"]

SchemaOf: TypeAlias = Callable[[dict[str, Any], Place], tuple[Any, Place]]
"""A function that returns a response's schema and its place, which differ between Swagger and
OpenAPI 3."""

_MAX_NAMES = 8
"""Most properties to name: enough to tell an order from an invoice."""

_MAX_TEXT = 120
"""Characters of the longest response description used; longer ones explain how, not what."""

_SUCCESS = re.compile(r"2(\d\d|XX)", re.IGNORECASE)
"""The statuses of successful responses, as documents write them."""

_UNINFORMATIVE = re.compile(
    r"(an? )?(typical |default )?"
    r"(ok|okay|done|success|successful|response|successful response|success response"
    r"|successful operation|successful request|(request )?success(fully)?( processed)?|200( ok)?"
    r"|created|accepted|no content|expected response to a valid request)?[.!]?",
    re.IGNORECASE,
)
"""Descriptions of responses that say no more than that the request succeeded."""


def describe_response(
    raw: dict[str, Any], place: Place, refs: References, schema_of: SchemaOf
) -> str:
    """Describe an operation's first successful response, such as ``list of Order: id, total``.

    Empty if the document does not say, or is invalid here: the tool is usable without.

    Args:
        raw: The operation.
        place: The operation's place.
        refs: The document's references.
        schema_of: Returns a response's schema and its place.
    """
    responses = raw.get("responses")
    if not isinstance(responses, dict):
        return ""
    status = next((key for key in responses if _SUCCESS.fullmatch(key)), "default")
    with suppress(CatalogError):
        response, there = refs.follow(responses.get(status), place / "responses" / status)
        text = plain_text(str(response.get("description") or "")).rstrip(".")
        if _UNINFORMATIVE.fullmatch(text) or len(text) > _MAX_TEXT:
            text = ""
        shape = _describe_schema(*schema_of(response, there), refs)
        return f"{text} ({shape})" if text and shape else text or shape
    return ""


def _describe_schema(schema: Any, place: Place, refs: References) -> str:
    """Return a schema's name, or that of a list's items, and its properties; empty if unknown."""
    if not isinstance(schema, dict):
        return ""
    name = ""
    if isinstance(ref := schema.get("$ref"), str):
        name = refs.lookup(ref, place)[1].name
    elif isinstance(schema.get("title"), str):
        name = plain_text(schema["title"])
    schema, place = refs.follow(schema, place)
    if schema.get("type") == "array" and not name:
        items = _describe_schema(schema.get("items"), place / "items", refs)
        return f"list of {items}" if items else "list"
    names = list(dict.fromkeys(_property_names(schema, place, refs, set())))
    listed = ", ".join(names[:_MAX_NAMES]) + (", ..." if len(names) > _MAX_NAMES else "")
    kind = schema.get("type")
    name = name or (kind if isinstance(kind, str) and kind != "object" else "")
    return ": ".join(part for part in (name, listed) if part)


def _property_names(
    schema: dict[str, Any], place: Place, refs: References, seen: set[Place]
) -> Iterator[str]:
    """Yield the property names of a schema, including those of its ``allOf`` parts."""
    if place in seen:
        return
    seen.add(place)
    parts = schema.get("allOf")
    for index, raw in enumerate(parts if isinstance(parts, list) else ()):
        yield from _property_names(*refs.follow(raw, place / "allOf" / index), refs, seen)
    properties = schema.get("properties")
    yield from properties if isinstance(properties, dict) else ()
