"""What a store keeps: one record a tool or demonstration, in collections of complete syncs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = ["Contents", "Kind", "Record"]

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
