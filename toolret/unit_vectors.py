"""Vectors of length one, made of what an embedder gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolret.errors import EmbedderError

__all__ = ["Vectors", "unit", "unit_rows"]

Vectors: TypeAlias = NDArray[np.float32]
"""Unit vectors, one a row: shape ``(texts, dimensions)``."""


def unit_rows(rows: Sequence[Sequence[float]], *, expected: int, embedder: str) -> Vectors:
    """The rows as unit vectors: shape ``(expected, dimensions)``.

    Raises:
        EmbedderError: If there are more or fewer, of different lengths, or not finite.
    """
    lengths = {len(row) for row in rows}
    if len(rows) != expected or len(lengths) != 1 or 0 in lengths:
        raise EmbedderError(
            f"embedder {embedder!r} gave {len(rows)} vectors of lengths {sorted(lengths)} "
            f"for {expected} texts"
        )
    vectors = np.asarray(rows, dtype=np.float32)
    if not np.isfinite(vectors).all():
        raise EmbedderError(f"embedder {embedder!r} gave values that are not finite")
    return unit(vectors)


def unit(vectors: Vectors) -> Vectors:
    """Vectors of the same directions and of length one; zeros stay zeros."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)
