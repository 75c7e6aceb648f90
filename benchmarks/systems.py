"""The systems that are compared, but for the peers: plain methods, and toolret.

Every system gets the same text of each tool (``toolret.text.rendering.tool_text``) and the same
embedder, and ranks all tools.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import bm25s
import numpy as np
import Stemmer
from numpy.typing import NDArray

from toolret.embedders import Embedder, RoleEmbedder, SentenceTransformerEmbedder
from toolret.evaluation import evaluate
from toolret.index import ToolIndex
from toolret.retrieval.retriever import ToolRetriever
from toolret.rows import LabelledRequest
from toolret.text.rendering import tool_text
from toolret.types import Demo, Tool

__all__ = ["DEPTH", "CachedModel", "Data", "System"]

DEPTH = 10
"""The number of tools that each system is asked for: the measures look no further."""

RRF_OFFSET = 60
"""The constant k of reciprocal rank fusion, as chosen by Cormack et al. (2009)."""

VOTERS = 20
"""The number of nearest demonstrations that vote."""

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]
Runs = Mapping[str, Sequence[str]]
"""Ids of the ranked tools by request id, best first."""


class CachedModel(SentenceTransformerEmbedder):
    """The default embedder with a cache of all vectors, so that each text is embedded once."""

    def __init__(self) -> None:
        super().__init__()
        self._vectors: dict[str, Floats] = {}

    def encode(self, texts: Sequence[str], *, prompt: str = "") -> Floats:
        inputs = [prompt + text for text in texts]
        new = [text for text in dict.fromkeys(inputs) if text not in self._vectors]
        if new:
            self._vectors |= dict(zip(new, super().encode(new), strict=True))
        return np.stack([self._vectors[text] for text in inputs])


@dataclass(frozen=True)
class Data:
    """The data that a system is built on.

    Attributes:
        tools: The tools.
        demos: The demonstrations.
        embedder: The embedder of all texts.
        folder: A folder for systems that keep an index on disk.
        adapter: The matrix that moves toolret's vectors of tools; None for the shipped one.
    """

    tools: Sequence[Tool]
    demos: Sequence[Demo]
    embedder: Embedder
    folder: Path
    adapter: Floats | None = None

    @cached_property
    def ids(self) -> list[str]:
        return [tool.id for tool in self.tools]

    @cached_property
    def texts(self) -> list[str]:
        return [tool_text(tool) for tool in self.tools]

    def vectors(self, texts: list[str]) -> Floats:
        """Return the vectors of texts: shape ``(texts, dimensions)``."""
        return np.asarray(self.embedder.embed_documents(texts), dtype=np.float32)


class System(ABC):
    """One way to rank tools.

    Attributes:
        key: The system's name in options.
        name: The system's name in tables.
        needs_demos: Whether the system can only be built with demonstrations.
        package: The name of the peer's package; empty if the system is no peer.
        data: The data that the system is built on.
    """

    key: ClassVar[str]
    name: ClassVar[str]
    needs_demos: ClassVar[bool] = False
    package: ClassVar[str] = ""

    def __init__(self, data: Data) -> None:
        self.data = data

    @abstractmethod
    def rank(self, text: str) -> list[str]:
        """Return the ids of the best tools for a request, best first."""

    def runs(self, requests: Sequence[LabelledRequest]) -> Runs:
        return {request.id: self.rank(request.text)[:DEPTH] for request in requests}


class Bm25(System):
    key, name = "bm25", "BM25"

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self._stemmer = Stemmer.Stemmer("english")
        self._index = bm25s.BM25()
        self._index.index(self._tokens(data.texts), show_progress=False)

    def _tokens(self, texts: list[str]) -> list[list[str]]:
        tokens: list[list[str]] = bm25s.tokenize(
            texts, stopwords="en", stemmer=self._stemmer, return_ids=False, show_progress=False
        )
        return tokens

    def order(self, text: str) -> Ints:
        """Return the positions of the tools that share a word with the request, best first."""
        tokens = self._tokens([text])[0]
        if not tokens:
            return np.empty(0, dtype=np.intp)
        scores = self._index.get_scores(tokens)
        return np.argsort(-scores, kind="stable")[: np.count_nonzero(scores)]

    def rank(self, text: str) -> list[str]:
        return [self.data.ids[i] for i in self.order(text)[:DEPTH]]


class Dense(System):
    key, name = "dense", "dense"

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self._tools = data.vectors(data.texts)

    def order(self, text: str) -> Ints:
        """Return the positions of all tools, best first."""
        cosines = self._tools @ self.data.vectors([text])[0]
        return np.argsort(-cosines, kind="stable")

    def rank(self, text: str) -> list[str]:
        return [self.data.ids[i] for i in self.order(text)[:DEPTH]]


class Rrf(System):
    key, name = "rrf", "RRF"

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self._bm25, self._dense = Bm25(data), Dense(data)

    def rank(self, text: str) -> list[str]:
        fused = fuse(self._bm25.order(text), self._dense.order(text), tools=len(self.data.tools))
        return [self.data.ids[i] for i in np.argsort(-fused, kind="stable")[:DEPTH]]


def fuse(*orders: Ints, tools: int) -> Floats:
    """Return the scores of tools by reciprocal rank fusion of their orders: shape ``(tools,)``."""
    fused = np.zeros(tools, dtype=np.float32)
    for order in orders:
        fused[order] += 1 / (RRF_OFFSET + np.arange(1, len(order) + 1))
    return fused


class Votes(System):
    key, name, needs_demos = "votes", "votes", True

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self._demos = data.vectors([demo.text for demo in data.demos])

    def rank(self, text: str) -> list[str]:
        cosines = self._demos @ self.data.vectors([text])[0]
        votes: dict[str, float] = {}
        for nearest in np.argsort(-cosines, kind="stable")[:VOTERS]:
            for tool in self.data.demos[nearest].tools:
                votes[tool] = votes.get(tool, 0.0) + float(cosines[nearest])
        return sorted(votes, key=lambda tool: -votes[tool])


class Toolret(System):
    key, name, needs_demos = "toolret", "toolret", True

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        embedder = RoleEmbedder(data.embedder, tool_adapter=data.adapter)
        index = ToolIndex(data.folder / self.key, embedder=embedder)
        index.sync(data.tools, data.demos if self.needs_demos else ())
        self._retriever = ToolRetriever(index)

    def rank(self, text: str) -> list[str]:
        return [hit.tool.id for hit in self._retriever.search(text, k=DEPTH, keep_all=True)]

    def runs(self, requests: Sequence[LabelledRequest]) -> Runs:
        report = evaluate(self._retriever, requests, k=DEPTH, keep_all=True)
        return {id_: [hit.tool.id for hit in hits] for id_, hits in report.runs.items()}


class ToolretTexts(Toolret):
    key, name, needs_demos = "toolret-texts", "toolret, no demonstrations", False
