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
    from tokenizers import Encoding

__all__ = [
    "GRAPH",
    "INPUTS",
    "PASS_TOKENS",
    "TOKENIZER",
    "OnnxModel",
    "cheapest_batches",
    "write_checksums",
]

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

_PADDING = ("direction", "pad_id", "pad_type_id", "pad_token")
"""What a tokenizer says of the tokens that fill up a batch's shorter texts."""

_TOKENIZED = 1_024
"""The most texts whose tokens are held at once, which bounds the memory."""

PASS_TOKENS = 14
"""What a pass of the default model takes whatever is in it, in tokens: 2 ms on two cores, where
each token takes 0.16."""


class OnnxModel:
    """A sentence-transformers model that was exported to ONNX.

    Args:
        folder: A folder written by ``onnx_export.export``.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer

        sums = json.loads((folder / _CHECKSUMS).read_text("utf-8"))
        for name in (GRAPH, TOKENIZER):
            if file_sha256(folder / name) != sums[name]:
                raise ValueError(f"{folder / name} is damaged")
        options = SessionOptions()
        # By default its threads wait busily for the next text, on cores that others need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: InferenceSession = InferenceSession(
            folder / GRAPH, options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        padding = self._tokenizer.padding or {}
        self._padding = {name: padding[name] for name in _PADDING if name in padding}
        self._tokenizer.no_padding()  # each batch is padded by itself

    def encode(self, texts: Sequence[str], *, batch_size: int) -> NDArray[np.float32]:
        """Return the unit vectors of texts, shape ``(texts, dimensions)``.

        Args:
            texts: The texts, at least one.
            batch_size: The most texts per pass; those of similar length are batched, which reduces
                padding.
        """
        by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        order: list[int] = []
        rows: list[NDArray[np.float32]] = []
        for first in range(0, len(texts), _TOKENIZED):
            part = by_length[first : first + _TOKENIZED]
            encoded = self._tokenizer.encode_batch([texts[i] for i in part])
            tokens = dict(zip(part, encoded, strict=True))
            part.sort(key=lambda i: len(tokens[i].ids))
            batches = cheapest_batches([len(tokens[i].ids) for i in part], most=batch_size)
            rows += [self._run([tokens[i] for i in part[batch]]) for batch in batches]
            order += part
        vectors = np.empty((len(texts), rows[0].shape[1]), dtype=np.float32)
        vectors[order] = unit(np.concatenate(rows))
        return vectors

    def _run(self, batch: Sequence[Encoding]) -> NDArray[np.float32]:
        """Return the graph's vectors of one batch of texts, shape ``(texts, dimensions)``."""
        longest = max(len(text.ids) for text in batch)
        for text in batch:
            text.pad(longest, **self._padding)
        feed = {
            name: np.array([getattr(text, INPUTS[name]) for text in batch], dtype=np.int64)
            for name in self._inputs
        }
        vectors: NDArray[np.float32] = self._session.run(None, feed)[0]
        return vectors


def cheapest_batches(lengths: Sequence[int], *, most: int) -> list[slice]:
    """Divide texts into the batches that take the least time, by dynamic programming.

    In a batch each text takes as long as the longest, since it is padded to that.

    Args:
        lengths: Tokens of the texts, ascending.
        most: The most texts in a batch.
    """
    # For each number of texts from the first on: the least cost, and where the last batch starts.
    least, starts = [0], [0]
    for end, longest in enumerate(lengths, start=1):
        cost, start = min(
            (least[start] + PASS_TOKENS + (end - start) * longest, start)
            for start in range(max(0, end - most), end)
        )
        least.append(cost)
        starts.append(start)
    batches: list[slice] = []
    end = len(lengths)
    while end:
        batches.insert(0, slice(starts[end], end))
        end = starts[end]
    return batches


def write_checksums(folder: Path) -> None:
    """Write the checksums of an exported folder's files, so that a damaged model is never run."""
    sums = {name: file_sha256(folder / name) for name in (GRAPH, TOKENIZER)}
    (folder / _CHECKSUMS).write_text(json.dumps(sums), "utf-8")
