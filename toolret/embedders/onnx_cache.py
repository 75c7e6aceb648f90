"""Keep exported models in the user's cache, so that each is exported once.

They are not kept beside an index: its folder may be read-only, and many indexes share a model.
"""

from __future__ import annotations

import logging
import os
import shutil
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

from toolret.embedders.model_files import weights_digest
from toolret.embedders.onnx_export import export
from toolret.embedders.onnx_models import OnnxModel

__all__ = ["is_exported", "open_onnx"]

_log = logging.getLogger(__name__)

_FORMAT = 1
"""Version of the format of an exported folder: raise it when older folders must not be read."""

_CONFIGURATION = ("*.json", "*.txt", "*.model")
"""Patterns of files that define a model besides its weights: tokenizer, pooling, lengths."""


def is_exported(folder: Path) -> bool:
    """Whether a sentence-transformers model has already been exported, and may be read."""
    return os.access(_kept_folder(folder), os.R_OK)


def open_onnx(folder: Path) -> OnnxModel | None:
    """Open a sentence-transformers model with onnxruntime, exporting it if necessary.

    Returns:
        The model; None, with a log message, if it cannot be exported with identical vectors: then
        sentence-transformers has to run it.
    """
    kept = _kept_folder(folder)
    try:
        return OnnxModel(kept)
    except FileNotFoundError:
        pass
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no class of their own
        _log.warning("%s cannot be read and is exported again: %s", kept, error)
    return _export(folder, kept)


def _export(folder: Path, kept: Path) -> OnnxModel | None:
    """Export the model of ``folder`` to ``kept`` and open it; None if that is not possible."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(mkdtemp(dir=kept.parent, prefix="fresh-"))
    except OSError as error:
        _log.warning(
            "%s cannot be written (%s), so every process loads %s by sentence-transformers, which "
            "takes seconds: set HF_ASSETS_CACHE to a folder that can",
            kept.parent,
            error,
            folder,
        )
        return None
    try:
        export(folder, fresh)
        _replace(fresh, kept)
        return OnnxModel(kept)
    except Exception as error:  # noqa: BLE001 - whatever torch cannot export, the model still runs
        _log.warning("%s is run by sentence-transformers, not by onnxruntime: %s", folder, error)
        return None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _replace(fresh: Path, kept: Path) -> None:
    """Put the new folder in the place of the old one, unless another process just did so."""
    for _ in range(2):
        try:
            fresh.rename(kept)
            return
        except OSError:
            try:
                OnnxModel(kept)
                return
            except Exception:  # noqa: BLE001 - as in open_onnx
                shutil.rmtree(kept, ignore_errors=True)


def _kept_folder(folder: Path) -> Path:
    """Return the folder for a model's export; its name depends on all files of the model."""
    from huggingface_hub import constants

    digest = sha256(f"{_FORMAT}|{weights_digest(folder)}".encode())
    for pattern in _CONFIGURATION:
        for path in sorted(folder.rglob(pattern)):
            digest.update(f"|{path.relative_to(folder).as_posix()}|".encode())
            digest.update(path.read_bytes())
    return Path(constants.HF_ASSETS_CACHE) / "toolret" / "onnx" / digest.hexdigest()[:16]
