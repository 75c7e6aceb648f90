"""The code of docs/langchain.md and of the example runs, as it stands there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langchain_core.tools import tool as langchain_tool

from tests.doc_pages import run_page
from tests.integrations.langchain.scripted_agent import offered, wants
from tests.words_model import use_words_model
from toolret.testing import OpenAIServer


def many_tools() -> list[BaseTool]:
    @langchain_tool
    def cancel_order(order: str) -> str:
        """Cancel an order."""
        return f"cancelled {order}"

    @langchain_tool
    def track_parcel(parcel: str) -> str:
        """Where a parcel is."""
        return f"{parcel} is on its way"

    def other(number: int) -> BaseTool:
        @langchain_tool(f"report_{number}")
        def report() -> str:
            """A report."""
            return "nothing to report"

        return report

    return [cancel_order, track_parcel, *map(other, range(20))]


def test_the_page_on_langchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"text": "please cancel my order", "tools": ["cancel_order"]}
    (tmp_path / "demos.jsonl").write_text(json.dumps(row), "utf-8")
    monkeypatch.chdir(tmp_path)
    use_words_model(monkeypatch)
    scope: dict[str, Any] = {"many_tools": many_tools(), "__name__": "page"}
    plan: Any = {"cancel order 7": [("cancel_order", {"order": "7"})]}
    with OpenAIServer(wants(plan)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        run_page("docs/langchain.md", scope, blocks=8)
    assert "cancelled 7" in json.dumps(server.requests)
    assert len(offered(server.requests[0])) < 10
    assert scope["offered"][0]["name"] == "cancel_order"
    assert scope["documents"][0].metadata["name"] == "cancel_order"
    few_shot = scope["prompt"].invoke({"input": "where is my parcel now"}).to_messages()
    assert few_shot[1].text == "track_parcel"


def test_the_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from examples import langchain_agent

    use_words_model(monkeypatch)
    monkeypatch.setattr(langchain_agent, "INDEX", tmp_path / "index")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    langchain_agent.main()
    printed = capsys.readouterr().out
    assert "tool: orders.cancelOrder: done" in printed
    assert "ai: It says: billing.refundPayment: done" in printed
    assert " of 307 tools were offered: " in printed
