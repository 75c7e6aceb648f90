"""What is derived from an index, kept beside it so that a process need not make it again.

Arrays in NumPy's format, with checksums and without pickle. They belong to one content, whose
digest stands in the file; a file of another content, or a damaged one, is as good as none.
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
"""Age of a new file from which on its writer is taken for dead; to write one takes seconds."""

_log = logging.getLogger(__name__)


def read_arrays(path: Path, digest: str) -> dict[str, NDArray[Any]] | None:
    """The arrays that were written under this digest; None if there are none to be trusted."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            kept = str(stored[_DIGEST])
            if not kept.startswith(f"{digest}|"):
                return None
            # Reading a member to its end compares its checksum; it may also be gone.
            arrays = {name: stored[name] for name in stored.files if name != _DIGEST}
            if kept != _identity(digest, arrays):
                raise KeyError("some arrays are missing")
            return arrays
    except FileNotFoundError:
        return None
    # A RuntimeError if damage makes a member look encrypted, or compressed in an unknown way.
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, BadZipFile, zlib.error) as error:
        _log.warning("%s cannot be read and is made again: %s", path, error)
        return None


def remove_left(path: Path) -> None:
    """Delete what killed writers of a file left beside it: new files that nobody writes."""
    for left in path.parent.glob(f"{path.stem}.*.tmp"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
                left.unlink()


def write_arrays(path: Path, digest: str, arrays: Arrays) -> None:
    """Keep arrays if that can be done; without them, the next process makes them again."""
    fresh = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with fresh.open("wb") as file:
            identity = np.array(_identity(digest, arrays))
            np.savez(file, allow_pickle=False, **{_DIGEST: identity, **arrays})
        fresh.replace(path)
        remove_left(path)
    except OSError as error:
        with suppress(OSError):  # A read-only file system refuses it even where nothing is there.
            fresh.unlink(missing_ok=True)
        _log.info("%s cannot be kept: %s", path, error)


def _identity(digest: str, names: Iterable[str]) -> str:
    return f"{digest}|{','.join(sorted(names))}"


def nested(**parts: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays of several parts in one mapping, each under its part's name."""
    return {
        f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()
    }


def under(arrays: Arrays, part: str) -> dict[str, NDArray[Any]]:
    """The arrays of one part: the inverse of ``nested``."""
    return {
        name.removeprefix(f"{part}."): array
        for name, array in arrays.items()
        if name.startswith(f"{part}.")
    }
