"""Catalogs of tools in many formats, one module per kind of source."""

from toolret.catalogs.loading import (
    SOURCES,
    Catalog,
    CatalogInput,
    FoundContent,
    load_tools,
    load_with_namespaces,
)
from toolret.catalogs.plugins import Reader
from toolret.catalogs.source import Document, ReferringSource, Source

__all__ = [
    "SOURCES",
    "Catalog",
    "CatalogInput",
    "Document",
    "FoundContent",
    "Reader",
    "ReferringSource",
    "Source",
    "load_tools",
    "load_with_namespaces",
]
