"""The code of the documents, as it stands there and in its order."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from pytest_examples import find_examples

from tests.conftest import ROOT

__all__ = ["copy_to", "run_page", "source_of"]


def copy_to(folder: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Go to a folder that holds copies of some folders of the project."""
    for name in names:
        shutil.copytree(ROOT / name, folder / name)
    monkeypatch.chdir(folder)


def run_page(page: str, scope: dict[str, Any] | None = None, *, blocks: int) -> dict[str, Any]:
    """Run all blocks of Python of a page in one scope, and return it.

    Args:
        page: The page's path in the project.
        scope: The names that the code finds.
        blocks: The number of blocks that the page must have.
    """
    sources = _sources(page)
    assert len(sources) == blocks
    scope = {} if scope is None else scope
    for source in sources:
        exec(compile(source, page, "exec", dont_inherit=True), scope)
    return scope


def source_of(page: str) -> str:
    """Return all Python of a page as one program."""
    return "\n".join(_sources(page))


def _sources(page: str) -> list[str]:
    return [block.source for block in find_examples(ROOT / page) if block.prefix == "python"]
