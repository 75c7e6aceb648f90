"""A remote store's state as one process knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toolret.stores.ledger import Head
from toolret.stores.records import KINDS, Contents, Generation, Kind

__all__ = ["State"]


@dataclass(frozen=True, slots=True)
class State:
    """A process's view of an index.

    Attributes:
        head: The head of the sync that it reflects.
        pages: Content of each of the head's pages: names of record documents, by record key.
        contents: The content for the index, by collection.
    """

    head: Head = field(default_factory=Head)
    pages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    contents: Mapping[Kind, Contents] = field(
        default_factory=lambda: {kind: Contents() for kind in KINDS}
    )

    def names(self, kind: Kind) -> dict[str, str]:
        """Return the names of a collection's documents, by record key."""
        pages = (self.pages.get(name, {}) for name in self.head.parts[kind].pages)
        return {key: name for page in pages for key, name in page.items()}

    def whole(self, kind: Kind) -> bool:
        """Whether every page and record that the head refers to was found."""
        found = all(name in self.pages for name in self.head.parts[kind].pages)
        return found and len(self.contents[kind].records) == len(self.names(kind))

    @property
    def generations(self) -> tuple[Generation, ...]:
        """The generation of each collection."""
        return self.head.generations
