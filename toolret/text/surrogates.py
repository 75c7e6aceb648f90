"""Lone surrogates, which JSON can carry but neither a file nor a request can hold."""

from __future__ import annotations

__all__ = ["whole"]


def whole(text: str) -> str:
    """Replace lone surrogates in a text with question marks."""
    return text.encode("utf-8", "replace").decode()
