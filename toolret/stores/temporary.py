"""Store an index in a temporary folder, for as long as the index is used."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import mkdtemp
from weakref import finalize

from toolret.errors import StoreError
from toolret.stores.folder import FolderStore
from toolret.stores.locks import LOCK_SECONDS, checked_seconds

__all__ = ["temporary_store"]


def temporary_store(*, lock_timeout: float = LOCK_SECONDS) -> FolderStore:
    """Return a store in a new folder, which is removed with the store or when the process ends.

    Args:
        lock_timeout: Seconds to wait while another thread or process writes.

    Raises:
        StoreError: If no temporary folder can be made.
    """
    checked_seconds(lock_timeout)  # before there is a folder that nothing would remove
    try:
        folder = mkdtemp(prefix="toolret-")
    except OSError as error:
        raise StoreError(f"no folder can be made for an index that is not kept: {error}") from error
    store = FolderStore(Path(folder), lock_timeout=lock_timeout)
    finalize(store, _remove, folder, os.getpid())
    return store


def _remove(folder: str, maker: int) -> None:
    """Remove a folder in the process that made it: a forked one may end before its parent."""
    if os.getpid() == maker:
        shutil.rmtree(folder, ignore_errors=True)
