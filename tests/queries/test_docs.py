"""The code of docs/queries.md runs, as it stands there and in its order."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from pytest_examples import find_examples

from tests.conftest import ROOT
from tests.words_model import use_words_model
from toolret.testing import OpenAIServer, Reply

BLOCKS = [b for b in find_examples(ROOT / "docs" / "queries.md") if b.prefix == "python"]


def test_the_page_on_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(BLOCKS) == 4
    for folder in ("tool_catalogs", "demos"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    use_words_model(monkeypatch)
    replies = [Reply('{"queries": ["update the address"]}'), Reply('{"missing": []}')]
    with OpenAIServer(*replies[:1], *replies) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        scope: dict[str, Any] = {}
        for block in BLOCKS:
            exec(compile(block.source, "queries.md", "exec"), scope)
    assert "about_the_user" in server.requests[1]["messages"][0]["content"]
    assert capsys.readouterr().out.splitlines() == [
        "update the address",
        "1 gpt-5-mini all went well",
        "request: it still shows the old address, fix it",
    ]
