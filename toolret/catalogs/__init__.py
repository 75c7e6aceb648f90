"""Catalogs of tools: files in, ``Tool``s out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toolret.catalogs.documents import read_document
from toolret.catalogs.openapi import OpenApi
from toolret.catalogs.source import Document, Source
from toolret.catalogs.swagger import Swagger
from toolret.catalogs.tool_rows import ToolRows
from toolret.errors import CatalogError
from toolret.jsonlines import shown
from toolret.rows import unique
from toolret.types import Tool

__all__ = ["SOURCES", "Document", "Source", "load_tools"]

SOURCES: tuple[Source, ...] = (OpenApi(), Swagger(), ToolRows())
"""What is read; the first that recognizes a document reads it."""

_SUFFIXES = frozenset({".json", ".jsonl", ".yaml", ".yml"})
"""The files of a folder that are catalogs; each may be gzipped (``.gz``)."""

_MAX_KEYS = 5
"""Keys of a document that nothing recognizes, for the error message."""


def load_tools(*sources: str | Path, namespace: str | None = None) -> list[Tool]:
    """Read tools from catalogs: OpenAPI documents, or tool rows; told apart by what they hold.

    Args:
        *sources: Files, or folders: of those all ``.json``, ``.jsonl``, ``.yaml`` and ``.yml``
            files (also gzipped) at any depth, in order of their names, without hidden ones.
        namespace: What the tools belong to, instead of what an OpenAPI document's title says, and
            for rows that do not say.

    Returns:
        The tools in the order of the files; one that is given twice stands once.

    Raises:
        CatalogError: If a file cannot be used, or one id stands for two different tools.
    """
    return unique(
        (
            tool
            for source in sources
            for file in _files(Path(source))
            for tool in _tools(read_document(file), namespace)
        ),
        error=CatalogError,
    )


def _files(source: Path) -> list[Path]:
    try:
        is_folder = source.is_dir()
    except OSError:  # such as a name that is too long; reading it as a file says so
        is_folder = False
    if not is_folder:
        return [source]
    files = sorted(
        path
        for path in source.rglob("*")
        if _SUFFIXES.intersection(path.suffixes[-2:] if path.suffix == ".gz" else [path.suffix])
        and not any(part.startswith(".") for part in path.relative_to(source).parts)
        and path.is_file()
    )
    if not files:
        raise CatalogError(f"the folder holds no {', '.join(sorted(_SUFFIXES))} files", file=source)
    return files


def _tools(document: Document, namespace: str | None) -> Iterator[Tool]:
    for source in SOURCES:
        if source.recognizes(document.content):
            return source.tools(document, namespace=namespace)
    raise CatalogError(
        f"found {_described(document.content)}; toolret reads "
        + " and ".join(source.reads for source in SOURCES),
        file=document.file,
    )


def _described(content: Any) -> str:
    if isinstance(content, dict) and "swagger" in content:
        return f"Swagger {content['swagger']!s}, which is not read yet: convert it to OpenAPI 3"
    if isinstance(content, dict):
        keys = ", ".join(repr(key) for key in list(content)[:_MAX_KEYS])
        return f"an object with the keys {keys}" if keys else "an empty object"
    if isinstance(content, list) and content:
        return f"a list of which the first is {_described(content[0])}"
    return shown(content)
