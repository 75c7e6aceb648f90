"""Imports go one way: a room imports only from rooms to its left."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import toolret

PACKAGE = Path(toolret.__file__).parent

LAYERS = [
    ["errors", "surrogates", "forking"],
    [
        "types",
        "tokens",
        "names",
        "model_files",
        "instructions",
        "tool_adapter",
        "unit_vectors",
        "records",
        "derived",
        "media_types",
        "nearest",
        "recent",
        "tracing",
        "scripted",
        "subschemas",
    ],
    ["drafts"],
    ["accepted"],
    [
        "folders",
        "jsonlines",
        "plain_rows",
        "texts",
        "values",
        "sealed",
        "permissions",
        "onnx_models",
        "openai_embedder",
    ],
    ["onnx_export"],
    ["onnx_cache"],
    ["turns"],
    ["offers", "rows", "lexical", "embedders", "vectors", "calling"],
    ["catalogs", "database", "tables", "clauses", "locks"],
    ["checked"],
    ["store"],
    ["stores"],
    ["shelves"],
    ["syncing"],
    ["index"],
    ["llm"],
    ["queries"],
    ["signals", "logistic"],
    ["comparisons", "scanning", "word_vectors"],
    ["columns", "kriging"],
    ["text_evidence", "demo_evidence"],
    ["ranking", "ridge", "discriminant"],
    ["weighing", "familiarity", "need"],
    ["cosines", "demo_maps"],
    ["fitting"],
    ["searcher"],
    ["learning"],
    ["examples", "trimming"],
    ["recording"],
    ["prompt"],
    ["selection", "reranking"],
    ["reader"],
    ["viewing", "latest", "finding", "many"],
    ["retriever"],
    ["console"],
    ["evaluation", "lint", "testing", "integrations"],
    ["cli"],
    ["__init__", "__main__"],
]
"""Rooms of one line do not import each other."""

ROOM_LAYER = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "toolret":
                names = [f"toolret.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("toolret.")}
    return rooms


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    for imported in imported_rooms(path) - {room, "__version__"}:
        assert ROOM_LAYER[imported] < ROOM_LAYER[room], f"{room} imports {imported}"


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {str(p): len(p.read_text("utf-8").splitlines()) for p in PACKAGE.rglob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_importing_toolret_loads_nothing_heavy() -> None:
    heavy = {
        "torch",
        "chromadb",
        "openai",
        "langchain_core",
        "numpy",
        "pydantic",
        "transformers",
        "mcp",
        "httpx",
    }
    code = f"import sys, toolret; print(*sorted({heavy!r} & sys.modules.keys()))"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.split() == []


def test_public_names_are_what_they_say() -> None:
    assert set(toolret.__all__) == set(toolret._HOME)
    assert set(toolret.__all__) <= set(dir(toolret))
    for name in toolret.__all__:
        assert getattr(toolret, name) is not None


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(toolret, "nothing")  # noqa: B009 - mypy rightly refuses the plain form
