"""The pages in docs/ that need nothing but an index: their code runs, and their tests exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_examples import find_examples

from tests.conftest import ROOT

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def _code(page: str) -> str:
    blocks = [b for b in find_examples(ROOT / "docs" / page) if b.prefix == "python"]
    assert blocks
    return "\n".join(block.source for block in blocks)


def test_the_page_on_learning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(_code("learning.md"), "learning.md", "exec"), {})


def test_the_page_on_tracing(tmp_path: Path) -> None:
    """In a process of its own, for a provider is set once and for all."""
    call = "from toolret import Toolbox\nToolbox([]).call('nothing', {})"
    done = subprocess.run(
        [sys.executable, "-c", f"{_code('tracing.md')}\n{call}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert '"name": "execute_tool"' in done.stdout
    assert '"error.type": "CallError"' in done.stdout


def test_every_test_that_the_comparison_names_exists() -> None:
    page = (ROOT / "docs" / "compared.md").read_text("utf-8")
    named = NAMED.findall(page)
    assert len(named) == page.count("::") > 30
    for file in {file for file, _ in named}:
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        there = {node.name for node in ast.walk(tree) if isinstance(node, functions)}
        assert {test for where, test in named if where == file} - there == set()
