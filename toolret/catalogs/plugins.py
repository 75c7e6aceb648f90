"""Sources from other packages: by entry point, or passed as an object or a callable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import entry_points
from typing import Any, TypeAlias

from toolret.catalogs.source import Document, Source
from toolret.errors import CatalogError
from toolret.types import Tool

__all__ = ["GROUP", "Reader", "installed_sources", "read_by"]

GROUP = "toolret.sources"
"""Entry point group: each entry names a ``Source``, or a class or function without parameters that
returns one."""

Reader: TypeAlias = Callable[[Document], Iterable[Tool] | None]
"""Returns a document's tools, or None if it does not recognize the document."""


@cache
def installed_sources() -> tuple[Source, ...]:
    """Load the sources of installed packages, ordered by name.

    Raises:
        CatalogError: If one cannot be imported or is not a source.
    """
    return tuple(_loaded(point) for point in sorted(entry_points(group=GROUP), key=str))


def _loaded(point: Any) -> Source:
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
    found: Source = source
    return found


def read_by(
    readers: Iterable[Source | Reader], document: Document, namespace: str | None
) -> tuple[str, Iterator[Tool]] | None:
    """Return kind and tools from the first reader that recognizes a document; None if none does."""
    for reader in readers:
        if isinstance(reader, Source):
            if reader.recognizes(document.content):
                tools = reader.tools(document, namespace=namespace)
                return reader.kind(document.content), tools
        elif (read := reader(document)) is not None:
            name = getattr(reader, "__name__", type(reader).__name__)
            return f"item of {name}", iter(read)
    return None
