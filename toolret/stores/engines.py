"""The interface of a remote store's engine: documents by name, and an atomic create.

Any key-value store or vector database can provide it. Nothing is ever listed or searched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["RECORDS_PER_CALL", "Document", "Engine", "Fields", "batches", "holds"]

_T = TypeVar("_T")

RECORDS_PER_CALL = 500
"""Records in one call of an engine: with their vectors a few megabytes."""

Fields: TypeAlias = Mapping[str, str]
"""A document's content: flat, so that any engine can store it as metadata."""


@dataclass(frozen=True, slots=True)
class Document:
    """Something stored under a name.

    Attributes:
        name: Unique within an index; ``Engine.put`` may overwrite it.
        fields: The content.
        vector: Vector of a tool or demonstration, shape ``(dimensions,)``; None for bookkeeping.
    """

    name: str
    fields: Fields
    vector: NDArray[np.float32] | None = None


class Engine(Protocol):
    """Remote documents by name.

    All methods raise ``StoreError``, accept any number of names or documents, and are thread-safe.
    A completed write is visible to the next read of any client.
    """

    @property
    def place(self) -> str:
        """The address, for messages and as identity; contains no secrets."""
        ...

    def get(self, names: Sequence[str], /) -> Mapping[str, Fields]:
        """Return the documents that exist."""
        ...

    def present(self, names: Sequence[str], /) -> Collection[str]:
        """Return which of these documents exist, without those that are seen to be damaged."""
        ...

    def put(self, documents: Sequence[Document], /) -> None:
        """Store documents, each atomically, replacing those of the same name."""
        ...

    def create(self, document: Document, /) -> bool:
        """Store a document if its name is free; of several concurrent callers, one gets True.

        Called again with an equal document after a lost reply, it may return True again.
        """
        ...

    def delete(self, names: Sequence[str], /) -> None:
        """Remove documents; unknown names are ignored."""
        ...


def holds(stored: Mapping[str, Fields], document: Document) -> bool:
    """Whether stored documents include this one; engines may add fields of their own."""
    return document.fields.items() <= stored.get(document.name, {}).items()


def batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Yield a sequence in parts of ``size`` items; nothing if it is empty."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
