"""What a store keeps, and what an index asks of one.

A store holds one record a tool or demonstration, in collections of complete syncs. That it is a
folder, a server or somebody else's vector store, the index does not know.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

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
    "record_key",
]

Kind: TypeAlias = Literal["tools", "demos"]
"""The two collections of an index."""

KINDS: Final[tuple[Kind, ...]] = ("tools", "demos")


Generation: TypeAlias = tuple[int, str]
"""How many syncs changed a collection, and a digest of what the last one left: an index that is
built again, or of which a copy is put back, counts from where it began."""


class Record(NamedTuple):
    """One stored item; a tuple, for an index is opened by making one of each.

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


def record_key(vector_key: str, row: str) -> str:
    """The key of a record: a digest of all that it depends on."""
    return sha256(f"{vector_key}\0{row}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Contents:
    """One collection as of its latest complete sync.

    Attributes:
        generation: How many syncs changed it; 0 for a collection that has had none.
        digest: Of what the last of them left; empty for a collection that has had none.
        changes: How many records all of them together added or removed.
        space: The identity of its vectors; empty where there are none.
        records: By key, in order of their ids.
        texts: What was embedded of each record, in their order; None where it is lost.
        vectors: Its vectors, shape ``(records, dimensions)``; zeros where the text is lost,
            empty where all are.
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
"""Texts with their vectors, shape ``(dimensions,)``, by the vectors' keys."""


class StoreWriter(Protocol):
    """One change of one collection."""

    @property
    def space(self) -> str:
        """The identity of the vectors that are added."""
        ...

    @property
    def live(self) -> Mapping[str, str]:
        """What readers see: keys of records by their ids."""
        ...

    @property
    def live_space(self) -> str:
        """The identity of the vectors that readers see; empty where there are none."""
        ...

    @property
    def live_length(self) -> int:
        """How many values a vector has that readers see; 0 where there are none."""
        ...

    @property
    def stored(self) -> Collection[str]:
        """Keys of records that need not be added."""
        ...

    @property
    def known(self) -> Collection[str]:
        """Keys of vectors that need not be made."""
        ...

    def add(self, records: Sequence[Record], vectors: TextVectors, /) -> None:
        """Store records, and the vectors that were not known; unseen until ``publish``."""
        ...

    def publish(self, keep: Collection[str], /) -> None:
        """Make exactly the records with these keys what readers see, at the end of the change."""
        ...


class Store(Protocol):
    """Where an index is kept.

    All methods raise ``StoreError`` where the place cannot be read or written. Several threads
    may use it.
    """

    @property
    def place(self) -> str:
        """The folder or address, for messages; no secrets."""
        ...

    @property
    def folder(self) -> Path:
        """A folder of this machine for what is derived from the index."""
        ...

    def exists(self) -> bool:
        """Whether an index was ever written here."""
        ...

    def check_new(self) -> None:
        """Raise ``StoreError`` if a new index should not be made here."""
        ...

    def generations(self, *, timeout: float = ...) -> tuple[Generation, ...]:
        """Of each collection; with no time to spare, as last heard."""
        ...

    def spaces(self) -> Mapping[Kind, str]:
        """The identity of each collection's vectors; empty where there are none."""
        ...

    def load(self) -> Mapping[Kind, Contents]:
        """Both collections as of the latest complete sync."""
        ...

    def together(self) -> AbstractContextManager[object]:
        """All that is published inside becomes visible in one step, at its end.

        Raises:
            StoreLockedError: If another writer kept the index for too long, or was faster.
        """
        ...

    def write(
        self, kind: Kind, /, *, space: str, anew: bool = False
    ) -> AbstractContextManager[StoreWriter]:
        """Change a collection; raises what ``together`` raises.

        Args:
            kind: Which one.
            space: The identity of the vectors that will be added.
            anew: Whether everything that is to be seen will be given: then it may be damaged.
        """
        ...

    def keep(self, vectors: TextVectors, /) -> None:
        """Put vectors that were lost in their places."""
        ...

    def load_fit(self) -> bytes | None:
        """What ``keep_fit`` kept last, or None."""
        ...

    def keep_fit(self, fit: bytes, /) -> None:
        """Keep what was learnt from the demonstrations, for all who read this index."""
        ...
