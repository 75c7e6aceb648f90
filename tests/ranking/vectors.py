"""Random vectors."""

from __future__ import annotations

import numpy as np

from toolret.ranking.arrays import Floats

__all__ = ["unit"]


def unit(count: int, dimensions: int, seed: int = 0) -> Floats:
    """Return random unit vectors."""
    vectors = np.random.default_rng(seed).normal(size=(count, dimensions))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
