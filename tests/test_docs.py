"""The code of the pages in docs/ runs, as it stands there and in its order."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pytest_examples import find_examples

from tests.calling.catalog_server import TOKEN, catalog_server
from tests.conftest import ROOT
from tests.words_model import use_words_model
from toolret.testing import OpenAIServer, Reply
from toolret.types import Tool

BLOCKS = [b for b in find_examples(ROOT / "docs" / "catalogs.md") if b.prefix == "python"]


def _reply(message: dict[str, Any]) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    completion = {"id": "c", "object": "chat.completion", "created": 0, "model": "gpt-5"}
    return Reply(body=json.dumps(completion | {"choices": [choice]}).encode())


CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "orders__getOrder", "arguments": '{"orderId": "48731"}'},
}


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
    assert len(BLOCKS) == 7
    shutil.copytree(ROOT / "tool_catalogs", tmp_path / "tool_catalogs")
    shutil.copy(ROOT / "tests" / "integrations" / "mcp_server.py", tmp_path / "files_server.py")
    monkeypatch.chdir(tmp_path)
    use_words_model(monkeypatch)
    replies = [_reply({"tool_calls": [CALL]}), _reply({"content": "Here it is."})]
    with catalog_server(tmp_path / "tool_catalogs") as url, OpenAIServer(*replies) as openai:
        monkeypatch.setenv("FERNHILL_URL", url)
        monkeypatch.setenv("FERNHILL_TOKEN", TOKEN)
        monkeypatch.setenv("OPENAI_BASE_URL", openai.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        scope: dict[str, Any] = {}
        for block in BLOCKS:
            exec(compile(block.source, "catalogs.md", "exec"), scope)
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
    blocks = [b for b in find_examples(ROOT / "docs" / "storage.md") if b.prefix == "python"]
    assert len(blocks) == 3
    shutil.copytree(ROOT / "tool_catalogs", tmp_path / "tool_catalogs")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block.source, "storage.md", "exec"), scope)
