"""The state of a remote store as one process knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toolret.stores.ledger import IndexHead
from toolret.stores.records import KINDS, Contents, Kind

__all__ = ["RemoteState"]


@dataclass(frozen=True, slots=True)
class RemoteState:
    """An index in a remote store, as one process knows it.

    Attributes:
        head: Head of the sync that it reflects.
        pages: Content of the head's pages by page name: names of record documents, by record key.
        contents: Records, texts and vectors, by collection.
    """

    head: IndexHead = field(default_factory=IndexHead)
    pages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    contents: Mapping[Kind, Contents] = field(
        default_factory=lambda: {kind: Contents() for kind in KINDS}
    )

    def names(self, kind: Kind) -> dict[str, str]:
        """Return the names of a collection's documents, by record key."""
        pages = (self.pages.get(name, {}) for name in self.head.parts[kind].pages)
        return {key: name for page in pages for key, name in page.items()}

    def is_complete(self, kind: Kind) -> bool:
        """Whether every page and record that the head refers to was found."""
        has_pages = all(name in self.pages for name in self.head.parts[kind].pages)
        return has_pages and len(self.contents[kind].records) == len(self.names(kind))
