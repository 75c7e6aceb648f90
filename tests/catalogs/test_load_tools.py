from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.conftest import ids_of
from toolret.catalogs import Document, load_tools
from toolret.catalogs.mcp_tools import McpTools
from toolret.catalogs.openapi import OpenApi
from toolret.catalogs.source import Source
from toolret.errors import CatalogError
from toolret.index import ToolIndex
from toolret.testing import HashedWordsEmbedder
from toolret.types import Tool

OPENAPI = """
openapi: 3.1.0
info: {title: Orders API, version: 1.0.0}
paths:
  /orders: {get: {operationId: listOrders, summary: List orders}}
"""


class Runnable(BaseModel):
    """A tool with its function, as fastmcp has them."""

    name: str
    run: Any


def _write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def test_sources_are_told_apart_by_content(tmp_path: Path) -> None:
    rows = _write(tmp_path / "rows.yaml", '{"name": "a"}\n{"name": "b", "namespace": "n"}\n')
    one = _write(tmp_path / "one.txt", '{"name": "c"}')
    listed = _write(tmp_path / "list", '[{"name": "d"}]')
    api = _write(tmp_path / "api.jsonl", OPENAPI)
    tools = load_tools(rows, str(one), listed, api)
    assert ids_of(tools) == ["a", "n.b", "c", "d", "orders.listOrders"]
    assert tools[1].origin == f"{rows}: line 2"
    assert tools[3].origin == f"{listed}: /0"


def test_the_catalog_says_what_was_found(tmp_path: Path) -> None:
    rows = _write(tmp_path / "rows", '{"name": "a"}\n{"name": "b"}\n{"name": "c"}\n')
    api = _write(tmp_path / "api", OPENAPI)
    mixed = [{"type": "function", "function": {"name": "f"}}, {"name": "g", "inputSchema": {}}]
    catalog = load_tools(rows, api, mixed)
    assert [str(found) for found in catalog.found] == [
        f"{rows}: 3 x tool row, 3 tools",
        f"{api}: OpenAPI 3.1.0 document, 1 tool",
        "<argument 3>: OpenAI Chat function, 1 tool",
        "<argument 3>: MCP tool, 1 tool",
    ]
    assert ids_of(catalog) == ["a", "b", "c", "orders.listOrders", "f", "g"]


def test_lists_may_mix_kinds_and_requests_to_models_are_opened(tmp_path: Path) -> None:
    tools = [
        {"type": "function", "function": {"name": "chat"}},
        {"type": "function", "name": "responses"},
        {"name": "anthropic", "input_schema": {"type": "object"}},
        {"name": "mcp", "inputSchema": {"type": "object"}},
        {"name": "row", "parameters": {"type": "object"}},
    ]
    names = ["chat", "responses", "anthropic", "mcp", "row"]
    contents: list[Any] = [
        tools,
        {"model": "some-model", "messages": [], "tools": tools},
        {"object": "assistant", "name": "an agent", "description": "...", "tools": tools},
        {"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}},
        [{"tools": tools[:2], "nextCursor": "more"}, {"tools": tools[2:]}],
    ]
    for content in contents:
        path = _write(tmp_path / "list.json", json.dumps(content))
        assert [tool.name for tool in load_tools(path)] == names
        assert [tool.name for tool in load_tools(content)] == names
    lines = _write(tmp_path / "lines", "\n".join(json.dumps(tool) for tool in tools))
    assert [tool.name for tool in load_tools(lines)] == names
    assert load_tools(lines)[3].origin == f"{lines}: line 4"


def test_values_in_memory_are_copied_and_must_be_json() -> None:
    row = {"name": "a", "parameters": {"type": "object", "properties": {}}}
    loaded = load_tools(row)
    row["name"] = "changed"
    assert ids_of(loaded) == ["a"]
    assert loaded[0].origin == "<argument 1>"
    with pytest.raises(CatalogError, match=r"<argument 2>: /0: the value is no JSON: set has no"):
        load_tools([{"name": "a"}], [{"name": "a", "tags": {1}}])
    with pytest.raises(CatalogError, match="the value is no JSON: Out of range float"):
        load_tools({"name": "a", "x": float("nan")})
    circle: dict[str, Any] = {"name": "a"}
    circle["self"] = circle
    with pytest.raises(CatalogError, match="the value is no JSON: Circular reference"):
        load_tools(circle)
    with pytest.raises(CatalogError, match="found an object of type object: give JSON values"):
        load_tools([object()])
    with pytest.raises(CatalogError, match=r"^<argument 1>: /0: the value is no JSON: Unable to"):
        load_tools([Runnable(name="a", run=load_tools)])


def test_tools_of_llama_index_describe_themselves() -> None:
    function_tool = pytest.importorskip("llama_index.core.tools").FunctionTool
    tool = function_tool.from_defaults(lambda room: room, name="book", description="Book a room.")
    (loaded,) = load_tools([tool.metadata.to_openai_tool()])
    assert (loaded.id, loaded.description) == ("book", "Book a room.")
    assert "room" in (loaded.parameters or {})["properties"]


def test_a_list_has_no_files_read(tmp_path: Path) -> None:
    """It may come from anywhere, such as the reply of a server."""
    rows = _write(tmp_path / "rows.json", '{"name": "secret"}')
    found = r"^<argument 1>: /0: found '.*; toolret reads .*; give paths as arguments of their own$"
    with pytest.raises(CatalogError, match=found):
        load_tools([str(rows)])
    with pytest.raises(CatalogError, match=r"and paths as arguments of their own$"):
        load_tools([rows])


def test_files_that_other_documents_use_need_not_be_catalogs(tmp_path: Path) -> None:
    """A source tells which files the references of its document lead into."""
    part = _write(tmp_path / "a_part.yaml", "Pet: {type: object}\n")
    _write(tmp_path / "b.json", '{"name": "b", "uses": "a_part.yaml"}')

    class Referring:
        reads = "documents that use others"

        def recognizes(self, content: Any) -> bool:
            return isinstance(content, dict) and "uses" in content

        def kind(self, content: Any) -> str:
            return "document"

        def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
            yield Tool("b", "b")

        def used_files(self, document: Document) -> set[Path]:
            assert document.folder == str(tmp_path)
            return {(tmp_path / document.content["uses"]).resolve()}

    assert ids_of(load_tools(tmp_path, sources=[Referring()])) == ["b"]
    with pytest.raises(CatalogError, match=rf"^{part}: found an object with the keys 'Pet'"):
        load_tools(tmp_path)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    secret = _write(tmp_path / "secret.json", '{"name": "secret"}')
    folder = tmp_path / "folder"
    _write(folder / "a.json", '{"name": "a"}')
    (folder / "b.json").symlink_to(folder / "a.json")
    assert ids_of(load_tools(folder)) == ["a"]
    (folder / "link.json").symlink_to(secret)
    with pytest.raises(CatalogError, match=r"link.json: the link leads out of the folder"):
        load_tools(folder)


def test_a_given_namespace_replaces_a_title_and_completes_rows(tmp_path: Path) -> None:
    rows = _write(tmp_path / "rows", '{"name": "a"}\n{"name": "b", "namespace": "n"}\n')
    api = _write(tmp_path / "api", OPENAPI)
    assert ids_of(load_tools(rows, api, namespace="x")) == ["x.a", "n.b", "x.listOrders"]


def test_a_folder_gives_its_catalogs_in_order_without_hidden_ones(tmp_path: Path) -> None:
    _write(tmp_path / "b.yaml", OPENAPI)
    _write(tmp_path / "a" / "z.json", '{"name": "z"}')
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b'{"name": "c"}'))
    for ignored in ("README.md", ".hidden.json", ".git/x.json", "notes.gz"):
        _write(tmp_path / ignored, "no catalog")
    assert ids_of(load_tools(tmp_path)) == ["z", "orders.listOrders", "c"]


def test_no_file_of_a_folder_is_silently_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    _write(folder / "A.JSON", '{"name": "a"}')
    _write(folder / ".data" / "b.json", '{"name": "b"}')
    (folder / "mounted").symlink_to(".data")
    (folder / "loop").symlink_to(".")
    (folder / "note.txt").symlink_to("nowhere")
    assert ids_of(load_tools(folder)) == ["a", "b"]
    assert [found.file for found in load_tools(folder).found] == [
        str(folder / name) for name in ("A.JSON", "mounted/b.json")
    ]
    _write(outside / "c.json", '{"name": "c"}')
    for name, target, problem in (
        ("linked", outside, "the link leads out of the folder"),
        ("gone.yaml", "nowhere", "the link leads nowhere"),
        ("gone", "nowhere", "the link leads nowhere"),
        ("self.json", "self.json", "the link leads nowhere"),
    ):
        (folder / name).symlink_to(target)
        with pytest.raises(CatalogError, match=f"{name}: {problem}"):
            load_tools(folder)
        (folder / name).unlink()

    (folder / "locked").mkdir()
    listed = Path.iterdir

    def refused(path: Path) -> Iterator[Path]:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(CatalogError, match="locked: cannot be read: Permission denied"):
        load_tools(folder)


def test_an_index_within_a_folder_is_no_part_of_it(tmp_path: Path) -> None:
    _write(tmp_path / "api.yaml", OPENAPI)
    tools = load_tools(tmp_path)
    ToolIndex(tmp_path / "my.index", embedder=HashedWordsEmbedder()).sync_tools(tools)
    (tmp_path / "my.index" / "fit.json").write_text("{}\n{}")
    assert load_tools(tmp_path) == tools
    with pytest.raises(CatalogError, match=r"my\.index: the folder is an index: give the files"):
        load_tools(tmp_path / "my.index")


def test_a_folder_without_catalogs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"the folder holds no \.json, \.jsonl, \.yaml, \.yml"):
        load_tools(tmp_path)


def test_a_catalog_given_as_text_is_an_error_not_a_crash() -> None:
    with pytest.raises(CatalogError, match="cannot be read: File name too long"):
        load_tools(OPENAPI * 100)


def test_a_tool_given_twice_stands_once(tmp_path: Path) -> None:
    first = _write(tmp_path / "a.yaml", OPENAPI)
    second = _write(tmp_path / "b.yaml", OPENAPI)
    assert ids_of(load_tools(first, second)) == ["orders.listOrders"]


def test_one_id_for_two_tools_is_an_error_that_names_both(tmp_path: Path) -> None:
    first = _write(tmp_path / "a.yaml", OPENAPI)
    second = _write(tmp_path / "b.yaml", OPENAPI.replace("List orders", "Find orders"))
    with pytest.raises(CatalogError) as caught:
        load_tools(first, second)
    assert str(caught.value) == (
        f"{second}: /paths/~1orders/get: the id 'orders.listOrders' already stands for something "
        f"else, given at {first}: /paths/~1orders/get: give one of them another id, or, unless "
        "its rows say their ids, read one catalog with a namespace= of its own (NAME=CATALOG on "
        "the command line)"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"name": "a"}\n{"description": "b"}', "line 2: the field `name` is missing"),
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
        ({"b": 1, "a": 2}, "found an object with the keys 'b', 'a'"),
        ({}, "found an empty object"),
        ([{"name": "a"}, 5], "/1: found 5"),
        ({"tools": [{"name": "a"}, {}]}, "/tools/1: found an empty object"),
        (
            {"name": "app", "description": "x"}
            | dict.fromkeys(
                ("version", "main", "scripts", "license", "repository", "engines"), "y"
            ),
            "found an object with the keys 'name', 'description', 'version', 'main', 'scripts'",
        ),
        (
            {"name": "ci", "on": "push", "jobs": {}},
            "found an object with the keys 'name', 'on', 'jobs'",
        ),
        ({"name": "web", "services": {}}, "found an object with the keys 'name', 'services'"),
        ("some text", "found 'some text'"),
        ([[[[[[{"name": "a"}]]]]]], "/0/0/0/0/0: found [{'name': 'a'}]"),
    ],
)
def test_what_no_source_recognizes_is_an_error_that_says_what_is_read(
    tmp_path: Path, content: Any, found: str
) -> None:
    path = _write(tmp_path / "catalog", json.dumps(content))
    with pytest.raises(CatalogError) as caught:
        load_tools(path)
    assert str(caught.value) == (
        f"{path}: {found}; toolret reads OpenAPI 3.0 and 3.1 documents, Swagger 2.0 documents, MCP "
        "tools (what tools/list gives), function schemas of OpenAI and Anthropic, LangChain tools, "
        "Python functions and tool rows (JSON Lines, or a list of them)"
    )


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ([], ""),
        ({"tools": []}, "/tools: "),
        ({"id": 1, "result": {"tools": []}}, "/result/tools: "),
    ],
)
def test_a_list_without_tools_is_an_error_unless_others_have_some(
    tmp_path: Path, content: Any, place: str
) -> None:
    empty = _write(tmp_path / "b.json", json.dumps(content))
    with pytest.raises(CatalogError) as caught:
        load_tools(empty)
    assert str(caught.value) == f"{empty}: {place}holds no tools"
    _write(tmp_path / "a.json", '{"name": "a"}')
    for catalog in (load_tools(tmp_path), load_tools(tmp_path / "a.json", content)):
        assert ids_of(catalog) == ["a"]
        assert str(catalog.found[1]).endswith(": empty list, 0 tools")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('{"name": "a", "name": "b"}', "the key 'name' stands twice in one object"),
        ('{"name": "a", "x": NaN}', "NaN is not JSON (at /x)"),
    ],
)
@pytest.mark.parametrize("number", [1, 2])
def test_invalid_json_is_reported_with_its_line(
    tmp_path: Path, row: str, problem: str, number: int
) -> None:
    lines = ['{"name": "x"}', '{"name": "y"}']
    lines.insert(number - 1, row)
    path = _write(tmp_path / "rows.jsonl", "\n".join(lines))
    with pytest.raises(CatalogError) as caught:
        load_tools(path)
    assert str(caught.value) == f"{path}: line {number}: {problem}"


def test_an_openapi_document_of_100_mb_is_read_in_seconds(tmp_path: Path) -> None:
    head = '{"openapi": "3.0.3", "info": {"title": "Big"}, "paths": {"/a": {"get": {}}},\n"x": [\n'
    item = json.dumps({"text": "x" * 1000}) + ",\n"
    path = _write(tmp_path / "big.json", f"{head}{item * 100_000}0]}}")
    assert path.stat().st_size > 100_000_000
    started = time.process_time()
    assert ids_of(load_tools(path)) == ["big.get_a"]
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    ("file", "ids"),
    [
        ("acme.crm.json", ["acme_crm.get_a", "acme_crm.find"]),
        ("acme.billing.JSON.gz", ["acme_billing.get_a", "acme_billing.find"]),
        ("acme.v2.yml", ["acme.get_a", "acme.find"]),
        ("<argument 1>", ["get_a", "find"]),
    ],
)
def test_a_namespace_is_made_of_a_whole_name_and_of_no_number(file: str, ids: list[str]) -> None:
    api = {"openapi": "3.1.0", "paths": {"/a": {"get": {}}}}
    tool = {"name": "find", "inputSchema": {}}
    contents: list[tuple[Source, Any]] = [(OpenApi(), api), (McpTools(), tool)]
    tools = [
        tool
        for source, content in contents
        for tool in source.tools(Document(content, file), namespace=None)
    ]
    assert ids_of(tools) == ids


def test_a_url_is_not_fetched() -> None:
    url = "https://api.example.com/openapi.json"
    for given in (url, Path(url)):
        with pytest.raises(CatalogError, match=f"^{re.escape(url)}: is a URL.*save it as a file$"):
            load_tools(given)
