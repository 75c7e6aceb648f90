"""What a store keeps: one record a tool or demonstration, in collections of complete syncs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "Contents", "Kind", "Record", "record_key"]

Kind: TypeAlias = Literal["tools", "demos"]
"""The two collections of an index."""

KINDS: Final[tuple[Kind, ...]] = ("tools", "demos")


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


def record_key(vector_key: str, row: str) -> str:
    """The key of a record: a digest of all that it depends on."""
    return sha256(f"{vector_key}\0{row}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Contents:
    """One collection as of its latest complete sync.

    Attributes:
        generation: How many syncs changed it; 0 for a collection that has had none.
        changes: How many records all of them together added or removed.
        space: The identity of its vectors; empty where there are none.
        records: By key, in order of their ids.
        texts: What was embedded of each record, in their order; None where it is lost.
        vectors: Its vectors, shape ``(records, dimensions)``; zeros where the text is lost,
            empty where all are.
    """

    generation: int = 0
    changes: int = 0
    space: str = ""
    records: Mapping[str, Record] = field(default_factory=dict)
    texts: Sequence[str | None] = ()
    vectors: NDArray[np.float32] = field(
        default_factory=lambda: np.empty((0, 0), dtype=np.float32), compare=False
    )
