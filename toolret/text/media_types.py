"""Media types, as API documents and servers write them."""

from __future__ import annotations

__all__ = ["ANY", "FORM", "MULTIPART", "essence", "is_json"]

FORM = "application/x-www-form-urlencoded"
"""The media type of a form without files."""

MULTIPART = "multipart/form-data"
"""The media type of a form that may hold files."""

ANY = ("*/*", "application/*", "")
"""Media types of bodies that may be of any type, and so may be sent as JSON."""


def essence(content_type: str) -> str:
    """Return a media type without parameters, in lower case, such as ``text/plain``."""
    return content_type.partition(";")[0].strip().lower()


def is_json(content_type: str) -> bool:
    """Whether a media type is JSON or based on it, such as ``application/hal+json``."""
    return essence(content_type).endswith(("/json", "+json"))
