"""Check the output of embedders and scale it to unit vectors."""

from __future__ import annotations

import inspect
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolret.errors import EmbedderError

__all__ = ["Vectors", "checked_rows", "unit"]

Vectors: TypeAlias = NDArray[np.float32]
"""Unit vectors, one per row: shape ``(texts, dimensions)``."""


def checked_rows(rows: Any, *, expected: int, embedder: str) -> Vectors:
    """Return an embedder's output as an array, not yet scaled: shape ``(expected, dimensions)``.

    Raises:
        EmbedderError: If the number of vectors is wrong, their lengths differ, a value is not
            finite, or they are awaitables.
        TypeError, ValueError: If the output is not vectors at all.
    """
    rows = rows if isinstance(rows, np.ndarray) else _as_list(rows)
    if any(map(inspect.isawaitable, rows)):
        for coroutine in filter(inspect.iscoroutine, rows):
            coroutine.close()
        raise EmbedderError(
            f"embedder {embedder!r} is asynchronous: give one whose methods return vectors"
        )
    lengths = {len(row) for row in rows}
    if len(rows) != expected or len(lengths) != 1 or 0 in lengths:
        raise EmbedderError(
            f"embedder {embedder!r} gave {len(rows)} vectors of lengths {sorted(lengths)} "
            f"for {expected} texts"
        )
    with np.errstate(over="ignore"):  # values too large for float32 become infinite
        vectors = np.asarray(rows, dtype=np.float32)
    if vectors.ndim != 2:
        raise EmbedderError(f"embedder {embedder!r} gave no vectors of numbers, one a text")
    if not np.isfinite(vectors).all():
        raise EmbedderError(f"embedder {embedder!r} gave values that are not finite")
    return vectors


def _as_list(rows: Any) -> list[Any]:
    """Return an embedder's output as a list; an awaitable becomes its only element."""
    return [rows] if inspect.isawaitable(rows) else list(rows)


def unit(vectors: Vectors) -> Vectors:
    """Return vectors scaled to unit length; zeros stay zeros."""
    # Scaling by powers of two first changes no digit, and is needed because the squares of very
    # large or very small numbers are beyond what 32 bits hold.
    _, exponents = np.frexp(np.abs(vectors).max(axis=1, keepdims=True, initial=0))
    scaled = np.ldexp(vectors, -exponents)
    norms = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.asarray(scaled / np.where(norms > 0, norms, 1), dtype=np.float32)
