"""What a store beyond this machine needs of an engine: documents by name, and one way to be first.

Any key-value store can do that, so can a vector database. Nothing here is listed or searched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Document", "Engine", "Fields", "holds"]

Fields: TypeAlias = Mapping[str, str]
"""What a document holds: flat, as every engine's metadata can be."""


@dataclass(frozen=True, slots=True)
class Document:
    """Something to be stored under a name.

    Attributes:
        name: Unique in an index; written once, except where ``Engine.put`` says otherwise.
        fields: What is to be found again under the name.
        vector: Of a tool or demonstration, shape ``(dimensions,)``; None for bookkeeping.
    """

    name: str
    fields: Fields
    vector: NDArray[np.float32] | None = None


class Engine(Protocol):
    """Documents in another process, by name.

    All methods raise ``StoreError``, take any number of names or documents, and may be called
    from several threads. What one call wrote, the next one of any client reads.
    """

    @property
    def place(self) -> str:
        """The address, for messages and as identity; no secrets."""
        ...

    def get(self, names: Sequence[str], /) -> Mapping[str, Fields]:
        """The documents that are there."""
        ...

    def put(self, documents: Sequence[Document], /) -> None:
        """Store documents, each whole or not at all; one of a known name takes its place."""
        ...

    def create(self, document: Document, /) -> bool:
        """Store a document under a name that has none; of several who try, one is told True.

        Called again with an equal document after a lost reply, it may say True again.
        """
        ...

    def delete(self, names: Sequence[str], /) -> None:
        """Remove documents; names that are not there are passed over."""
        ...


def holds(found: Mapping[str, Fields], document: Document) -> bool:
    """Whether a document is among those found; engines may add fields of their own."""
    return document.fields.items() <= found.get(document.name, {}).items()
