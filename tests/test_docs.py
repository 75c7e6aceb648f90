"""The code of the pages in docs/ runs, as it stands there and in its order."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.calling.catalog_server import TOKEN, catalog_server
from tests.conftest import ROOT
from tests.doc_pages import copy_to, run_page
from tests.words_model import use_words_model
from toolret.testing import OpenAIServer, Reply
from toolret.types import Tool


class _Synced:
    """Takes the place of an index."""

    def __init__(self) -> None:
        self.tools: list[Tool] = []
        self.done = asyncio.Event()

    def sync_tools(self, tools: list[Tool]) -> None:
        self.tools = tools
        self.done.set()


def test_the_page_on_catalogs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_to(tmp_path, monkeypatch, "tool_catalogs")
    shutil.copy(ROOT / "tests" / "integrations" / "mcp_server.py", tmp_path / "files_server.py")
    use_words_model(monkeypatch)
    replies = [
        Reply(tool_calls=[("orders__getOrder", {"orderId": "48731"})]),
        Reply("Here it is."),
    ]
    with catalog_server(tmp_path / "tool_catalogs") as url, OpenAIServer(*replies) as openai:
        monkeypatch.setenv("FERNHILL_URL", url)
        monkeypatch.setenv("FERNHILL_TOKEN", TOKEN)
        monkeypatch.setenv("OPENAI_BASE_URL", openai.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        scope = run_page("docs/catalogs.md", blocks=7)
        answer = openai.requests[1]["messages"][-1]
    assert json.loads(answer["content"])["arguments"] == {"orderId": "48731"}
    assert capsys.readouterr().out.endswith("Here it is.\n")

    async def keep_synced_until_it_is() -> list[Tool]:
        index = _Synced()
        task = asyncio.create_task(scope["keep_synced"](index, [Tool("mine", "mine")]))
        await asyncio.wait_for(index.done.wait(), 30)
        task.cancel()
        await asyncio.wait([task])
        return index.tools

    ids = [tool.id for tool in asyncio.run(keep_synced_until_it_is())]
    assert ids[:2] == ["mine", "disk.read_file"]


def test_the_page_on_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_to(tmp_path, monkeypatch, "tool_catalogs")
    run_page("docs/storage.md", blocks=3)
