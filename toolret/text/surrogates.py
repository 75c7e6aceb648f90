"""Lone surrogates, which JSON can carry but which cannot be encoded as UTF-8."""

from __future__ import annotations

__all__ = ["drop_surrogates", "replace_surrogates"]


def drop_surrogates(text: str) -> str:
    """Return a text without its lone surrogates."""
    return text.encode("utf-8", "ignore").decode()


def replace_surrogates(text: str) -> str:
    """Return a text with its lone surrogates replaced by question marks."""
    return text.encode("utf-8", "replace").decode()
