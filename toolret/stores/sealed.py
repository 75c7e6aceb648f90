"""Small files that end with a digest of their content, which reveals damage."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from toolret.errors import StoreError
from toolret.stores.replacing import replacing

__all__ = ["read_sealed", "write_sealed"]


def read_sealed(path: Path) -> bytes | None:
    """Return the bytes that ``write_sealed`` last stored in a file; None if there is no file.

    Raises:
        StoreError: If it cannot be read or is damaged.
    """
    try:
        sealed = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error
    content, _, digest = sealed.rstrip(b"\n").rpartition(b"\n")
    if sha256(content).hexdigest().encode() != digest:
        raise StoreError(f"{path}: is damaged: delete it, and it is made again")
    return content


def write_sealed(path: Path, content: bytes) -> None:
    """Store bytes in a file atomically, with their digest.

    Raises:
        StoreError: If it cannot be written.
    """
    try:
        with replacing(path) as fresh:
            fresh.write_bytes(content + b"\n" + sha256(content).hexdigest().encode() + b"\n")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error}") from error
