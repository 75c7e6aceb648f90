"""The code of docs/llm.md runs, as it stands there and in its order."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from pytest_examples import find_examples

from tests.conftest import ROOT
from tests.words_model import use_words_model
from toolret.testing import OpenAIServer, Reply

BLOCKS = [b for b in find_examples(ROOT / "docs" / "llm.md") if b.prefix == "python"]


def test_the_page_on_llms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(BLOCKS) == 5
    shutil.copytree(ROOT / "tool_catalogs", tmp_path / "tool_catalogs")
    monkeypatch.chdir(tmp_path)
    use_words_model(monkeypatch)
    with OpenAIServer(Reply('{"queries": ["update the address"]}')) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        scope: dict[str, Any] = {}
        for block in BLOCKS:
            exec(compile(block.source, "llm.md", "exec"), scope)
        scope["client"].close()
    printed = capsys.readouterr().out.splitlines()
    assert "update the address" in printed[0]
    assert printed[1] == "all went well"
    assert printed[2] == "{'queries': ['update the address']} 1 1 1"
    assert printed[3] == "[(False, 1, 1), (True, 0, 0)]"
    assert printed[4] == '{"queries": ["update the address"]}'
    assert printed[5].startswith("run.jsonl: holds no reply to the question ")
