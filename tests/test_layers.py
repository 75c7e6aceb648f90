"""Imports go one way: between rooms (modules and packages) and between the modules of a package."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import toolret
from toolret.integrations import langchain

PACKAGE = Path(toolret.__file__).parent

LAYERS = [
    ["errors", "forking", "json_values", "tracing", "types"],
    ["options"],
    ["files", "permissions", "recent", "schemas"],
    ["stores"],
    ["text"],
    ["llm", "tokens", "turns"],
    ["embedders", "rows"],
    ["calling", "catalogs", "index"],
    ["queries"],
    ["ranking"],
    ["prompt"],
    ["recording"],
    ["retrieval"],
    ["console", "testing"],
    ["commands", "evaluation", "integrations", "lint"],
    ["cli"],
    ["__init__", "__main__"],
]
"""Rooms of one line do not import each other."""

ROOM_LAYER = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return a module's dotted name within the package: ``ranking.kriging``, ``index.__init__``."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imported(path: Path) -> set[str]:
    """Return the modules that a module imports, named as by ``name_of``."""
    modules = {name_of(module) for module in MODULES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            # A module, a package, or a name in one of them.
            for whole in (name, name.rpartition(".")[0]):
                known = {whole, f"{whole}.__init__"} & {f"toolret.{module}" for module in modules}
                if known:
                    found |= {module.removeprefix("toolret.") for module in known}
                    break
    return found


def room_of(module: str) -> str:
    return module.split(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(name_of(path))
    if room == "__init__":
        return
    for other in {room_of(module) for module in imported(path)} - {room, "__init__"}:
        assert ROOM_LAYER[other] < ROOM_LAYER[room], f"{room} imports {other}"


def test_the_modules_of_a_package_import_each_other_one_way() -> None:
    within = {
        name_of(path): {
            module
            for module in imported(path)
            if module.rpartition(".")[0] == name_of(path).rpartition(".")[0]
        }
        for path in MODULES
    }
    assert list(TopologicalSorter(within).static_order())


def rows_of(heading: str) -> dict[str, int]:
    """Return what a table of the design page names first in its rows, and in which row it is."""
    page = (PACKAGE.parent / "docs" / "design.md").read_text("utf-8")
    table = page.partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    named = (re.findall(r"`(\w+)/?`", line.split("|")[1]) for line in table)
    return {name: row for row, names in enumerate(named) for name in names}


def test_the_design_page_names_every_room_below_those_that_it_imports() -> None:
    rows = rows_of("package")
    assert rows.keys() == ROOM_LAYER.keys() - {"__init__", "__main__"}
    for path in MODULES:
        room = room_of(name_of(path))
        for other in {room_of(module) for module in imported(path)} & rows.keys() - {room}:
            assert room not in rows or rows[other] < rows[room], f"{room} imports {other}"


def test_the_design_page_names_every_module_of_the_ranking_below_those_that_it_imports() -> None:
    rows = rows_of("modules of `ranking/`")
    assert rows.keys() == {path.stem for path in PACKAGE.glob("ranking/[!_]*.py")}
    for module, row in rows.items():
        for other in imported(PACKAGE / "ranking" / f"{module}.py"):
            package, _, name = other.partition(".")
            assert package != "ranking" or rows[name] <= row, f"{module} imports {name}"


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
    assert set(toolret.__all__) == set(toolret._MODULE_OF)
    for package in (toolret, langchain):
        assert set(package.__all__) <= set(dir(package))
    for name in toolret.__all__:
        assert getattr(toolret, name) is not None


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(toolret, "nothing")  # noqa: B009 - mypy rightly refuses the plain form
