"""Vector keys, and vectors packed as bytes with a checksum against damage."""

from __future__ import annotations

import zlib
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

__all__ = ["BYTES", "checksum", "pack", "unpack", "vector_key"]

BYTES = 4
"""Bytes per component of a packed vector: a 32-bit float."""


def vector_key(space: str, text: str) -> str:
    """Return a vector's key, a hash of its space (embedder, instruction, renderer) and text."""
    return sha256(f"{space}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()


def pack(vector: NDArray[np.float32]) -> bytes:
    """Pack a vector as little-endian 32-bit floats: the same on every machine."""
    return vector.astype("<f4").tobytes()


def checksum(key: str, packed: bytes) -> int:
    """Return the CRC-32 of a packed vector with its key, which detects swapped vectors."""
    return zlib.crc32(packed, zlib.crc32(key.encode()))


def unpack(packed: bytes) -> NDArray[np.float32]:
    """Unpack a vector: the inverse of ``pack``, shape ``(dimensions,)``."""
    return np.frombuffer(packed, dtype="<f4")
