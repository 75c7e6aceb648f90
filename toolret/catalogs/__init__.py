"""Catalogs of tools in many formats, one module per kind of source."""

from toolret.catalogs.loading import SOURCES, Catalog, Found, Given, load_spaced, load_tools
from toolret.catalogs.plugins import Reader
from toolret.catalogs.source import Document, Source

__all__ = [
    "SOURCES",
    "Catalog",
    "Document",
    "Found",
    "Given",
    "Reader",
    "Source",
    "load_spaced",
    "load_tools",
]
