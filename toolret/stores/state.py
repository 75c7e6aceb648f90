"""A store beyond this machine as one process knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toolret.records import KINDS, Contents, Generation, Kind
from toolret.stores.ledger import Head

__all__ = ["State"]


@dataclass(frozen=True, slots=True)
class State:
    """What this process knows of an index.

    Attributes:
        head: The sync that it is of.
        pages: What each of the head's pages holds: names of records, by key.
        contents: What the index is given, by collection.
    """

    head: Head = field(default_factory=Head)
    pages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    contents: Mapping[Kind, Contents] = field(
        default_factory=lambda: {kind: Contents() for kind in KINDS}
    )

    def names(self, kind: Kind) -> dict[str, str]:
        """The names of a collection's documents, by the records' keys."""
        pages = (self.pages.get(name, {}) for name in self.head.parts[kind].pages)
        return {key: name for page in pages for key, name in page.items()}

    def whole(self, kind: Kind) -> bool:
        """Whether all that the head speaks of is there."""
        found = all(name in self.pages for name in self.head.parts[kind].pages)
        return found and len(self.contents[kind].records) == len(self.names(kind))

    @property
    def generations(self) -> tuple[Generation, ...]:
        """Of each collection."""
        return self.head.generations
