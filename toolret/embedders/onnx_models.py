"""Run sentence-transformers models without torch: exported once to ONNX, run by onnxruntime.

The exported graph is the whole model, including pooling and normalisation, so none of it is
reimplemented here; ``onnx_export`` creates it, and rejects one whose vectors differ.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toolret.embedders.model_files import file_sha256

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["GRAPH", "INPUTS", "TOKENIZER", "OnnxModel", "write_sums"]

GRAPH = "model.onnx"
TOKENIZER = "tokenizer.json"
_SUMS = "sha256.json"
"""Files of an exported folder; padding and truncation are part of the tokenizer file."""

INPUTS = {
    "input_ids": "ids",
    "attention_mask": "attention_mask",
    "token_type_ids": "type_ids",
}
"""Inputs that a graph may have, and the tokenizer's names for them."""


class OnnxModel:
    """An exported model.

    Args:
        folder: Folder written by ``onnx_export.export``.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        from onnxruntime import InferenceSession
        from tokenizers import Tokenizer

        sums = json.loads((folder / _SUMS).read_text("utf-8"))
        for name in (GRAPH, TOKENIZER):
            if file_sha256(folder / name) != sums[name]:
                raise ValueError(f"{folder / name} is damaged")
        self._session: InferenceSession = InferenceSession(
            folder / GRAPH, providers=["CPUExecutionProvider"]
        )
        self._inputs = [found.name for found in self._session.get_inputs()]
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))

    def encode(self, texts: Sequence[str], *, batch_size: int) -> NDArray[np.float32]:
        """Embed texts as unit vectors, shape ``(texts, dimensions)``.

        Args:
            texts: At least one.
            batch_size: Texts per pass; those of similar length are batched to reduce padding.
        """
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        found = np.concatenate([self._run([texts[i] for i in some]) for some in batches])
        vectors = np.empty_like(found)
        vectors[order] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return vectors

    def _run(self, texts: list[str]) -> NDArray[np.float32]:
        encoded = self._tokenizer.encode_batch(texts)
        feed = {
            name: np.array([getattr(each, INPUTS[name]) for each in encoded], dtype=np.int64)
            for name in self._inputs
        }
        found: NDArray[np.float32] = self._session.run(None, feed)[0]
        return found


def write_sums(folder: Path) -> None:
    """Write the files' checksums, so that a damaged model is never run."""
    sums = {name: file_sha256(folder / name) for name in (GRAPH, TOKENIZER)}
    (folder / _SUMS).write_text(json.dumps(sums), "utf-8")
