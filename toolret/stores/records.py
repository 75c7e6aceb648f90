"""The data that a store keeps, and the interface that an index requires of it.

A store holds one record per tool or demonstration, in collections that change by complete syncs.
The index does not know whether it is a folder, a server or somebody else's vector store.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "KINDS",
    "Contents",
    "Generation",
    "Kind",
    "Record",
    "Store",
    "StoreWriter",
    "TextVectors",
    "any_synced",
    "record_key",
]

Kind: TypeAlias = Literal["tools", "demos"]
"""The two collections of an index."""

KINDS: Final[tuple[Kind, ...]] = ("tools", "demos")
"""Both collections, in the order in which they are stored and read."""

Generation: TypeAlias = tuple[int, str]
"""Number of syncs that changed a collection, and a digest of its content. The number alone does not
identify the content: it starts again if an index is rebuilt or restored from a copy."""


def any_synced(generations: Sequence[Generation]) -> bool:
    """Whether any collection was ever synced: where there is no index, all numbers are 0."""
    return any(number for number, _ in generations)


class Record(NamedTuple):
    """One stored item; a tuple because opening an index creates one per item.

    Attributes:
        key: Digest of everything the record depends on; its id in the store.
        id: Id of the tool or demonstration.
        row: The item as one line of JSON.
        vector_key: Key of its vector.
    """

    key: str
    id: str
    row: str
    vector_key: str


def record_key(vector_key: str, row: str) -> str:
    """Return the key of a record: a digest of everything that it depends on."""
    return sha256(f"{vector_key}\0{row}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Contents:
    """One collection as of its latest complete sync.

    Attributes:
        generation: Number of syncs that changed it; 0 before the first.
        digest: Digest of its content after the last of them; empty before the first.
        changes: Total number of records that these syncs added or removed.
        space: Identity of its vectors; empty if there are none.
        records: Records by key, ordered by id.
        texts: The embedded text of each record, in the same order; None if it is lost.
        vectors: Its vectors, shape ``(records, dimensions)``; zeros where the text is lost, empty
            if all are.
    """

    generation: int = 0
    digest: str = ""
    changes: int = 0
    space: str = ""
    records: Mapping[str, Record] = field(default_factory=dict)
    texts: Sequence[str | None] = ()
    vectors: NDArray[np.float32] = field(
        default_factory=lambda: np.empty((0, 0), dtype=np.float32), compare=False
    )


TextVectors: TypeAlias = Mapping[str, tuple[str, NDArray[np.float32]]]
"""Texts and their vectors, shape ``(dimensions,)``, by vector key."""


class StoreWriter(Protocol):
    """A change to one collection."""

    @property
    def space(self) -> str:
        """Identity of the vectors to be added."""
        ...

    @property
    def live(self) -> Mapping[str, str]:
        """Keys of the published records, by id."""
        ...

    @property
    def live_space(self) -> str:
        """Identity of the published vectors; empty if there are none."""
        ...

    @property
    def live_length(self) -> int:
        """Dimensions of the published vectors; 0 if there are none."""
        ...

    @property
    def stored(self) -> Collection[str]:
        """Keys of records that need not be added."""
        ...

    @property
    def known(self) -> Collection[str]:
        """Keys of vectors that need not be computed."""
        ...

    def add(self, records: Sequence[Record], vectors: TextVectors, /) -> None:
        """Store records and the vectors that were not known, without publishing them."""
        ...

    def publish(self, keep: Collection[str], /) -> None:
        """Publish exactly the records with these keys when the change ends."""
        ...


@runtime_checkable
class Store(Protocol):
    """The place where an index is kept.

    All methods raise ``StoreError`` if it cannot be read or written. Thread-safe.
    """

    @property
    def place(self) -> str:
        """The folder or address, for messages; contains no secrets."""
        ...

    @property
    def folder(self) -> Path:
        """A local folder for data derived from the index."""
        ...

    def exists(self) -> bool:
        """Whether an index was ever written here."""
        ...

    def check_new(self) -> None:
        """Raise ``StoreError`` if a new index may not be created here."""
        ...

    def generations(self, *, timeout: float = ...) -> tuple[Generation, ...]:
        """Return each collection's generation; with ``timeout=0`` possibly the last one known."""
        ...

    def spaces(self) -> Mapping[Kind, str]:
        """Return the identity of each collection's vectors; empty if it has none."""
        ...

    def load(self) -> Mapping[Kind, Contents]:
        """Return both collections as of the latest complete sync."""
        ...

    def together(self) -> AbstractContextManager[object]:
        """Make everything published inside the block visible in one step when it ends.

        Raises:
            StoreLockedError: If another writer held the lock for too long, or published first.
        """
        ...

    def write(
        self, kind: Kind, /, *, space: str, anew: bool = False
    ) -> AbstractContextManager[StoreWriter]:
        """Change a collection; raises the same errors as ``together``.

        Args:
            kind: The collection.
            space: Identity of the vectors to be added.
            anew: The caller supplies the whole collection, so existing damage may be ignored.
        """
        ...

    def keep(self, vectors: TextVectors, /) -> None:
        """Store lost vectors again."""
        ...

    def load_fit(self) -> bytes | None:
        """Return what ``keep_fit`` last stored, or None."""
        ...

    def keep_fit(self, fit: bytes, /) -> None:
        """Store what was learnt from the demonstrations, for all readers of this index."""
        ...
