"""The code of docs/llm.md runs, as it stands there and in its order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doc_pages import copy_to, run_page
from tests.words_model import use_words_model
from toolret.testing import OpenAIServer, Reply


def test_the_page_on_llms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_to(tmp_path, monkeypatch, "tool_catalogs")
    use_words_model(monkeypatch)
    with OpenAIServer(Reply('{"queries": ["update the address"]}')) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        run_page("docs/llm.md", blocks=5)["client"].close()
    printed = capsys.readouterr().out.splitlines()
    assert "update the address" in printed[0]
    assert printed[1] == "all went well"
    assert printed[2] == "{'queries': ['update the address']} 1 1 1"
    assert printed[3] == "[(False, 1, 1), (True, 0, 0)]"
    assert printed[4] == '{"queries": ["update the address"]}'
    assert printed[5].startswith("run.jsonl: holds no reply to the question ")
