"""The code of the README and the documents runs, as it stands there and in its order."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pytest_examples import find_examples

from tests.conftest import ROOT

PAGES = (ROOT / "README.md", ROOT / "docs" / "ranking.md")
BLOCKS = [block for block in find_examples(*PAGES) if block.prefix == "python"]


@pytest.mark.model
def test_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(BLOCKS) == 4
    for name in ("tool_catalogs", "demos"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "none is called")
    scope: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block.source, str(block.path), "exec"), scope)
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
