"""Models of sentence-transformers, as embedders."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from toolret.embedders.model_files import DEFAULT_MODEL, find_model, hide_progress_bar, model_digest
from toolret.embedders.onnx_cache import is_exported, open_onnx
from toolret.embedders.onnx_models import OnnxModel
from toolret.embedders.unit_vectors import Vectors
from toolret.errors import EmbedderError
from toolret.forking import keep_for_ever, renew_in_children, start_thread
from toolret.options import of_kind, one_of, whole_number

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Backend", "SentenceTransformerEmbedder"]

Backend: TypeAlias = Literal["onnx", "torch"]
"""The library that runs a sentence-transformers model."""


class SentenceTransformerEmbedder:
    """A sentence-transformers model, loaded on first use.

    The default model is looked for in the local hub cache, then in the package of the ``offline``
    extra (whose weights are checked by hash), then on the hub.

    Args:
        model: A name on the hub, or a folder.
        device: ``cpu``, ``cuda`` ...; chosen by sentence-transformers if not given.
        batch_size: The number of texts per forward pass.
        backend: ``onnx`` exports the model once and runs it with onnxruntime, which loads ten times
            faster; where that is impossible, sentence-transformers runs it instead, and the log
            says why. By default ``onnx`` for the default model without a ``device``, otherwise
            ``torch``.

    Raises:
        EmbedderError: If the model cannot be found, its packaged weights are not the published
            ones, there is no such ``backend``, or ``batch_size`` is not 1 or more.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        device: str | None = None,
        batch_size: int = 32,
        backend: Backend | None = None,
    ) -> None:
        give = "a model's name or folder"
        name = str(of_kind("model", model, str | Path, give, error=EmbedderError))
        if backend is not None:
            one_of("backend", backend, get_args(Backend), error=EmbedderError)
        # It is loaded later, and the process may change its directory.
        self._name = str(Path(name).absolute()) if Path(name).is_dir() else name
        self._folder = find_model(self._name)
        self._device = device
        self._batch_size = whole_number("batch_size", batch_size, error=EmbedderError)
        self.backend: Backend = backend or (
            "onnx" if name == DEFAULT_MODEL and device is None else "torch"
        )
        self._model: OnnxModel | SentenceTransformer | None = None
        self._loading = threading.Lock()
        renew_in_children(self)

    def after_fork(self) -> None:
        """Have a forked process load the model anew, as the threads of an open one are not there.

        A model that torch runs cannot be used there in any case: torch has threads of its own.
        """
        self._loading = threading.Lock()
        if isinstance(self._model, OnnxModel):
            keep_for_ever(self._model)
            self._model = None

    @property
    def id(self) -> str:
        """The model's name with a digest of its weights and settings, wherever they were found.

        The backend does not matter either: an exported model is only used if its vectors agree with
        the original's to six digits, better than two versions of torch may agree.
        """
        name = Path(self._name).name if Path(self._name).is_dir() else self._name
        return f"sentence-transformers:{name}@{model_digest(self._name, self._folder)}"

    @property
    def prompts(self) -> dict[str, str]:
        """The prompts in the model's configuration, by their author's names."""
        config = self._folder / "config_sentence_transformers.json"
        if not config.is_file():
            return {}
        prompts = json.loads(config.read_text("utf-8")).get("prompts") or {}
        return {str(name): str(text) for name, text in prompts.items() if text}

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text."""
        vectors: list[list[float]] = self.encode(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of one text."""
        return self.embed_documents([text])[0]

    def encode(self, texts: Sequence[str], *, prompt: str = "") -> Vectors:
        """Return unit vectors of texts, each prefixed with ``prompt``: ``(texts, dimensions)``."""
        if not texts:
            return np.empty((0, 0), dtype=np.float32)
        model = self._load()
        if isinstance(model, OnnxModel):
            return model.encode([prompt + text for text in texts], batch_size=self._batch_size)
        vectors = model.encode(
            list(texts),
            prompt=prompt or None,
            batch_size=self._batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32)

    def prepare(self) -> None:
        """Start loading an exported model in the background."""
        if self._model is None and self.backend == "onnx":
            with suppress(RuntimeError):  # no thread can be started: the first text loads it
                start_thread(self._prepare, "toolret-prepare", daemon=False)

    def _prepare(self) -> None:
        """Load the model if that needs no export."""
        if is_exported(self._folder):
            with suppress(EmbedderError):  # the first text raises it again
                self._load()

    def _load(self) -> OnnxModel | SentenceTransformer:
        """Return the model, loaded by the first call."""
        with self._loading:
            if self._model is None and self.backend == "onnx":
                self._model = open_onnx(self._folder)
            if self._model is None:
                self._model = self._load_with_torch()
            return self._model

    def _load_with_torch(self) -> SentenceTransformer:
        """Return the model as sentence-transformers runs it."""
        from sentence_transformers import SentenceTransformer

        try:
            with hide_progress_bar():
                return SentenceTransformer(
                    str(self._folder), device=self._device, local_files_only=True
                )
        except (OSError, ValueError, RuntimeError) as error:
            raise EmbedderError(
                f"cannot load the embedding model {self._name!r} from {self._folder}: {error}"
            ) from error
