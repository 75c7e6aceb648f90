"""Vectors of length one, made of what an embedder gave."""

from __future__ import annotations

import inspect
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolret.errors import EmbedderError

__all__ = ["Vectors", "checked_rows", "unit"]

Vectors: TypeAlias = NDArray[np.float32]
"""Unit vectors, one a row: shape ``(texts, dimensions)``."""


def checked_rows(rows: Any, *, expected: int, embedder: str) -> Vectors:
    """What an embedder gave as vectors, not of length one yet: shape ``(expected, dimensions)``.

    Raises:
        EmbedderError: If there are more or fewer, of different lengths, or not finite; or if they
            are still to be awaited.
        TypeError: If they are no vectors at all; so is ValueError.
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
    with np.errstate(over="ignore"):  # what is too large for it becomes infinite
        vectors = np.asarray(given, dtype=np.float32)
    if vectors.ndim != 2:
        raise EmbedderError(f"embedder {embedder!r} gave no vectors of numbers, one a text")
    if not np.isfinite(vectors).all():
        raise EmbedderError(f"embedder {embedder!r} gave values that are not finite")
    return vectors


def _listed(rows: Any) -> list[Any]:
    return [rows] if inspect.isawaitable(rows) else list(rows)


def unit(vectors: Vectors) -> Vectors:
    """Vectors of the same directions and of length one; zeros stay zeros."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)
