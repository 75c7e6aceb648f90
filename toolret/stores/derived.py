"""Arrays derived from an index, stored beside it so that the next process need not recompute them.

They are in NumPy's format, with checksums and without pickle. Each file names the digest of the
content that it was derived from; a file with another digest, or a damaged one, is ignored.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from toolret.stores.records import Store
from toolret.stores.replacing import replacing

__all__ = ["Arrays", "derived_path", "nested", "read_arrays", "under", "write_arrays"]

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
"""Arrays of any shape and type, by name."""

_SIGNATURE = "digest"
"""Name of the member that holds a file's signature (see ``_signature``)."""

_log = logging.getLogger(__name__)


def derived_path(store: Store) -> Path:
    """Return the file for what is derived from an index, for the next process on this machine."""
    return store.folder / "derived.npz"


def read_arrays(path: Path, digest: str) -> dict[str, NDArray[Any]] | None:
    """Return the arrays stored under this digest; None if there are none or they are damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            signature = str(stored[_SIGNATURE])
            if not signature.startswith(f"{digest}|"):
                return None
            # Reading a member to its end verifies its checksum, but a member may also be missing.
            arrays = {name: stored[name] for name in stored.files if name != _SIGNATURE}
            if signature != _signature(digest, arrays):
                raise KeyError("some arrays are missing")
            return arrays
    except FileNotFoundError:
        return None
    # RuntimeError: damage made a member look encrypted, or compressed in an unknown way.
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, BadZipFile, zlib.error) as error:
        # For other bytes, NumPy's message explains how to unpickle them, which is bad advice.
        reason = getattr(error, "strerror", None) or "it is damaged"
        _log.warning("%s cannot be read and is made again: %s", path, reason)
        return None


def write_arrays(path: Path, digest: str, arrays: Arrays) -> None:
    """Store arrays if possible; otherwise the next process recomputes them."""
    try:
        with replacing(path) as fresh, fresh.open("wb") as file:
            signature = np.array(_signature(digest, arrays))
            np.savez(file, allow_pickle=False, **{_SIGNATURE: signature, **arrays})
    except OSError as error:
        _log.info("%s cannot be kept: %s", path, error)


def _signature(digest: str, names: Iterable[str]) -> str:
    """Return the digest of a file's source with the names of its arrays."""
    return f"{digest}|{','.join(sorted(names))}"


def nested(**parts: Arrays) -> dict[str, NDArray[Any]]:
    """Merge the arrays of several parts into one mapping, prefixed by the part's name."""
    return {
        f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()
    }


def under(arrays: Arrays, part: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of one part of a mapping made by ``nested``."""
    return {
        name.removeprefix(f"{part}."): array
        for name, array in arrays.items()
        if name.startswith(f"{part}.")
    }
