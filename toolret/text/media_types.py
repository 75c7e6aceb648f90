"""Media types, as API documents and servers write them."""

from __future__ import annotations

__all__ = ["essence", "is_json"]


def essence(content_type: str) -> str:
    """Return a media type without parameters, in lower case, such as ``text/plain``."""
    return content_type.partition(";")[0].strip().lower()


def is_json(content_type: str) -> bool:
    """Whether a media type is JSON or based on it, such as ``application/hal+json``."""
    return essence(content_type).endswith(("/json", "+json"))
