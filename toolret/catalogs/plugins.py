"""Sources from other packages: by entry point, or passed as an object or a callable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import NamedTuple, TypeAlias

from toolret.catalogs.source import Document, ReferringSource, Source
from toolret.errors import CatalogError
from toolret.types import Tool

__all__ = ["GROUP", "ReadDocument", "Reader", "installed_sources", "read_with"]

GROUP = "toolret.sources"
"""The entry point group of sources. Each entry names a ``Source``, or a class or function without
parameters that returns one."""

Reader: TypeAlias = Callable[[Document], Iterable[Tool] | None]
"""A function that returns a document's tools, or None if it does not recognize the document."""


@cache
def installed_sources() -> tuple[Source, ...]:
    """Load the sources of installed packages, ordered by name.

    Raises:
        CatalogError: If one cannot be imported or is not a source.
    """
    return tuple(_load(point) for point in sorted(entry_points(group=GROUP), key=str))


def _load(point: EntryPoint) -> Source:
    """Load the source that an entry point names.

    Raises:
        CatalogError: If it cannot be imported or is not a source.
    """
    about = f"the catalog source {point.name!r} ({point.value})"
    try:
        source = point.load()
    except (AttributeError, ImportError) as exc:
        raise CatalogError(
            f"{about} cannot be imported: {exc}; mend or uninstall its package"
        ) from exc
    if callable(source) and (isinstance(source, type) or not hasattr(source, "recognizes")):
        source = source()
    missing = [
        name for name in ("reads", "recognizes", "kind", "tools") if not hasattr(source, name)
    ]
    if missing:
        raise CatalogError(f"{about} is no Source: it has no {', '.join(missing)}")
    loaded: Source = source
    return loaded


class ReadDocument(NamedTuple):
    """What a reader made of a document.

    Attributes:
        kind: The kind of the document's content, for messages.
        tools: The document's tools, which are read as they are consumed.
        used_files: The resolved paths of the files that the document refers to, in its folder.
    """

    kind: str
    tools: Iterator[Tool]
    used_files: AbstractSet[Path] = frozenset()


def read_with(
    readers: Iterable[Source | Reader], document: Document, namespace: str | None
) -> ReadDocument | None:
    """Read a document with the first reader that recognizes it; return None if none does."""
    for reader in readers:
        if not isinstance(reader, Source):
            if (tools := reader(document)) is not None:
                name = getattr(reader, "__name__", type(reader).__name__)
                return ReadDocument(f"item of {name}", iter(tools))
        elif reader.recognizes(document.content):
            return ReadDocument(
                reader.kind(document.content),
                reader.tools(document, namespace=namespace),
                reader.used_files(document) if isinstance(reader, ReferringSource) else frozenset(),
            )
    return None
