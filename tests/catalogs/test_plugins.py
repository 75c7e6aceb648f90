"""Sources of other packages: passed, or installed with an entry point."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toolret.catalogs import Document, load_tools
from toolret.errors import CatalogError
from toolret.types import Tool


class Postman:
    """A source for another kind of document, as another package would write it."""

    reads = "Postman collections"

    def recognizes(self, content: Any) -> bool:
        return isinstance(content, dict) and "item" in content

    def kind(self, content: Any) -> str:
        return "Postman collection"

    def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
        for item in document.content["item"]:
            yield Tool(f"{namespace}.{item}", item, namespace=namespace or "")


def test_a_source_is_passed() -> None:
    catalog = load_tools({"item": ["a", "b"]}, {"name": "c"}, namespace="n", sources=[Postman()])
    assert [tool.id for tool in catalog] == ["n.a", "n.b", "n.c"]
    assert str(catalog.found[0]) == "<argument 1>: Postman collection, 2 tools"


def test_a_callable_is_passed_and_is_asked_first() -> None:
    def upper(document: Document) -> list[Tool] | None:
        if not isinstance(document.content, dict) or "name" not in document.content:
            return None
        name = document.content["name"].upper()
        return [Tool(name, name, origin=f"{document.file}: {document.at}")]

    catalog = load_tools([{"name": "a"}, {"name": "b", "inputSchema": {}}], sources=[upper])
    assert [tool.id for tool in catalog] == ["A", "B"]
    assert catalog[1].origin == "<argument 1>: /1"
    assert str(catalog.found[0]) == "<argument 1>: 2 x item of upper, 2 tools"


SOURCE = """
from toolret import Tool

class Postman:
    reads = "Postman collections"
    def recognizes(self, content):
        return isinstance(content, dict) and "item" in content
    def kind(self, content):
        return "Postman collection"
    def tools(self, document, *, namespace):
        return (Tool(item, item) for item in document.content["item"])

no_source = 5
"""


def _with_plugin(folder: Path, target: str) -> subprocess.CompletedProcess[str]:
    """What a process prints that has a package with this entry point installed."""
    (folder / "acme_sources.py").write_text(SOURCE, "utf-8")
    info = folder / "acme_sources-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-sources\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[toolret.sources]\npostman = {target}\n")
    code = (
        "from toolret import ToolretError, load_tools\n"
        "try: print([tool.id for tool in load_tools({'item': ['a']})])\n"
        "except ToolretError as error: print(error)\n"
    )
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": path},
    )


@pytest.mark.parametrize(
    ("target", "printed"),
    [
        ("acme_sources:Postman", "['a']"),
        (
            "acme_missing:Postman",
            "the catalog source 'postman' (acme_missing:Postman) cannot be imported: No module "
            "named 'acme_missing'; mend or uninstall its package",
        ),
        (
            "acme_sources:no_source",
            "the catalog source 'postman' (acme_sources:no_source) is no Source: it has no reads, "
            "recognizes, kind, tools",
        ),
    ],
)
def test_an_installed_source_is_found_by_its_entry_point(
    tmp_path: Path, target: str, printed: str
) -> None:
    assert _with_plugin(tmp_path, target).stdout.strip() == printed


def test_errors_of_a_passed_source_are_not_hidden() -> None:
    def broken(document: Document) -> list[Tool]:
        raise CatalogError("the collection is too old", file=document.file)

    with pytest.raises(CatalogError, match=r"^<argument 1>: the collection is too old$"):
        load_tools({"name": "a"}, sources=[broken])
