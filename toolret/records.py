"""What a store keeps, and what an index asks of one.

A store holds one record a tool or demonstration, in collections of complete syncs. That it is a
folder, a server or somebody else's vector store, the index does not know.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Contents", "KeptVectors", "Kind", "Record", "Store", "StoreWriter"]

Kind: TypeAlias = Literal["tools", "demos"]
"""The two collections of an index."""


@dataclass(frozen=True, slots=True)
class Record:
    """One stored item.

    Attributes:
        key: Digest of all that the record depends on; its id in the store.
        id: Id of the tool or demonstration.
        row: The item as one line of JSON.
        vector_key: Where its vector is in the cache.
    """

    key: str
    id: str
    row: str
    vector_key: str


@dataclass(frozen=True, slots=True)
class Contents:
    """One collection as of its latest complete sync.

    Attributes:
        generation: How many syncs were completed; 0 for a collection that has had none.
        changes: How many records all of them together added or removed.
        space: The identity of its vectors; empty where there are none.
        records: By key.
    """

    generation: int = 0
    changes: int = 0
    space: str = ""
    records: Mapping[str, Record] = field(default_factory=dict)


class KeptVectors(Protocol):
    """Vectors on this machine, by the identity of what they are vectors of."""

    def get(self, keys: Sequence[str], /) -> Mapping[str, NDArray[np.float32]]:
        """The vectors that are there, by key; each of shape ``(dimensions,)``."""
        ...

    def put(self, vectors: Mapping[str, NDArray[np.float32]], /) -> None:
        """Keep vectors; after this returns they survive a kill."""
        ...


class StoreWriter(Protocol):
    """One change of one collection."""

    @property
    def live(self) -> Mapping[str, Record]:
        """What readers see, by key."""
        ...

    @property
    def stored(self) -> Collection[str]:
        """Keys of records that need not be added."""
        ...

    def add(self, records: Sequence[Record], vectors: Sequence[NDArray[np.float32]], /) -> None:
        """Store records, unseen until ``publish``."""
        ...

    def publish(self, keep: Collection[str], /) -> None:
        """Make exactly the records with these keys what readers see, in one step."""
        ...


class Store(Protocol):
    """Where an index is kept.

    All methods raise ``StoreError`` where the place cannot be read or written. They may be called
    from several threads.
    """

    @property
    def place(self) -> str:
        """The folder or address, for messages; no secrets."""
        ...

    def exists(self) -> bool:
        """Whether an index was ever written here."""
        ...

    def check_new(self) -> None:
        """Raise ``StoreError`` if there is no index, and none should be made here."""
        ...

    def heal(self) -> None:
        """Put in order what a killed writer left, if that has to be done before reading."""
        ...

    def vectors(self, kind: Kind, /) -> KeptVectors:
        """The vectors of a collection, as far as they are on this machine."""
        ...

    def read(self, kind: Kind, /) -> Contents:
        """A collection as of its latest complete sync; the same object while that is the latest."""
        ...

    def write(self, kind: Kind, /, *, space: str) -> AbstractContextManager[StoreWriter]:
        """Change a collection; nothing is visible to readers before ``StoreWriter.publish``.

        Raises:
            StoreLockedError: If another writer kept the collection for too long, or was faster.
        """
        ...

    def load_fit(self) -> bytes | None:
        """What ``keep_fit`` kept last, or None."""
        ...

    def keep_fit(self, fit: bytes, /) -> None:
        """Keep what was learnt from the demonstrations, for all who read this index."""
        ...
