"""OpenAI's embedding models, as an embedder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolret.errors import EmbedderError
from toolret.options import whole_number
from toolret.tokens import request_batches

if TYPE_CHECKING:
    from openai import OpenAI

__all__ = ["OpenAIEmbedder"]

_REQUEST_LIMITS = {"longest": 8_000, "most": 2_048, "together": 250_000}
"""Limits of a request: the most tokens of a text, the most texts, and the most tokens of all texts.
OpenAI's API takes 8,192, 2,048 and 300,000; the margin is for estimates that are a little low."""


class OpenAIEmbedder:
    """An embedding model behind OpenAI's API.

    Args:
        model: The model's name, such as ``text-embedding-3-small``.
        client: An ``openai.OpenAI``; made from the environment if not given.
        dimensions: Shortens the vectors, if the model supports it.

    Raises:
        EmbedderError: If the model has no name, ``client`` is of another kind, such as an
            ``AsyncOpenAI``, or ``dimensions`` is not 1 or more.
    """

    def __init__(
        self, model: str, *, client: OpenAI | None = None, dimensions: int | None = None
    ) -> None:
        if not isinstance(model, str) or not model:
            raise EmbedderError(f"model is {model!r}: give a name, such as text-embedding-3-small")
        if client is not None and not _is_usable(client):
            # The value is not shown: it may be a key.
            raise EmbedderError(f"client is of the type {type(client).__name__}: give an OpenAI")
        if dimensions is not None:
            dimensions = whole_number("dimensions", dimensions, error=EmbedderError)
        self._model = model
        self._client = client
        self._dimensions = dimensions

    @property
    def id(self) -> str:
        """The model's name, and the number of dimensions if it was chosen."""
        return f"openai:{self._model}" + (f"/{self._dimensions}" if self._dimensions else "")

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text; only the first 8,000 tokens of a text are sent.

        Raises:
            EmbedderError: If the API refuses or cannot be reached.
        """
        from openai import OpenAI, OpenAIError, omit

        vectors: list[list[float]] = []
        try:
            if self._client is None:
                self._client = OpenAI()
            for batch in request_batches(texts, **_REQUEST_LIMITS, encoding="cl100k_base"):
                reply = self._client.embeddings.create(
                    model=self._model, input=batch, dimensions=self._dimensions or omit
                )
                data = sorted(reply.data, key=lambda item: item.index)
                vectors += [item.embedding for item in data]
        except OpenAIError as error:
            raise EmbedderError(f"OpenAI embeddings {self._model!r} failed: {error}") from error
        return vectors

    def embed_queries(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text, as ``embed_documents``: to the API, both are just texts."""
        return self.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of one text."""
        return self.embed_documents([text])[0]


def _is_usable(client: Any) -> bool:
    """Whether a client makes embeddings, and is not the asynchronous one."""
    from toolret.llm.kinds import is_instance_of  # imports the whole package, which takes time

    return hasattr(client, "embeddings") and not is_instance_of(client, "openai", "AsyncOpenAI")
