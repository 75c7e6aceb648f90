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
from toolret.embedders.unit_vectors import unit

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["GRAPH", "INPUTS", "TOKENIZER", "OnnxModel", "write_checksums"]

GRAPH = "model.onnx"
"""The file of an exported folder that holds the graph with its weights."""

TOKENIZER = "tokenizer.json"
"""The file that holds the tokenizer, including padding and truncation."""

_CHECKSUMS = "sha256.json"
"""The file that holds the SHA-256 of the other two."""

INPUTS = {
    "input_ids": "ids",
    "attention_mask": "attention_mask",
    "token_type_ids": "type_ids",
}
"""The inputs that a graph may have, with the tokenizer's names for them."""


class OnnxModel:
    """A sentence-transformers model that was exported to ONNX.

    Args:
        folder: A folder written by ``onnx_export.export``.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        from onnxruntime import InferenceSession
        from tokenizers import Tokenizer

        sums = json.loads((folder / _CHECKSUMS).read_text("utf-8"))
        for name in (GRAPH, TOKENIZER):
            if file_sha256(folder / name) != sums[name]:
                raise ValueError(f"{folder / name} is damaged")
        self._session: InferenceSession = InferenceSession(
            folder / GRAPH, providers=["CPUExecutionProvider"]
        )
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))

    def encode(self, texts: Sequence[str], *, batch_size: int) -> NDArray[np.float32]:
        """Return the unit vectors of texts, shape ``(texts, dimensions)``.

        Args:
            texts: The texts, at least one.
            batch_size: The number of texts per pass; those of similar length are batched, which
                reduces padding.
        """
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        ordered = np.concatenate([self._run([texts[i] for i in batch]) for batch in batches])
        vectors = np.empty_like(ordered)
        vectors[order] = unit(ordered)
        return vectors

    def _run(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the graph's vectors of one batch of texts, shape ``(texts, dimensions)``."""
        encoded = self._tokenizer.encode_batch(texts)
        feed = {
            name: np.array([getattr(text, INPUTS[name]) for text in encoded], dtype=np.int64)
            for name in self._inputs
        }
        vectors: NDArray[np.float32] = self._session.run(None, feed)[0]
        return vectors


def write_checksums(folder: Path) -> None:
    """Write the checksums of an exported folder's files, so that a damaged model is never run."""
    sums = {name: file_sha256(folder / name) for name in (GRAPH, TOKENIZER)}
    (folder / _CHECKSUMS).write_text(json.dumps(sums), "utf-8")
