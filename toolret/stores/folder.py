"""A folder as a store: one SQLite file, and the fit beside it."""

from __future__ import annotations

import os
from pathlib import Path

from toolret.errors import StoreError
from toolret.store import FolderStore

__all__ = ["LocalStore"]


class LocalStore(FolderStore):
    """An index in a folder of this machine.

    Args:
        folder: Made at the first write.
        lock_timeout: Seconds that a writer waits for another one.
    """

    def __init__(self, folder: Path, *, lock_timeout: float) -> None:
        super().__init__(folder, lock_timeout=lock_timeout)
        self.folder = folder

    def load_fit(self) -> bytes | None:
        """The content of ``fit.json``."""
        try:
            return self._fit.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self._fit}: cannot be read: {error}") from error

    def keep_fit(self, fit: bytes) -> None:
        """Write ``fit.json``, whole or not at all."""
        fresh = self._fit.with_suffix(f".{os.getpid()}.tmp")
        try:
            fresh.write_bytes(fit)
            fresh.replace(self._fit)
        except OSError as error:
            raise StoreError(f"{self._fit}: cannot be written: {error}") from error

    @property
    def _fit(self) -> Path:
        return self.folder / "fit.json"
