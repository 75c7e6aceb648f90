"""The scripts in ``examples/`` run as they stand, but for the embedder; others say what they do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mcp.client import Client
from mcp.types import TextContent

from examples import mcp_server, openai_loop, openapi_catalog
from tests.conftest import ROOT
from toolret import HttpRunner, Toolbox, ToolIndex, ToolRetriever, load_tools
from toolret.testing import HashedWordsEmbedder


def test_the_openai_loop(capsys: pytest.CaptureFixture[str]) -> None:
    openai_loop.main(HashedWordsEmbedder())
    out = capsys.readouterr().out
    assert out.startswith("Your order 48812 is being packed.\n")
    assert "of 308 tools:\n  order_status\n" in out
    assert "result: order 48812 is being packed" in out
    assert "result: Error: the tool 'orders__explode' is not available now." in out


def test_the_openapi_catalog(capsys: pytest.CaptureFixture[str]) -> None:
    openapi_catalog.main(HashedWordsEmbedder())
    out = capsys.readouterr().out
    assert "orders.getOrder" in out
    assert "The API was asked: GET /orders/v1/orders/48812" in out
    assert out.endswith("Answer after 2 turns: Order 48812 has shipped.\n")


async def test_the_mcp_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync_tools(load_tools(openapi_catalog.DOCUMENT))
    with openapi_catalog.api_server() as url:
        monkeypatch.setenv("API_ORIGIN", url)
        toolbox = Toolbox(index, HttpRunner(base_url=url, credentials=mcp_server.credentials))
        async with Client(mcp_server.catalog_server(ToolRetriever(index), toolbox)) as client:

            async def answer(tool: str, **arguments: object) -> tuple[bool, str]:
                result = await client.call_tool(tool, arguments)
                [text] = result.content
                assert isinstance(text, TextContent)
                return not result.is_error, text.text

            assert [tool.name for tool in (await client.list_tools()).tools] == [
                "find_tools",
                "call_tool",
            ]
            ok, found = await answer("find_tools", request="show everything about one order")
            assert ok
            assert "orders__getOrder: Show one order." in found
            order = {"name": "orders__getOrder", "arguments": {"orderId": "48812"}}
            ok, reason = await answer("call_tool", **order)
            assert (ok, "needs credentials" in reason) == (False, True)
            monkeypatch.setenv("API_TOKEN", "secret")
            ok, shown = await answer("call_tool", **order)
            assert ok
            assert '"status":"shipped"' in shown.replace(" ", "")


@pytest.mark.parametrize(
    "module",
    [
        "scripts.fuzz",
        "scripts.kill_syncs",
        "scripts.share_index",
        "benchmarks.langchain_overhead",
    ],
)
def test_a_script_that_is_asked_for_help_does_nothing_else(module: str) -> None:
    command = [sys.executable, "-m", module, "--help"]
    asked = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert asked.stdout.startswith(f"usage: {module.rpartition('.')[2]}.py [-h]")
    assert asked.stderr == ""


def test_what_is_fitted_is_written_where_it_is_read() -> None:
    from scripts import fit_adapter, fit_prior

    assert fit_adapter.ADAPTER.is_file()
    assert fit_prior.PRIOR.is_file()
