"""What a reader of one kind of catalog offers to ``load_tools``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from toolret.types import Tool

__all__ = ["Document", "Source"]


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds, parsed.

    Attributes:
        content: JSON values; for JSON Lines the list of its objects.
        file: The file's path as it was given, for messages.
        lines: For JSON Lines the line of each object, from 1.
        folder: The folder that its references may not leave; the file's own if it is empty.
        used: The other files that it is made of, by their real paths; its reader adds them.
    """

    content: Any
    file: str
    lines: tuple[int, ...] = ()
    folder: str = field(default="", compare=False)
    used: set[Path] = field(default_factory=set, compare=False)

    def place(self, index: int) -> str:
        """Where the item of a list stands: its line, or its JSON pointer."""
        return f"line {self.lines[index]}" if self.lines else f"/{index}"


class Source(Protocol):
    """Reads one kind of catalog."""

    @property
    def reads(self) -> str:
        """What it reads, in words that end the sentence "toolret reads"."""
        ...

    def recognizes(self, content: Any) -> bool:
        """Whether a document is of this kind, be it a good one or not."""
        ...

    def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
        """The tools of a document of this kind.

        Raises:
            CatalogError: If the document cannot be used.
        """
        ...
