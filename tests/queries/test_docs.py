"""The code of docs/queries.md runs, as it stands there and in its order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.doc_pages import copy_to, run_page
from tests.words_model import use_words_model
from toolret.testing import OpenAIServer, Reply


def test_the_page_on_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_to(tmp_path, monkeypatch, "tool_catalogs", "demos")
    use_words_model(monkeypatch)
    clients: list[openai.OpenAI] = []

    class ClientToClose(openai.OpenAI):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            clients.append(self)

    monkeypatch.setattr(openai, "OpenAI", ClientToClose)
    replies = [Reply('{"queries": ["update the address"]}'), Reply('{"missing": []}')]
    with OpenAIServer(*replies[:1], *replies) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        run_page("docs/queries.md", blocks=5)
        for client in clients:
            client.close()
    assert "about_the_user" in server.requests[1]["messages"][0]["content"]
    assert capsys.readouterr().out.splitlines() == [
        "update the address",
        "1 gpt-5-mini all went well",
        "request: it still shows the old address, fix it",
    ]
