"""Media types, as API documents and servers write them."""

from __future__ import annotations

__all__ = ["essence", "is_json"]


def essence(content_type: str) -> str:
    """Without parameters, such as ``text/plain``."""
    return content_type.partition(";")[0].strip().lower()


def is_json(content_type: str) -> bool:
    """Whether it is JSON or one of the types that are written so."""
    return essence(content_type).endswith(("/json", "+json"))
