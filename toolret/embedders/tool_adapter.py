"""A linear adapter of the default embedder, from a tool to where requests for it lie.

Who asks and who describes use different words, and a general model puts a request near other
requests, and a description near other descriptions. ``tool_adapter.npy`` is a matrix that moves a
description's vector to where requests for the tool are. ``scripts/fit_adapter.py`` fitted it on
public demonstrations, for the one model whose digest stands below.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

__all__ = ["ADAPTER_FILE", "adapter_digest", "adapter_of"]

ADAPTER_FILE = "tool_adapter.npy"
"""The file of the matrix in this package: float16, shape ``(dimensions, dimensions)``."""

_MODEL_DIGEST = "@051e2de600e464d2"
"""The end of the id of an embedder that runs the model which the adapter was fitted for."""


def adapter_of(embedder_id: str) -> NDArray[np.float32] | None:
    """Return the adapter of an embedder's vectors of tools; None for all but the default model."""
    return _read_adapter() if embedder_id.endswith(_MODEL_DIGEST) else None


def adapter_digest(adapter: NDArray[np.float32]) -> str:
    """Return a digest of an adapter, part of its vectors' identity: eight hexadecimal digits."""
    return sha256(adapter.tobytes()).hexdigest()[:8]


@cache
def _read_adapter() -> NDArray[np.float32]:
    with files("toolret.embedders").joinpath(ADAPTER_FILE).open("rb") as file:
        matrix: NDArray[np.float32] = np.load(file).astype(np.float32)
    matrix.setflags(write=False)
    return matrix
