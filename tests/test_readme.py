"""The code of the README and the documents runs, as it stands there and in its order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.doc_pages import copy_to, run_page
from toolret.testing import OpenAIServer, Reply


def reply(request: dict[str, Any]) -> Reply:
    """Calls the user's function once."""
    if request["messages"][-1]["role"] == "user":
        return Reply(tool_calls=[("convert_currency", {"amount": 20, "currency": "NOK"})])
    return Reply("They are 234 NOK.")


@pytest.mark.model
def test_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_to(tmp_path, monkeypatch, "tool_catalogs", "demos")
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    with OpenAIServer(reply) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        scope = run_page("README.md", blocks=4)
        scope = run_page("docs/ranking.md", scope, blocks=1)
        scope["client"].close()
    assert "20.0 EUR are" in server.requests[-1]["messages"][-1]["content"]
    first, second, *_ = (line.split()[-1] for line in capsys.readouterr().out.splitlines())
    assert {first, second} == {"orders.cancelOrder", "billing.refundPayment"}


@pytest.mark.model
def test_the_quickstart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from examples import quickstart

    monkeypatch.setattr(quickstart, "INDEX", tmp_path / "index")
    quickstart.main()
    out = capsys.readouterr().out
    assert out.count("The planner's prompt:") == 3
    assert "307 indexed" in out
    quickstart.main()
    assert "307 as they were" in capsys.readouterr().out
