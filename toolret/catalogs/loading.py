"""Read catalogs of tools in many formats as ``Tool``s."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from toolret.catalogs.functions import FunctionSchemas
from toolret.catalogs.given import catalog_files, document_of, parts
from toolret.catalogs.mcp_tools import McpTools
from toolret.catalogs.openapi import OpenApi
from toolret.catalogs.plugins import Reader, installed_sources, read_by
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

__all__ = ["SOURCES", "Catalog", "Found", "Given", "load_spaced", "load_tools"]

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
"""Documents of these sources that have operations are catalogs, even if others refer to them."""

Given: TypeAlias = Union[
    str, Path, "BaseModel", "BaseTool", Callable[..., Any], Mapping[str, Any], Sequence[Any]
]
"""A path, or a value: function schemas and other JSON, Python functions, LangChain tools, or an MCP
client's results; alone or in lists."""

_URL = re.compile(r"(https?):/+")
"""A URL; with a single slash if it was made into a ``Path`` before."""

_MAX_DEPTH = 5
"""Levels of lists and containers to open; pages of an MCP server's replies have four."""

_MAX_KEYS = 5
"""Keys of an unrecognized document to show in the error message."""


@dataclass(frozen=True, slots=True)
class Found:
    """A kind of content found in a file or in a value in memory.

    Attributes:
        file: The file as given, or ``<argument 1>``.
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

    def __init__(self, tools: Iterable[Tool] = (), *, found: Iterable[Found] = ()) -> None:
        super().__init__(tools)
        self.found = tuple(found)


def load_tools(
    *given: Given, namespace: str | None = None, sources: Sequence[Source | Reader] = ()
) -> Catalog:
    """Read tools from catalogs of any kind, recognized by their content.

    Supported are OpenAPI and Swagger documents, MCP tools, function schemas of OpenAI and
    Anthropic, LangChain tools, Python functions, and tool rows. Lists may mix them. Nothing is
    called, and the network is not used. Sources of installed packages are found by entry points,
    and tried for items that no built-in source recognizes.

    Args:
        *given: Files; or folders, for all their ``.json``, ``.jsonl``, ``.yaml`` and ``.yml``
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
    return load_spaced([(namespace, one) for one in given], sources=sources)


def load_spaced(
    given: Iterable[tuple[str | None, Given]], *, sources: Sequence[Source | Reader] = ()
) -> Catalog:
    """Read tools as ``load_tools`` does, each item with a namespace of its own, or None."""
    reading = _Reading(tuple(sources))
    tools = unique(reading.tools(given), error=CatalogError)
    if not tools and reading.empty:
        raise CatalogError("holds no tools", file=reading.empty.file, place=reading.empty.at)
    return Catalog(tools, found=reading.found())


class _Reading:
    """One run over all that was given.

    Attributes:
        empty: The first list without items, if there is one.
    """

    def __init__(self, first: tuple[Source | Reader, ...]) -> None:
        self.empty: Document | None = None
        self._first = first
        self._namespace: str | None = None
        self._items: Counter[tuple[str, str]] = Counter()
        self._tools: Counter[tuple[str, str]] = Counter()
        self._made_of: dict[str, Any] = {}

    def found(self) -> Iterator[Found]:
        for (file, kind), items in self._items.items():
            yield Found(file, kind, items, self._tools[file, kind])

    def tools(self, given: Iterable[tuple[str | None, Given]]) -> Iterator[Tool]:
        for number, (self._namespace, one) in enumerate(given, start=1):
            if not isinstance(one, str | Path):
                yield from self._document(document_of(one, number))
                continue
            if _URL.match(str(one)):
                raise CatalogError(
                    "is a URL, and toolret reads files and fetches none: save it as a file",
                    file=_URL.sub(r"\1://", str(one)),
                )
            yield from self._files(catalog_files(one), number)

    def _files(self, files: Iterable[tuple[Path, str]], number: int) -> Iterator[Tool]:
        """Yield the tools of files, except files that other documents refer to.

        Such parts are not catalogs, but may look like one (a parameter like a tool row), so their
        tools or errors are discarded.

        Raises:
            CatalogError: If something cannot be read, or a folder with API documents gives no tools
                at all.
        """
        read: list[tuple[str, Path | None, list[Tool] | CatalogError]] = []
        used: set[Path] = set()
        idle = ""
        for file, folder in files:
            document = document_of(file, number, folder)
            is_api = any(source.recognizes(document.content) for source in _API_SOURCES)
            try:
                tools: list[Tool] | CatalogError = list(self._document(document))
            except CatalogError as exc:
                tools = exc
            is_part = not is_api or tools == []
            read.append((document.file, file.resolve() if is_part else None, tools))
            used |= document.used
            idle = idle or (document.file if is_api and is_part else "")
        given = False
        for name, part, tools in read:
            if part in used:
                for counts in (self._items, self._tools):
                    for key in [key for key in counts if key[0] == name]:
                        del counts[key]
            elif isinstance(tools, CatalogError):
                raise tools
            else:
                given = given or bool(tools)
                yield from tools
        if idle and not given:
            raise CatalogError("no document of the folder has `paths` with operations", file=idle)

    def _document(self, document: Document, depth: int = 0) -> Iterator[Tool]:
        read = self._read(document)
        if read is not None:
            yield from read
            return
        if document.content == []:  # a server or a list that has none may stand among others
            self.empty = self.empty or document
            yield from self._counted(document.file, "empty list", iter(()))
            return
        held = parts(document) if depth < _MAX_DEPTH else iter(())
        part = None
        for part in held:
            yield from self._document(part, depth + 1)
        if part is None:
            raise self._strange(document)

    def _read(self, document: Document) -> Iterator[Tool] | None:
        for readers in (self._first, SOURCES, installed_sources()):
            read = read_by(readers, document, self._namespace)
            if read is not None:
                return self._counted(document.file, *read)
        return None

    def _counted(self, file: str, kind: str, tools: Iterator[Tool]) -> Iterator[Tool]:
        self._items[file, kind] += 1
        for tool in tools:
            self._tools[file, kind] += 1
            if tool.target is not None:
                self._check_target(tool)
            yield tool

    def _check_target(self, tool: Tool) -> None:
        """Raise if equal tools come from different functions."""
        made_of = getattr(tool.target, "func", None) or getattr(tool.target, "coroutine", None)
        made_of = made_of or tool.target
        if self._made_of.setdefault(tool.id, made_of) != made_of:
            raise CatalogError(
                f"the id {tool.id!r} already stands for another function: give one of them another "
                "name or namespace",
                place=tool.origin,
            )

    def _strange(self, document: Document) -> CatalogError:
        reads = [source.reads for source in (*SOURCES, *installed_sources())]
        return CatalogError(
            f"found {_described(document.content)}; toolret reads {', '.join(reads[:-1])} and "
            f"{reads[-1]}",
            file=document.file,
            place=document.at,
        )


def _described(content: Any) -> str:
    if isinstance(content, dict):
        keys = ", ".join(repr(key) for key in list(content)[:_MAX_KEYS])
        return f"an object with the keys {keys}" if keys else "an empty object"
    return short_repr(content)
