"""Read catalogs of tools in many formats as ``Tool``s."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from toolret.catalogs.functions import FunctionSchemas
from toolret.catalogs.inputs import catalog_files, document_of, parts
from toolret.catalogs.mcp_tools import McpTools
from toolret.catalogs.openapi import OpenApi
from toolret.catalogs.plugins import Reader, installed_sources, read_with
from toolret.catalogs.python_tools import PythonTools
from toolret.catalogs.source import Document, Source
from toolret.catalogs.swagger import Swagger
from toolret.catalogs.tool_rows import ToolRows
from toolret.errors import CatalogError
from toolret.json_values import short_repr
from toolret.rows import unique
from toolret.types import Tool

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool
    from pydantic import BaseModel

__all__ = [
    "SOURCES",
    "Catalog",
    "CatalogInput",
    "FoundContent",
    "load_tools",
    "load_with_namespaces",
]

SOURCES: tuple[Source, ...] = (
    OpenApi(),
    Swagger(),
    McpTools(),
    FunctionSchemas(),
    PythonTools(),
    ToolRows(),
)
"""Built-in sources; the first that recognizes a document reads it."""

_API_SOURCES = SOURCES[:2]
"""Sources of API documents: with operations, these are catalogs even if other documents refer to
them."""

CatalogInput: TypeAlias = Union[
    str, Path, "BaseModel", "BaseTool", Callable[..., Any], Mapping[str, Any], Sequence[Any]
]
"""A path, or a value: function schemas and other JSON, Python functions, LangChain tools, or an MCP
client's results; alone or in lists."""

_URL = re.compile(r"(https?):/+")
"""The beginning of a URL; with a single slash if the URL was made into a ``Path`` before."""

_MAX_DEPTH = 5
"""Levels of lists and containers to open; pages of an MCP server's replies have four."""

_MAX_KEYS = 5
"""Keys of an unrecognized document to show in the error message."""


@dataclass(frozen=True, slots=True)
class FoundContent:
    """A kind of content found in a file or in a value in memory.

    Attributes:
        file: The file's path as given, or ``<argument 1>``.
        kind: The kind of content, such as ``OpenAPI 3.1.0 document`` or ``tool row``.
        items: Number of documents or list items of this kind.
        tools: Number of tools read from them.
    """

    file: str
    kind: str
    items: int
    tools: int

    def __str__(self) -> str:
        many = f"{self.items} x {self.kind}" if self.items > 1 else self.kind
        return f"{self.file}: {many}, {self.tools} tool{'s' * (self.tools != 1)}"


class Catalog(list[Tool]):
    """The tools that were read, without duplicates.

    Attributes:
        found: The sources that they were read from, in order.
    """

    def __init__(self, tools: Iterable[Tool] = (), *, found: Iterable[FoundContent] = ()) -> None:
        super().__init__(tools)
        self.found = tuple(found)


def load_tools(
    *catalogs: CatalogInput, namespace: str | None = None, sources: Sequence[Source | Reader] = ()
) -> Catalog:
    """Read tools from catalogs of any kind, recognized by their content.

    Supported are OpenAPI and Swagger documents, MCP tools, function schemas of OpenAI and
    Anthropic, LangChain tools, Python functions, and tool rows. Lists may mix them. Nothing is
    called, and the network is not used. Sources of installed packages are found by entry points,
    and tried for items that no built-in source recognizes.

    Args:
        *catalogs: Files; or folders, for all their ``.json``, ``.jsonl``, ``.yaml`` and ``.yml``
            files (also gzipped) at any depth, in order of their names, except hidden ones; or
            values in memory, alone or in lists. Paths inside lists are rejected: a list may come
            from an untrusted source, which must not cause files to be read.
        namespace: Namespace for all tools; replaces the one derived from an OpenAPI title or an MCP
            file's name. Ids and namespaces in rows, and OpenAI's namespaces, are kept.
        sources: Tried first: a ``Source``, or a function that takes a ``Document`` and returns its
            tools, or None if it does not recognize it.

    Returns:
        The tools in the order of the files, without duplicates; the list also says what was
        ``found``.

    Raises:
        CatalogError: If something cannot be read, two different tools share an id, or there is
            nothing but empty lists.
    """
    return load_with_namespaces([(namespace, value) for value in catalogs], sources=sources)


def load_with_namespaces(
    inputs: Iterable[tuple[str | None, CatalogInput]], *, sources: Sequence[Source | Reader] = ()
) -> Catalog:
    """Read tools as ``load_tools`` does, from pairs of a namespace, or None, and an input."""
    reading = _Reading(tuple(sources))
    tools = unique(reading.tools(inputs), error=CatalogError)
    if not tools and reading.empty:
        raise CatalogError("holds no tools", file=reading.empty.file, place=reading.empty.at)
    return Catalog(tools, found=reading.found())


@dataclass(frozen=True, slots=True)
class _ReadFile:
    """A file of a folder, after reading.

    Attributes:
        path: The file's path.
        name: The file's path as its tools and errors have it.
        is_api: Whether the content is an API document.
        tools: The file's tools, or the error that came instead.
    """

    path: Path
    name: str
    is_api: bool
    tools: list[Tool] | CatalogError

    def is_part(self, used_files: AbstractSet[Path]) -> bool:
        """Whether another document uses the file, which is no catalog of operations itself."""
        return (not self.is_api or self.tools == []) and self.path.resolve() in used_files


class _Reading:
    """One run over all inputs.

    Attributes:
        empty: The first list without items, if there is one.
    """

    def __init__(self, first_readers: tuple[Source | Reader, ...]) -> None:
        self.empty: Document | None = None
        self._first_readers = first_readers
        self._items: Counter[tuple[str, str]] = Counter()
        self._tools: Counter[tuple[str, str]] = Counter()
        self._used_files: set[Path] = set()  # by the documents of the current input
        self._made_of: dict[str, Any] = {}

    def found(self) -> Iterator[FoundContent]:
        """Yield the kinds of content that were found, in order."""
        for (file, kind), items in self._items.items():
            yield FoundContent(file, kind, items, self._tools[file, kind])

    def tools(self, inputs: Iterable[tuple[str | None, CatalogInput]]) -> Iterator[Tool]:
        """Yield the tools of inputs, each with its namespace.

        Raises:
            CatalogError: If one cannot be read.
        """
        for number, (namespace, value) in enumerate(inputs, start=1):
            self._used_files.clear()
            if not isinstance(value, str | Path):
                yield from self._document(document_of(value, number), namespace)
                continue
            if _URL.match(str(value)):
                raise CatalogError(
                    "is a URL, and toolret reads files and fetches none: save it as a file",
                    file=_URL.sub(r"\1://", str(value)),
                )
            files = [
                self._read_file(file, number, folder, namespace)
                for file, folder in catalog_files(value)
            ]
            yield from self._without_parts(files)

    def _read_file(self, path: Path, number: int, folder: str, namespace: str | None) -> _ReadFile:
        """Read a file; an error is kept, because the file may turn out to be a part of another."""
        document = document_of(path, number, folder)
        is_api = any(source.recognizes(document.content) for source in _API_SOURCES)
        try:
            tools: list[Tool] | CatalogError = list(self._document(document, namespace))
        except CatalogError as exc:
            tools = exc
        return _ReadFile(path, document.file, is_api, tools)

    def _without_parts(self, files: Sequence[_ReadFile]) -> Iterator[Tool]:
        """Yield the tools of files, except files that other documents refer to.

        Such parts are not catalogs, but may look like one (a parameter like a tool row), so their
        tools or errors are discarded.

        Raises:
            CatalogError: If a file could not be read, or a folder with API documents gives no tools
                at all.
        """
        has_tools = False
        for file in files:
            if file.is_part(self._used_files):
                self._uncount(file.name)
            elif isinstance(file.tools, CatalogError):
                raise file.tools
            else:
                has_tools = has_tools or bool(file.tools)
                yield from file.tools
        idle = next((file.name for file in files if file.is_api and file.tools == []), "")
        if idle and not has_tools:
            raise CatalogError("no document of the folder has `paths` with operations", file=idle)

    def _uncount(self, file: str) -> None:
        """Remove a file's counts, so that ``found`` does not list it."""
        for counts in (self._items, self._tools):
            for key in [key for key in counts if key[0] == file]:
                del counts[key]

    def _document(
        self, document: Document, namespace: str | None, depth: int = 0
    ) -> Iterator[Tool]:
        """Yield the tools of a document, or else of its parts."""
        for readers in (self._first_readers, SOURCES, installed_sources()):
            read = read_with(readers, document, namespace)
            if read is not None:
                self._used_files |= read.used_files
                yield from self._counted(document.file, read.kind, read.tools)
                return
        if document.content == []:  # a server or a list that has none may stand among others
            self.empty = self.empty or document
            yield from self._counted(document.file, "empty list", iter(()))
            return
        part = None
        for part in parts(document) if depth < _MAX_DEPTH else ():
            yield from self._document(part, namespace, depth + 1)
        if part is None:
            raise _unrecognized(document)

    def _counted(self, file: str, kind: str, tools: Iterator[Tool]) -> Iterator[Tool]:
        """Yield tools of a kind of content in a file, and count them for ``found``."""
        self._items[file, kind] += 1
        for tool in tools:
            self._tools[file, kind] += 1
            if tool.target is not None:
                self._check_target(tool)
            yield tool

    def _check_target(self, tool: Tool) -> None:
        """Remember what a tool was made from.

        Raises:
            CatalogError: If an equal tool was made from another function.
        """
        made_of = getattr(tool.target, "func", None) or getattr(tool.target, "coroutine", None)
        made_of = made_of or tool.target
        if self._made_of.setdefault(tool.id, made_of) != made_of:
            raise CatalogError(
                f"the id {tool.id!r} already stands for another function: give one of them another "
                "name or namespace",
                place=tool.origin,
            )


def _unrecognized(document: Document) -> CatalogError:
    """Return the error about a document that no source recognizes."""
    reads = [source.reads for source in (*SOURCES, *installed_sources())]
    may_be_path = isinstance(document.content, str) and document.in_memory
    advice = "; give paths as arguments of their own" if may_be_path else ""
    return CatalogError(
        f"found {_content_in_words(document.content)}; toolret reads {', '.join(reads[:-1])} and "
        f"{reads[-1]}{advice}",
        file=document.file,
        place=document.at,
    )


def _content_in_words(content: Any) -> str:
    """Describe content that no source recognizes, for an error message."""
    if isinstance(content, dict):
        keys = ", ".join(repr(key) for key in list(content)[:_MAX_KEYS])
        return f"an object with the keys {keys}" if keys else "an empty object"
    return short_repr(content)
