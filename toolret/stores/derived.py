"""Arrays derived from an index, stored beside it so that the next process need not recompute them.

They are in NumPy's format, with checksums and without pickle. Each file names the digest of the
content that it was derived from; a file with another digest, or a damaged one, is ignored.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arrays", "nested", "read_arrays", "remove_left", "under", "write_arrays"]

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

_DIGEST = "digest"

_LEFT_SECONDS = 3_600.0
"""Age at which a temporary file's writer is presumed dead; writing one takes seconds."""

_log = logging.getLogger(__name__)


def read_arrays(path: Path, digest: str) -> dict[str, NDArray[Any]] | None:
    """Return the arrays stored under this digest; None if there are none or they are damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            kept = str(stored[_DIGEST])
            if not kept.startswith(f"{digest}|"):
                return None
            # Reading a member to its end verifies its checksum, but a member may also be missing.
            arrays = {name: stored[name] for name in stored.files if name != _DIGEST}
            if kept != _identity(digest, arrays):
                raise KeyError("some arrays are missing")
            return arrays
    except FileNotFoundError:
        return None
    # RuntimeError: damage made a member look encrypted, or compressed in an unknown way.
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, BadZipFile, zlib.error) as error:
        _log.warning("%s cannot be read and is made again: %s", path, error)
        return None


def remove_left(path: Path) -> None:
    """Delete stale temporary files that killed writers left beside a file."""
    for left in path.parent.glob(f"{path.stem}.*.tmp"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
                left.unlink()


def write_arrays(path: Path, digest: str, arrays: Arrays) -> None:
    """Store arrays if possible; otherwise the next process recomputes them."""
    fresh = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with fresh.open("wb") as file:
            identity = np.array(_identity(digest, arrays))
            np.savez(file, allow_pickle=False, **{_DIGEST: identity, **arrays})
        fresh.replace(path)
        remove_left(path)
    except OSError as error:
        with suppress(OSError):  # A read-only file system refuses even if the file is missing.
            fresh.unlink(missing_ok=True)
        _log.info("%s cannot be kept: %s", path, error)


def _identity(digest: str, names: Iterable[str]) -> str:
    return f"{digest}|{','.join(sorted(names))}"


def nested(**parts: Arrays) -> dict[str, NDArray[Any]]:
    """Merge the arrays of several parts into one mapping, prefixed by the part's name."""
    return {
        f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()
    }


def under(arrays: Arrays, part: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of one part: the inverse of ``nested``."""
    return {
        name.removeprefix(f"{part}."): array
        for name, array in arrays.items()
        if name.startswith(f"{part}.")
    }
