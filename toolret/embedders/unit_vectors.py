"""Check an embedder's output and scale it to unit vectors."""

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
        EmbedderError: If their number is wrong, their lengths differ, a value is not finite, or
            they are awaitables.
        TypeError, ValueError: If they are not vectors at all.
    """
    given = rows if isinstance(rows, np.ndarray) else _listed(rows)
    if any(map(inspect.isawaitable, given)):
        for coroutine in filter(inspect.iscoroutine, given):
            coroutine.close()
        raise EmbedderError(
            f"embedder {embedder!r} is asynchronous: give one whose methods return vectors"
        )
    lengths = {len(row) for row in given}
    if len(given) != expected or len(lengths) != 1 or 0 in lengths:
        raise EmbedderError(
            f"embedder {embedder!r} gave {len(given)} vectors of lengths {sorted(lengths)} "
            f"for {expected} texts"
        )
    with np.errstate(over="ignore"):  # values too large for float32 become infinite
        vectors = np.asarray(given, dtype=np.float32)
    if vectors.ndim != 2:
        raise EmbedderError(f"embedder {embedder!r} gave no vectors of numbers, one a text")
    if not np.isfinite(vectors).all():
        raise EmbedderError(f"embedder {embedder!r} gave values that are not finite")
    return vectors


def _listed(rows: Any) -> list[Any]:
    return [rows] if inspect.isawaitable(rows) else list(rows)


def unit(vectors: Vectors) -> Vectors:
    """Scale vectors to unit length; zeros stay zeros."""
    # By powers of two first, which changes no digit: squares of very large or small numbers are
    # beyond what 32 bits hold.
    _, exponents = np.frexp(np.abs(vectors).max(axis=1, keepdims=True, initial=0))
    scaled = np.ldexp(vectors, -exponents)
    norms = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.asarray(scaled / np.where(norms > 0, norms, 1), dtype=np.float32)
