"""Suggest a known id for one that is unknown, which is most often a typing error."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean"]


def did_you_mean(unknown: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known id; empty if none is near."""
    near = get_close_matches(unknown, known, n=1, cutoff=0.9)
    return f"; did you mean {near[0]!r}?" if near else ""
