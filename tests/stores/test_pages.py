"""The code of docs/scaling.md runs, as it stands there and in its order."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from pytest_examples import find_examples

from tests.conftest import ROOT
from tests.stores.places import chroma_server
from tests.words_model import use_words_model

BLOCKS = [b for b in find_examples(ROOT / "docs" / "scaling.md") if b.prefix == "python"]


def test_the_page_on_scaling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(BLOCKS) == 3
    shutil.copytree(ROOT / "tool_catalogs", tmp_path / "tool_catalogs")
    monkeypatch.chdir(tmp_path)
    use_words_model(monkeypatch)
    with chroma_server(tmp_path / "chroma") as server:
        scope: dict[str, Any] = {"CHROMA": server, "TOKEN": "none is asked for"}
        for block in BLOCKS:
            exec(compile(block.source, "scaling.md", "exec"), scope)
    assert scope["retriever"].search("cancel an order", keep_all=True)
    assert len(scope["index"]) == len(scope["elsewhere"])
