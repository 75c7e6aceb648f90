"""An embedder with an identity, and an instruction for each role that a text can have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from toolret.embedders.instructions import Instructions, Role, instructions_from
from toolret.embedders.model_files import DEFAULT_MODEL
from toolret.embedders.openai_embedder import OpenAIEmbedder
from toolret.embedders.protocols import BatchEmbedder, Embedder
from toolret.embedders.sentence_transformer import SentenceTransformerEmbedder
from toolret.embedders.tool_adapter import adapter_digest, adapter_of
from toolret.embedders.unit_vectors import Vectors, checked_rows, unit
from toolret.errors import EmbedderError, message_of
from toolret.options import of_kind
from toolret.recent import Recent

__all__ = ["RoleEmbedder", "resolve_embedder"]

_REQUESTS_REMEMBERED = 4_096
"""The number of latest requests whose vectors are cached: 6 MB with 384 dimensions."""

_models: WeakValueDictionary[str, SentenceTransformerEmbedder] = WeakValueDictionary()
"""The models that are in use and run by onnxruntime, by their ids: an open one takes 100 MB."""


class RoleEmbedder:
    """An embedder with an identity and an instruction for each role.

    Args:
        embedder: The embedder that turns texts into vectors.
        instructions: The prefix of texts of each role; by default the prompts that a
            sentence-transformers model defines, otherwise none.
        embedder_id: An identity that tells this embedder's vectors from those of others; needed for
            an embedder that does not say which model it uses.
        tool_adapter: A matrix that moves tools' vectors to where requests for them lie, shape
            ``(dimensions, dimensions)``; by default that of
            ``toolret.embedders.tool_adapter`` for the default model, otherwise none.

    Raises:
        EmbedderError: If ``embedder`` does not embed texts or does not say which model it uses, or
            ``instructions`` are of another kind.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        instructions: Instructions | None = None,
        embedder_id: str | None = None,
        tool_adapter: Vectors | None = None,
    ) -> None:
        give = "an object with embed_documents and embed_query"
        of_kind("embedder", embedder, Embedder, give, error=EmbedderError)
        give = "toolret.Instructions(...)"
        of_kind("instructions", instructions, Instructions | None, give, error=EmbedderError)
        self.embedder = embedder
        self.id = embedder_id or _identify(embedder)
        self._request_vectors: Recent[tuple[str, str], Vectors] = Recent(_REQUESTS_REMEMBERED)
        self.instructions = instructions or _own_instructions(embedder)
        self._adapter = adapter_of(self.id) if tool_adapter is None else tool_adapter
        self._adapter_suffix = "" if self._adapter is None else f"|{adapter_digest(self._adapter)}"
        self._dimensions = 0

    def prepare(self) -> None:
        """Start loading in the background what the first text needs, where that is cheap."""
        if isinstance(self.embedder, SentenceTransformerEmbedder):
            self.embedder.prepare()

    def space(self, role: Role) -> str:
        """Return the identity of a role's vectors; an index holds one identity of each role."""
        return f"{self.id}|{self.instructions.of(role)}" + (
            self._adapter_suffix if role == "tool" else ""
        )

    @property
    def dimensions(self) -> int:
        """The length of a vector; a word is embedded to find it if nothing was embedded yet."""
        return self._dimensions or self.embed(["a"], "demo").shape[1]

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        """Return unit vectors of texts in one role: shape ``(texts, dimensions)``, float32.

        Raises:
            EmbedderError: If the embedder fails, or returns a wrong number of vectors, vectors of
                another length than before, or values that are not finite; or if the adapter's shape
                does not fit.
        """
        if not texts:
            return np.empty((0, 0), dtype=np.float32)
        instruction = self.instructions.of(role)
        if role in ("tool", "demo"):
            vectors = self._embed(texts, instruction, documents=True)
            return self._adapt(vectors) if role == "tool" else vectors
        prompted = [(instruction, text) for text in texts]
        cached = ((key, self._request_vectors.get(key)) for key in prompted)
        known = {key: vector for key, vector in cached if vector is not None}
        if missing := [key for key in dict.fromkeys(prompted) if key not in known]:
            vectors = self._embed([text for _, text in missing], instruction, documents=False)
            for key, vector in zip(missing, vectors, strict=True):
                known[key] = vector
                self._request_vectors.put(key, vector)
        return np.stack([known[key] for key in prompted])

    def _adapt(self, vectors: Vectors) -> Vectors:
        """Return tools' vectors moved by the adapter, if there is one."""
        if self._adapter is None:
            return vectors
        if self._adapter.shape != (vectors.shape[1],) * 2:
            raise EmbedderError(
                f"the adapter has the shape {self._adapter.shape}, but vectors of {self.id!r} "
                f"have {vectors.shape[1]} dimensions"
            )
        return unit(vectors @ self._adapter)

    def _embed(self, texts: Sequence[str], instruction: str, *, documents: bool) -> Vectors:
        """Return unit vectors of texts; whatever goes wrong is raised as an EmbedderError."""
        try:
            rows = self._raw_vectors(texts, instruction, documents=documents)
            vectors = checked_rows(rows, expected=len(texts), embedder=self.id)
        except EmbedderError:
            raise
        except Exception as error:
            # Third-party code and networks can raise anything.
            raise EmbedderError(
                f"the embedder {self.id!r} failed: {type(error).__name__}: {message_of(error)}"
            ) from error
        self._dimensions = self._dimensions or vectors.shape[1]
        if vectors.shape[1] != self._dimensions:
            raise EmbedderError(
                f"embedder {self.id!r} gave vectors of {vectors.shape[1]} values, and of "
                f"{self._dimensions} before: texts of all roles need vectors of one length"
            )
        return vectors if isinstance(self.embedder, SentenceTransformerEmbedder) else unit(vectors)

    def _raw_vectors(self, texts: Sequence[str], instruction: str, *, documents: bool) -> Any:
        """Return the embedder's raw output, whatever its type."""
        if isinstance(self.embedder, SentenceTransformerEmbedder):
            return self.embedder.encode(texts, prompt=instruction)
        prompted = [instruction + text for text in texts]
        if documents:
            return self.embedder.embed_documents(prompted)
        if isinstance(self.embedder, BatchEmbedder):
            return self.embedder.embed_queries(prompted)
        return [self.embedder.embed_query(text) for text in prompted]


def resolve_embedder(
    embedder: str | Path | Embedder | RoleEmbedder | None = None,
    *,
    instructions: Instructions | None = None,
) -> RoleEmbedder:
    """Return the embedder for a name, a folder, an object, or None (the default model).

    A model that onnxruntime runs is opened once in a process, however often it is named.

    Args:
        embedder: ``openai:NAME``, a sentence-transformers name or folder (``onnx:NAME`` to run it
            with onnxruntime), or an object with ``embed_documents`` and ``embed_query``.
        instructions: The prefix of texts of each role; a ``RoleEmbedder`` has its own.

    Raises:
        EmbedderError: If ``embedder`` is none of these, the model cannot be found, or
            ``instructions`` differ from those of a ``RoleEmbedder``.
    """
    if isinstance(embedder, RoleEmbedder):
        if instructions not in (None, embedder.instructions):
            raise EmbedderError(
                "a RoleEmbedder has instructions of its own: give it these when it is made"
            )
        return embedder
    if embedder is None or isinstance(embedder, (str, Path)):
        name = str(embedder or DEFAULT_MODEL)
        model: Embedder
        if name.startswith("openai:"):
            model = OpenAIEmbedder(name.removeprefix("openai:"))
        elif name.startswith("onnx:"):
            model = _share_open_model(
                SentenceTransformerEmbedder(name.removeprefix("onnx:"), backend="onnx")
            )
        else:
            model = _share_open_model(SentenceTransformerEmbedder(name))
        return RoleEmbedder(model, instructions=instructions)
    if not isinstance(embedder, Embedder):
        raise EmbedderError(
            f"{embedder!r} is no embedder: give a model's name, a folder, or an object with "
            "embed_documents and embed_query"
        )
    return RoleEmbedder(embedder, instructions=instructions)


def _share_open_model(model: SentenceTransformerEmbedder) -> SentenceTransformerEmbedder:
    """Return the embedder of the same model that is in use already; if there is none, this one.

    A model that torch runs is not shared: its tokenizer must not be used by several threads.
    """
    return _models.setdefault(model.id, model) if model.backend == "onnx" else model


def _identify(embedder: Embedder) -> str:
    """Return the embedder's own id, or its class with the model that its attributes name."""
    own = getattr(embedder, "id", None)
    if isinstance(own, str):
        return own
    kind = type(embedder)
    described = [
        f"{attribute}={value}"
        for attribute in ("model", "model_name", "model_id", "repo_id", "deployment", "dimensions")
        if isinstance(value := getattr(embedder, attribute, None), (str, int)) and value
    ]
    if not described:
        raise EmbedderError(
            f"{kind.__name__} does not say which model it uses, so its vectors could not be told "
            "from another's: pass RoleEmbedder(embedder, embedder_id='...')"
        )
    return f"{kind.__module__}.{kind.__qualname__}({', '.join(described)})"


def _own_instructions(embedder: Embedder) -> Instructions:
    """Return the instructions that an embedder's model defines; empty ones for other embedders."""
    if isinstance(embedder, SentenceTransformerEmbedder):
        return instructions_from(embedder.prompts)
    return Instructions()
