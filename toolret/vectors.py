"""The identity of a vector, and how one is kept as bytes that tell when they are damaged."""

from __future__ import annotations

import zlib
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

__all__ = ["BYTES", "checksum", "pack", "unpack", "vector_key"]

BYTES = 4
"""Of a packed value."""


def vector_key(space: str, text: str) -> str:
    """The identity of a vector: whose it is (embedder, instruction, renderer) and of what text."""
    return sha256(f"{space}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()


def pack(vector: NDArray[np.float32]) -> bytes:
    """A vector as little-endian 32-bit floats: the same on every machine."""
    return vector.astype("<f4").tobytes()


def checksum(key: str, packed: bytes) -> int:
    """The CRC-32 of a packed vector and its key, so that one never stands for another."""
    return zlib.crc32(packed, zlib.crc32(key.encode()))


def unpack(packed: bytes) -> NDArray[np.float32]:
    """The inverse of ``pack``: shape ``(dimensions,)``."""
    return np.frombuffer(packed, dtype="<f4")
