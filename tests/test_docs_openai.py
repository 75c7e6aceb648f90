"""The code of docs/openai.md and docs/caching.md runs, as it stands there and in its order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.doc_pages import copy_to, run_page
from tests.words_model import use_words_model
from toolret.testing import OpenAIServer, Reply


def reply(request: dict[str, Any]) -> Reply:
    """Calls the user's function once, if it is offered."""
    items = request.get("messages") or request["input"]
    tools = [t.get("function", t).get("name") for t in request.get("tools", ())]
    if "convert_currency" in tools and items[-1]["role"] == "user":
        return Reply(tool_calls=[("convert_currency", {"amount": 20, "currency": "NOK"})])
    return Reply("Here it is.")


@pytest.mark.parametrize(("page", "count"), [("openai.md", 4), ("caching.md", 2)])
def test_a_page(
    page: str,
    count: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    copy_to(tmp_path, monkeypatch, "tool_catalogs", "demos")
    use_words_model(monkeypatch)
    with OpenAIServer(reply) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        run_page(f"docs/{page}", blocks=count)["client"].close()
    assert "Here it is." in capsys.readouterr().out
    assert [r for r in caplog.records if r.name.startswith("toolret.integrations")] == []
    if page == "openai.md":
        assert any("1,234 NOK" in str(request["messages"]) for request in server.requests)
