"""Convert the arguments of ``load_tools`` to documents: files, folders, and values in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from toolret.catalogs.documents import read_document
from toolret.catalogs.python_tools import is_langchain_tool
from toolret.catalogs.source import Document
from toolret.errors import CatalogError
from toolret.files.folders import files_of
from toolret.json_values import parse_json

__all__ = ["catalog_files", "document_of", "parts"]

_SUFFIXES = frozenset({".json", ".jsonl", ".yaml", ".yml"})
"""Suffixes of catalog files in a folder."""

_HOLDERS = ("tools", "result")
"""Fields that hold the tools, in requests to models and in replies of MCP servers."""


def catalog_files(path: str | Path) -> Iterator[tuple[Path, str]]:
    """Yield the catalog files that a path stands for, each with the given folder, if any.

    Raises:
        CatalogError: If a folder holds no catalogs, or a link is broken or leads out of it.
    """
    return files_of(path, _SUFFIXES, error=CatalogError)


def document_of(value: Any, number: int, folder: str = "") -> Document:
    """Read a file, or convert a value in memory, to a document.

    Args:
        value: A path; JSON values, Python functions and LangChain tools, alone or in lists; or
            Pydantic models, such as an MCP client's results.
        number: The argument's position, from 1, for messages.
        folder: The folder in which a file was found.

    Raises:
        CatalogError: If a file cannot be read, or a value is not JSON.
    """
    if isinstance(value, str | Path):
        return replace(read_document(value), folder=folder)
    file = f"<argument {number}>"
    if isinstance(value, list | tuple):
        items = [_checked_copy(item, file, f"/{index}") for index, item in enumerate(value)]
        return Document(items, file)
    return Document(_checked_copy(value, file, ""), file)


def parts(document: Document) -> Iterator[Document]:
    """Yield a document's parts: a list's items, or the content of ``tools`` or ``result``."""
    content = document.content
    if isinstance(content, list):
        for index, item in enumerate(content):
            yield replace(document, content=item, lines=(), at=document.place(index))
    elif isinstance(content, dict):
        for key in _HOLDERS:
            if isinstance(content.get(key), dict | list):
                yield replace(document, content=content[key], at=f"{document.at}/{key}")
                return


def _checked_copy(value: Any, file: str, place: str) -> Any:
    """Return a checked copy of JSON values; a function or tool is returned as it is."""
    if callable(value) or is_langchain_tool(value):
        return value
    if isinstance(value, BaseModel):
        value = _dump(value, file, place)
    if not isinstance(value, Mapping | list | tuple | str | int | float | bool | None):
        raise CatalogError(
            f"found an object of type {type(value).__name__}: give JSON values, Python functions "
            "or LangChain tools, and paths as arguments of their own",
            file=file,
            place=place,
        )
    try:
        return parse_json(json.dumps(value, allow_nan=False, default=_as_dict))
    except (RecursionError, TypeError, ValueError) as exc:
        raise CatalogError(f"the value is no JSON: {exc}", file=file, place=place) from exc


def _dump(model: BaseModel, file: str, place: str) -> Any:
    try:
        return model.model_dump(mode="json", by_alias=True, exclude_none=True)
    except (RecursionError, TypeError, ValueError) as exc:  # such as a field that is a function
        raise CatalogError(f"the value is no JSON: {exc}", file=file, place=place) from exc


def _as_dict(value: Any) -> dict[str, Any]:
    """Convert a mapping of another type to a dict, for ``json.dumps``.

    Raises:
        TypeError: If the value is not a mapping.
    """
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
