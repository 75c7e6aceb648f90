"""The interface between ``load_tools`` and a reader of one kind of catalog."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from toolret.types import Tool

__all__ = ["Document", "ReferringSource", "Source"]

_SUFFIX = re.compile(r"(\.(jsonl?|ya?ml))?(\.gz)?$", re.IGNORECASE)
"""The suffixes at the end of a file's name that tell its format."""


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a file, one item of its list, or a value given in memory.

    Attributes:
        content: JSON values, a Python function or a LangChain tool.
        file: The file's path as given, for messages; ``<argument 1>`` for a value in memory.
        lines: For JSON Lines, the line number of each object, from 1.
        at: Position in the file, such as ``line 12`` or ``/tools/3``; empty for the whole file.
        folder: The folder that references must not leave; the file's own if empty.
    """

    content: Any
    file: str
    lines: tuple[int, ...] = ()
    at: str = field(default="", compare=False)
    folder: str = field(default="", compare=False)

    def place(self, index: int) -> str:
        """Return the position of a list's item: its line, or its JSON pointer."""
        return f"line {self.lines[index]}" if self.lines else f"{self.at}/{index}"

    @property
    def in_memory(self) -> bool:
        """Whether the content was given as a value, so that there is no file."""
        return self.file.startswith("<")

    @property
    def stem(self) -> str:
        """The file's name without format suffixes; empty if given in memory."""
        return "" if self.in_memory else _SUFFIX.sub("", Path(self.file).name)


@runtime_checkable
class Source(Protocol):
    """Reads one kind of catalog.

    It is asked about a whole document first. If no source recognizes it, and it is a list or holds
    one under ``tools`` or ``result``, sources are asked about each item. So a list may mix kinds.
    """

    @property
    def reads(self) -> str:
        """The kinds of content that it reads, to complete the sentence "toolret reads ..."."""
        ...

    def recognizes(self, content: Any) -> bool:
        """Whether a document or item is of this kind, even if it is invalid."""
        ...

    def kind(self, content: Any) -> str:
        """Name the kind of a recognized document or item, to follow "found"."""
        ...

    def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
        """Read the tools of a document or item of this kind.

        Raises:
            CatalogError: If it is invalid.
        """
        ...


@runtime_checkable
class ReferringSource(Source, Protocol):
    """A source whose documents may refer to other files of a folder.

    Such files are parts of a document. They are not taken for catalogs themselves.
    """

    def used_files(self, document: Document) -> set[Path]:
        """Return the resolved paths of the files that a document's references lead to."""
        ...
