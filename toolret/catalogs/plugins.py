"""Sources of other packages: by entry point, or passed as an object or a callable."""

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
"""The entry points of a package: each names a ``Source``, or a class or function without
parameters that makes one."""

Reader: TypeAlias = Callable[[Document], Iterable[Tool] | None]
"""Reads what it knows; None for what it does not."""


@cache
def installed_sources() -> tuple[Source, ...]:
    """The sources of installed packages, by name.

    Raises:
        CatalogError: If one cannot be imported or is no source.
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
    """What the first of the readers that knows a document makes of it: kind and tools."""
    for reader in readers:
        if isinstance(reader, Source):
            if reader.recognizes(document.content):
                tools = reader.tools(document, namespace=namespace)
                return reader.kind(document.content), tools
        elif (read := reader(document)) is not None:
            name = getattr(reader, "__name__", type(reader).__name__)
            return f"item of {name}", iter(read)
    return None
