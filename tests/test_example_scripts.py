"""The scripts in ``examples/`` run as they stand, but for the embedder; others say what they do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mcp.client import Client
from mcp.server.mcpserver import MCPServer
from mcp.types import TextContent

from examples import mcp_server, openai_loop, openapi_catalog
from tests.conftest import ROOT
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


def served(monkeypatch: pytest.MonkeyPatch, index: Path, *options: str) -> MCPServer:
    """Return the server that the script would run."""
    servers: list[MCPServer] = []
    monkeypatch.setattr(MCPServer, "run", lambda server, _transport: servers.append(server))
    arguments = [str(openapi_catalog.DOCUMENT), "--index", str(index), *options]
    mcp_server.main(arguments, HashedWordsEmbedder())
    return servers[0]


async def answer(client: Client, tool: str, **arguments: object) -> tuple[bool, str]:
    result = await client.call_tool(tool, arguments)
    [text] = result.content
    assert isinstance(text, TextContent)
    return not result.is_error, text.text


ORDER = {"name": "orders__getOrder", "arguments": {"orderId": "48812"}}


async def test_the_mcp_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_TOKEN", raising=False)
    with openapi_catalog.api_server() as url:
        async with Client(served(monkeypatch, tmp_path / "index", "--api", url)) as client:
            tools = (await client.list_tools()).tools
            assert [tool.name for tool in tools] == ["find_tools", "call_tool"]
            ok, found = await answer(client, "find_tools", request="show all about one order")
            assert ok
            assert "orders__getOrder: Show one order." in found
            ok, reason = await answer(client, "find_tools", request=" ")
            assert (ok, "no text to search for" in reason) == (False, True)
            ok, reason = await answer(client, "call_tool", **ORDER)
            assert (ok, "needs credentials" in reason) == (False, True)
            monkeypatch.setenv("API_TOKEN", "secret")
            ok, shown = await answer(client, "call_tool", **ORDER)
            assert ok
            assert '"status":"shipped"' in shown.replace(" ", "")


async def test_the_mcp_server_needs_no_other_address_than_the_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Client(served(monkeypatch, tmp_path / "index")) as client:
        ok, found = await answer(client, "find_tools", request="show all about one order")
        assert (ok, "orders__getOrder" in found) == (True, True)


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
