"""Export sentence-transformers models to ONNX: the only step that needs torch, once per model."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolret.embedders.model_files import hide_progress_bar
from toolret.embedders.onnx_models import GRAPH, INPUTS, TOKENIZER, OnnxModel, write_checksums

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

__all__ = ["export"]

_OPSET = 17
"""The version of ONNX's operators, of 2022; onnxruntime has supported it since 1.12."""

_LEAST_COSINE = 0.9999
"""The least cosine of the two runtimes' vectors of a text; in fp32 they agree to six digits."""

_PROBES = (
    "",
    " ",
    "Refund",
    "cancel the order of Mrs. Müller-Lüdenscheidt, and give her the money back",
    "listInvoices(customer_id: int, page=2) -> list of invoices; naïve café, 東京の天気 🙂",
    "Get the weather forecast of a city for up to ten days, by the hour. " * 60,
)
"""Test texts: empty, short, longer than any model's limit, and in several scripts."""


def export(folder: Path, into: Path) -> None:
    """Write a model's graph and tokenizer to a folder.

    Args:
        folder: A sentence-transformers model.
        into: An empty folder.

    Raises:
        Exception: If the model cannot be exported, or the exported one gives other vectors.
    """
    import onnx  # noqa: F401 - torch needs it at the end: fail early without it
    import torch
    from sentence_transformers import SentenceTransformer

    with hide_progress_bar():
        # torch's fused attention has no ONNX counterpart; the eager form computes the same.
        model = SentenceTransformer(
            str(folder),
            device="cpu",
            local_files_only=True,
            model_kwargs={"attn_implementation": "eager", "dtype": torch.float32},
        )
    _write_tokenizer(model, into / TOKENIZER)
    with torch.inference_mode(), warnings.catch_warnings():
        # The tracer's warnings concern what the probes below check, and its own deprecation.
        warnings.simplefilter("ignore")
        _write_graph(model, into / GRAPH)
    write_checksums(into)
    _check_vectors(model, OnnxModel(into))


def _check_vectors(model: SentenceTransformer, exported: OnnxModel) -> None:
    """Raise a ``ValueError`` if an exported model gives other vectors than the original."""
    originals = model.encode(list(_PROBES), normalize_embeddings=True, show_progress_bar=False)
    for batch_size in (1, len(_PROBES)):
        vectors = exported.encode(_PROBES, batch_size=batch_size)
        least = float(np.einsum("ij,ij->i", originals, vectors).min())
        if not least >= _LEAST_COSINE:
            raise ValueError(f"its exported form gives other vectors (cosine {least:.4f})")


def _write_tokenizer(model: SentenceTransformer, path: Path) -> None:
    """Write a model's tokenizer, with the truncation and padding that the model applies."""
    tokenizer = model.tokenizer
    max_length = model.max_seq_length
    if max_length is None:
        raise ValueError("it has no max_seq_length")
    fast = json.loads(tokenizer.backend_tokenizer.to_str())
    fast["truncation"] = {
        "direction": tokenizer.truncation_side.capitalize(),
        "max_length": max_length,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    fast["padding"] = {
        "strategy": "BatchLongest",
        "direction": tokenizer.padding_side.capitalize(),
        "pad_to_multiple_of": None,
        "pad_id": tokenizer.pad_token_id,
        "pad_type_id": tokenizer.pad_token_type_id,
        "pad_token": tokenizer.pad_token,
    }
    path.write_text(json.dumps(fast, ensure_ascii=False), "utf-8")


def _write_graph(model: SentenceTransformer, path: Path) -> None:
    """Write a model as an ONNX graph from tokens to one normalised vector per text."""
    import torch

    features = {
        name: value
        for name, value in model.preprocess(["two texts", "of which one is longer"]).items()
        if isinstance(value, torch.Tensor)
    }
    if unknown := features.keys() - INPUTS.keys():
        raise ValueError(f"it reads {', '.join(sorted(unknown))} besides a text's tokens")
    names = list(features)

    class TextEmbedding(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: torch.Tensor) -> Any:
            return self.model(dict(zip(names, inputs, strict=True)))["sentence_embedding"]

    torch.onnx.export(
        TextEmbedding().eval(),
        tuple(features.values()),
        path,
        input_names=names,
        output_names=["sentence_embedding"],
        dynamic_axes={name: {0: "texts", 1: "tokens"} for name in names}
        | {"sentence_embedding": {0: "texts"}},
        opset_version=_OPSET,
        dynamo=False,  # the newer exporter needs another package
    )
