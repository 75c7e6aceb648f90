"""Resolve a document's ``$ref``s: within it, and to other files in its folder.

Nothing else is ever read: URLs are not fetched, and files outside the folder are not opened,
whether by ``..``, an absolute path or a symbolic link.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from toolret.catalogs.documents import read_document
from toolret.catalogs.source import Document
from toolret.errors import CatalogError
from toolret.files.folders import real_path
from toolret.json_values import json_pointer, short_repr

__all__ = ["Place", "References", "referenced_files"]

_MAX_NESTED_LOOKUPS = 32
"""Most nested lookups, where a reference points into the target of another reference."""


@dataclass(frozen=True, slots=True)
class Place:
    """The location of a value: a file, and a JSON pointer in it.

    ``place / key`` is the place of the value under a key.
    """

    file: str
    pointer: str = ""

    def __truediv__(self, key: str | int) -> Place:
        return Place(self.file, json_pointer(self.pointer, key))

    def __str__(self) -> str:
        return f"{self.file}: {self.pointer}" if self.pointer else self.file

    @property
    def name(self) -> str:
        """A readable name of the value: its key, or else its file's name without the suffix."""
        return self.pointer.rpartition("/")[2] or Path(self.file).stem

    def error(self, problem: str) -> CatalogError:
        """Return an error about this place."""
        return CatalogError(problem, file=self.file, place=self.pointer)

    def wrong(self, expected: str, value: Any) -> CatalogError:
        """Return an error about an unexpected value at this place."""
        return self.error(f"expected {expected}, found {short_repr(value)}")

    def object(self, value: Any) -> dict[str, Any]:
        """Return the value at this place if it is an object; None counts as an empty one.

        Raises:
            CatalogError: If it is something else.
        """
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        raise self.wrong("an object", value)

    def array(self, value: Any) -> list[Any]:
        """Return the value at this place if it is an array; None counts as an empty one.

        Raises:
            CatalogError: If it is something else.
        """
        if value is None:
            return []
        if isinstance(value, list):
            return value
        raise self.wrong("an array", value)


class References:
    """Resolves the references of a document.

    Other files are read once, when a reference first leads there.

    Args:
        document: The document.
    """

    def __init__(self, document: Document) -> None:
        self.root = Place(document.file)
        self._folder = _folder_of(document)
        self._files = {real_path(Path(document.file)): document.file}
        self._contents = {document.file: document.content}
        self._self_named_in: dict[str, dict[str, tuple[Any, Place]]] = {}
        self._targets: dict[tuple[str, str], tuple[Any, Place]] = {}
        self._resolving: set[tuple[str, str]] = set()

    def lookup(self, ref: str, place: Place) -> tuple[Any, Place]:
        """Resolve a reference.

        Args:
            ref: The value of ``$ref``.
            place: The place of the object that contains it.

        Returns:
            The value, and its place.

        Raises:
            CatalogError: If it leads nowhere, to itself, to a URL or out of the folder.
        """
        key = (place.file, ref)
        if key not in self._targets:
            if key in self._resolving or len(self._resolving) == _MAX_NESTED_LOOKUPS:
                raise (place / "$ref").error(f"$ref {ref!r} leads to itself, or through too many")
            self._resolving.add(key)
            try:
                self._targets[key] = self._resolve(ref, place / "$ref")
            except CatalogError:
                if ref not in (named := self._self_named(place.file)):
                    raise
                self._targets[key] = named[ref]
            finally:
                self._resolving.remove(key)
        return self._targets[key]

    def follow(self, value: Any, place: Place) -> tuple[dict[str, Any], Place]:
        """Return a value that is an object, following its references.

        Fields beside a ``$ref`` override those of its target, as OpenAPI 3.1 specifies for path
        items and descriptions.

        Returns:
            The object, and its place.

        Raises:
            CatalogError: If it is not an object, or a reference leads nowhere or to itself.
        """
        beside: dict[str, Any] = {}
        seen: set[Place] = set()
        while isinstance(value, Mapping) and isinstance(ref := value.get("$ref"), str):
            beside = {key: part for key, part in value.items() if key != "$ref"} | beside
            target, there = self.lookup(ref, place)
            if there in seen:
                raise (place / "$ref").error(f"$ref {ref!r} leads to itself")
            seen.add(there)
            value, place = target, there
        return place.object(value) | beside, place

    def _resolve(self, ref: str, place: Place) -> tuple[Any, Place]:
        """Resolve a reference that is a path, a JSON pointer or both."""
        path, _, pointer = ref.partition("#")
        file = self._read_file(path, ref, place) if path else place.file
        if pointer == "/":  # often written for the whole file
            pointer = ""
        if pointer and not pointer.startswith("/"):
            raise place.error(f"$ref {ref!r} leads nowhere: write it as a path, such as '#/a/b'")
        value, there = self._contents[file], Place(file)
        for name in unquote(pointer).split("/")[1:]:
            key = name.replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict) and key not in value and "$ref" in value:
                value, there = self.follow(value, there)
            if isinstance(value, list) and key in map(str, range(len(value))):
                value = value[int(key)]
            elif isinstance(value, dict) and key in value:
                value = value[key]
            else:
                raise place.error(f"$ref {ref!r} leads nowhere")
            there /= key
        return value, there

    def _self_named(self, file: str) -> dict[str, tuple[Any, Place]]:
        """Return the objects of a file with an ``$id`` or ``$anchor``, by what refers to them."""
        if file not in self._self_named_in:
            self._self_named_in[file] = {
                f"{mark}{name}": (value, place)
                for value, place in _all_objects(self._contents[file], Place(file))
                for keyword, mark in (("$id", ""), ("$anchor", "#"))
                if isinstance(name := value.get(keyword), str)
            }
        return self._self_named_in[file]

    def _read_file(self, path: str, ref: str, place: Place) -> str:
        """Read the file that a reference's path leads to, and return its name."""
        real = _path_of(path, place.file)
        if real is None:
            raise place.error(
                f"$ref {ref!r} leads to a URL; toolret fetches none: save it as a file in the "
                "folder and refer to that"
            )
        if self._folder is None:
            raise place.error(
                f"$ref {ref!r} leads to a file, but the document itself is in none: give toolret "
                "the file"
            )
        folder = real_path(self._folder)
        if not real.is_relative_to(folder):
            raise place.error(
                f"$ref {ref!r} leads out of the folder {str(self._folder)!r}, and nothing "
                "outside of it is read: give toolret the folder that holds both"
            )
        if real not in self._files:
            # Built from the real path, this name contains no links.
            file = str(self._folder / real.relative_to(folder))
            if not _is_regular_file(real):
                raise place.error(f"$ref {ref!r} leads nowhere: there is no file {file!r}")
            self._contents[file] = read_document(file).content
            self._files[real] = file
        return self._files[real]


def referenced_files(document: Document) -> set[Path]:
    """Return all files that a document's references lead to, directly or indirectly.

    Unreadable files and those outside its folder are skipped: resolving a reference to one raises
    an error.

    Returns:
        The files' real paths.
    """
    if (folder := _folder_of(document)) is None:
        return set()
    files: set[Path] = set()
    waiting = [document]
    while waiting:
        source = waiting.pop()
        for path in {ref.partition("#")[0] for ref in _all_refs(source.content)}:
            file = _path_of(path, source.file) if path else None
            if not file or file in files or not file.is_relative_to(real_path(folder)):
                continue
            if _is_regular_file(file):
                files.add(file)
                with suppress(CatalogError):
                    waiting.append(read_document(file))
    return files


def _all_objects(content: Any, place: Place) -> Iterator[tuple[dict[str, Any], Place]]:
    """Yield all objects in a value, at any depth, with their places."""
    waiting = [(content, place)]
    while waiting:
        value, place = waiting.pop()
        if isinstance(value, dict):
            yield value, place
            waiting += [(part, place / key) for key, part in value.items()]
        elif isinstance(value, list):
            waiting += [(part, place / index) for index, part in enumerate(value)]


def _is_regular_file(path: Path) -> bool:
    """Whether a path is a regular file: reading a pipe or device might never end."""
    return os.path.isfile(path)  # noqa: PTH113 - ``Path`` fails for names that are too long


def _all_refs(content: Any) -> Iterator[str]:
    """Yield all references in a value, at any depth."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(ref := value.get("$ref"), str):
                yield ref
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _folder_of(document: Document) -> Path | None:
    """Return a document's folder; None if it was given in memory."""
    if document.in_memory:
        return None
    return Path(document.folder) if document.folder else Path(document.file).parent


def _path_of(path: str, file: str) -> Path | None:
    """Return the real path that a reference in a file leads to; None if it is not a path."""
    try:
        parts = urlsplit(path)
        if parts.scheme or parts.netloc:
            return None
    except ValueError:  # an IPv6 address without its bracket
        return None
    # A path cannot hold null bytes; with the replacement it leads to no file.
    return real_path(Path(file).parent / unquote(path).replace("\0", "\ufffd"))
