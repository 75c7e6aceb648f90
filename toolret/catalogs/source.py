"""What a reader of one kind of catalog offers to ``load_tools``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from toolret.types import Tool

__all__ = ["Document", "Source"]

_SUFFIX = re.compile(r"(\.(jsonl?|ya?ml))?(\.gz)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds, or one item of the list that it holds; or something given in memory.

    Attributes:
        content: JSON values; a Python function or a LangChain tool where one was given.
        file: The file's path as it was given, for messages; ``<argument 1>`` if there is none.
        lines: For JSON Lines the line of each object, from 1.
        at: Where in the file it stands, such as ``line 12`` or ``/tools/3``; empty for the whole.
        folder: The folder that its references may not leave; its own if empty.
        used: The files that its references lead into, which are no catalogs of their own. A source
            adds to it, as resolved paths.
    """

    content: Any
    file: str
    lines: tuple[int, ...] = ()
    at: str = field(default="", compare=False)
    folder: str = field(default="", compare=False)
    used: set[Path] = field(default_factory=set, compare=False)

    def place(self, index: int) -> str:
        """Where the item of a list stands: its line, or its JSON pointer."""
        return f"line {self.lines[index]}" if self.lines else f"{self.at}/{index}"

    @property
    def in_memory(self) -> bool:
        """Whether it was given as a value, so that its file's name says nothing."""
        return self.file.startswith("<")

    @property
    def stem(self) -> str:
        """The file's name without what says how it is written; empty if it was given in memory."""
        return "" if self.in_memory else _SUFFIX.sub("", Path(self.file).name)


@runtime_checkable
class Source(Protocol):
    """Reads one kind of catalog.

    It is asked about a whole document first, and if the document is a list, or holds one under
    ``tools``, about each item by itself. So a list may mix kinds, and a source sees single ones.
    """

    @property
    def reads(self) -> str:
        """What it reads, in words that end the sentence "toolret reads"."""
        ...

    def recognizes(self, content: Any) -> bool:
        """Whether a document or an item is of this kind, be it a good one or not."""
        ...

    def kind(self, content: Any) -> str:
        """What something that it recognizes is, in words that follow "found"."""
        ...

    def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
        """The tools of a document or item of this kind.

        Raises:
            CatalogError: If it cannot be used.
        """
        ...
