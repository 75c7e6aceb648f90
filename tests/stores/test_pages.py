"""The code of docs/scaling.md runs, as it stands there and in its order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.doc_pages import copy_to, run_page
from tests.stores.places import chroma_server
from tests.words_model import use_words_model


def test_the_page_on_scaling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_to(tmp_path, monkeypatch, "tool_catalogs")
    use_words_model(monkeypatch)
    with chroma_server(tmp_path / "chroma") as server:
        scope: dict[str, Any] = {"CHROMA": server, "TOKEN": "none is asked for"}
        run_page("docs/scaling.md", scope, blocks=3)
    assert scope["retriever"].search("cancel an order", keep_all=True)
    assert len(scope["index"]) == len(scope["elsewhere"])
