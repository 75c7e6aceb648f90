"""The pages in docs/ that need nothing but an index: their code runs, and their tests exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.doc_pages import run_page, source_of

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
FILES = re.compile(
    r"`((?:benchmarks|demos|docs|examples|scripts|tests|tool_catalogs|toolret)/[\w./]+)"
)


def test_the_page_on_learning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page("docs/learning.md", blocks=4)


def test_the_page_on_security() -> None:
    run_page("docs/security.md", blocks=1)


def test_the_page_on_tracing(tmp_path: Path) -> None:
    """In a process of its own, for a provider is set once and for all."""
    call = "from toolret import Toolbox\nToolbox([]).call('nothing', {})"
    done = subprocess.run(
        [sys.executable, "-c", f"{source_of('docs/tracing.md')}\n{call}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert '"name": "execute_tool"' in done.stdout
    assert '"error.type": "CallError"' in done.stdout


def test_every_file_that_a_page_or_a_docstring_names_exists() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    for folder in ("benchmarks", "examples", "scripts", "toolret"):
        pages += (ROOT / folder).rglob("*.py")
    named = {(page.name, file) for page in pages for file in FILES.findall(page.read_text("utf-8"))}
    assert len(named) > 60
    assert {(page, file) for page, file in named if not (ROOT / file).exists()} == set()


@pytest.mark.parametrize(("page", "least"), [("compared.md", 50), ("security.md", 14)])
def test_every_test_that_a_page_names_exists(page: str, least: int) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    named = NAMED.findall(text)
    assert len(named) == text.count("::") >= least
    for file in {file for file, _ in named}:
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        there = {node.name for node in ast.walk(tree) if isinstance(node, functions)}
        assert {test for where, test in named if where == file} - there == set()


def test_nothing_is_pickled_and_no_models_code_is_run() -> None:
    modules: set[str] = set()
    options: set[str] = set()
    for path in (ROOT / "toolret").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(node.module or "")
            elif isinstance(node, ast.Call):
                options |= {f"{k.arg}={ast.unparse(k.value)}" for k in node.keywords}
    assert modules.isdisjoint({"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"})
    unsafe = {option for option in options if option.startswith(("allow_pickle", "trust_remote"))}
    assert unsafe == {"allow_pickle=False"}
