from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest

from toolret.catalogs import load_tools
from toolret.errors import CatalogError
from toolret.types import Tool

OPENAPI = """
openapi: 3.1.0
info: {title: Orders API, version: 1.0.0}
paths:
  /orders: {get: {operationId: listOrders, summary: List orders}}
"""


def _write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def _ids(tools: list[Tool]) -> list[str]:
    return [tool.id for tool in tools]


def test_sources_are_told_apart_by_content(tmp_path: Path) -> None:
    rows = _write(tmp_path / "rows.yaml", '{"name": "a"}\n{"name": "b", "namespace": "n"}\n')
    one = _write(tmp_path / "one.txt", '{"name": "c"}')
    listed = _write(tmp_path / "list", '[{"name": "d"}]')
    api = _write(tmp_path / "api.jsonl", OPENAPI)
    tools = load_tools(rows, str(one), listed, api)
    assert _ids(tools) == ["a", "n.b", "c", "d", "orders.listOrders"]
    assert tools[1].origin == f"{rows}: line 2"
    assert tools[3].origin == f"{listed}: /0"


def test_a_given_namespace_replaces_a_title_and_completes_rows(tmp_path: Path) -> None:
    rows = _write(tmp_path / "rows", '{"name": "a"}\n{"name": "b", "namespace": "n"}\n')
    api = _write(tmp_path / "api", OPENAPI)
    assert _ids(load_tools(rows, api, namespace="x")) == ["x.a", "n.b", "x.listOrders"]


def test_a_folder_gives_its_catalogs_in_order_without_hidden_ones(tmp_path: Path) -> None:
    _write(tmp_path / "b.yaml", OPENAPI)
    _write(tmp_path / "a" / "z.json", '{"name": "z"}')
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b'{"name": "c"}'))
    for ignored in ("README.md", ".hidden.json", ".git/x.json", "notes.gz"):
        _write(tmp_path / ignored, "no catalog")
    assert _ids(load_tools(tmp_path)) == ["z", "orders.listOrders", "c"]


def test_a_folder_without_catalogs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"the folder holds no \.json, \.jsonl, \.yaml, \.yml"):
        load_tools(tmp_path)


def test_a_catalog_given_as_text_is_an_error_not_a_crash() -> None:
    with pytest.raises(CatalogError, match="cannot be read: File name too long"):
        load_tools(OPENAPI * 100)


def test_a_tool_given_twice_stands_once(tmp_path: Path) -> None:
    first = _write(tmp_path / "a.yaml", OPENAPI)
    second = _write(tmp_path / "b.yaml", OPENAPI)
    assert _ids(load_tools(first, second)) == ["orders.listOrders"]


def test_one_id_for_two_tools_is_an_error_that_names_both(tmp_path: Path) -> None:
    first = _write(tmp_path / "a.yaml", OPENAPI)
    second = _write(tmp_path / "b.yaml", OPENAPI.replace("List orders", "Find orders"))
    with pytest.raises(CatalogError) as caught:
        load_tools(first, second)
    assert str(caught.value) == (
        f"{second}: /paths/~1orders/get: the id 'orders.listOrders' already stands for something "
        f"else, given at {first}: /paths/~1orders/get: give one of them another id"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"name": "a"}\n{"description": "b"}', "line 2: the field `name` is missing"),
        ('[{"name": "a"}, 5]', "/1: expected a tool row, found 5"),
        ('{"name": ""}', "the tool has a blank `name` and no `id`"),
        ("openapi: 3.1.0\n", "the OpenAPI document has no `paths` with operations"),
        ("", "the file is empty"),
    ],
)
def test_a_bad_catalog_is_an_error_with_file_and_place(
    tmp_path: Path, content: str, problem: str
) -> None:
    path = _write(tmp_path / "catalog", content)
    with pytest.raises(CatalogError) as caught:
        load_tools(path)
    assert str(caught.value) == f"{path}: {problem}"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"b": 1, "a": 2}, "an object with the keys 'b', 'a'"),
        ({}, "an empty object"),
        ([], "[]"),
        (
            [{"name": "a", "inputSchema": {}}],
            "a list of which the first is an object with the keys 'name', 'inputSchema'",
        ),
        ("some text", "'some text'"),
    ],
)
def test_what_no_source_recognizes_is_an_error_that_says_what_is_read(
    tmp_path: Path, content: Any, found: str
) -> None:
    path = _write(tmp_path / "catalog", json.dumps(content))
    with pytest.raises(CatalogError) as caught:
        load_tools(path)
    assert str(caught.value) == (
        f"{path}: found {found}; toolret reads OpenAPI 3.0 and 3.1 documents and Swagger 2.0 "
        "documents and tool rows (JSON Lines, or a list of them)"
    )


def test_an_openapi_document_of_100_mb_is_read_in_seconds(tmp_path: Path) -> None:
    head = '{"openapi": "3.0.3", "info": {"title": "Big"}, "paths": {"/a": {"get": {}}},\n"x": [\n'
    item = json.dumps({"text": "x" * 1000}) + ",\n"
    path = _write(tmp_path / "big.json", f"{head}{item * 100_000}0]}}")
    assert path.stat().st_size > 100_000_000
    started = time.process_time()
    assert _ids(load_tools(path)) == ["big.get_a"]
    assert time.process_time() - started < 20
