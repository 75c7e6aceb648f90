"""Halves of surrogate pairs, which JSON can carry and neither a file nor a request can hold."""

from __future__ import annotations

__all__ = ["whole"]


def whole(text: str) -> str:
    """A text in which such halves are question marks."""
    return text.encode("utf-8", "replace").decode()
