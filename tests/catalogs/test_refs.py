"""References between files: what is followed, and what never is."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from toolret.catalogs import load_tools
from toolret.catalogs.openapi import OpenApi
from toolret.catalogs.refs import Place, References, referenced_files
from toolret.catalogs.source import Document
from toolret.errors import CatalogError

ROOT = """
openapi: 3.1.0
info: {title: Shop}
paths:
  /orders: {$ref: 'paths/orders.yaml'}
"""
ORDERS = """
get:
  operationId: listOrders
  summary: List all orders
  parameters:
  - {$ref: '../common.json#/parameters/Limit'}
post:
  operationId: createOrder
  summary: Place an order
  requestBody:
    content:
      application/json:
        schema: {$ref: '../schemas/order.yaml#/'}
  responses:
    '201':
      content:
        application/json: {schema: {type: array, items: {$ref: '../schemas/order.yaml'}}}
"""
ORDER = """
type: object
properties:
  size: {$ref: 'sizes/a%20b.yaml#/Size'}
  next: {$ref: 'order.yaml'}
  limit: {$ref: '../api.yaml#/components/schemas/Limit'}
"""
FILES = {
    "api.yaml": ROOT + "components: {schemas: {Limit: {type: integer}}}\n",
    "paths/orders.yaml": ORDERS,
    "schemas/order.yaml": ORDER,
    "schemas/sizes/a b.yaml": "Size: {enum: [s, m]}\n",
    "common.json": '{"parameters": {"Limit": {"name": "limit", "in": "query", "schema": true}}}',
}


def test_references_by_id_and_anchor_are_resolved() -> None:
    schemas: dict[str, Any] = {
        "Pet": {"$id": "https://shop.example/pet", "properties": {"$id": {"type": "string"}}},
        "Tag": [{"$id": "Tag", "$anchor": "tag", "type": "string"}],
    }
    refs = References(Document({"components": {"schemas": schemas}}, "api.json"))
    for ref, found, pointer in (
        ("https://shop.example/pet", schemas["Pet"], "/components/schemas/Pet"),
        ("Tag", schemas["Tag"][0], "/components/schemas/Tag/0"),
        ("#tag", schemas["Tag"][0], "/components/schemas/Tag/0"),
    ):
        assert refs.lookup(ref, Place("api.json")) == (found, Place("api.json", pointer))
    with pytest.raises(CatalogError, match="'#gat' leads nowhere"):
        refs.lookup("#gat", Place("api.json"))


def _written(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    return folder


def _with_ref(folder: Path, ref: str) -> Path:
    operation = {"parameters": [{"$ref": ref}]}
    content = {"openapi": "3.1.0", "paths": {"/a": {"get": operation}}}
    return _written(folder, {"api.json": json.dumps(content)}) / "api.json"


def _problem(path: Path) -> str:
    with pytest.raises(CatalogError) as caught:
        load_tools(path)
    return str(caught.value)


def test_references_lead_to_other_files_of_the_folder(tmp_path: Path) -> None:
    api = _written(tmp_path, FILES) / "api.yaml"
    listed, create = load_tools(api)
    assert create.metadata["returns"] == "list of order: size, next, limit"
    assert listed.parameters == {"type": "object", "properties": {"limit": {}}}
    assert listed.metadata["arguments"] == {"limit": {"in": "query", "name": "limit"}}
    assert listed.origin == f"{tmp_path}/paths/orders.yaml: /get"
    assert create.parameters == {
        "type": "object",
        "properties": {
            "size": {"enum": ["s", "m"]},
            "next": {
                "type": "object",
                "description": "Circular reference to order: any object is accepted",
            },
            "limit": {"type": "integer"},
        },
    }


def test_the_files_of_a_document_are_known(tmp_path: Path) -> None:
    _written(tmp_path, FILES | {"other.yaml": "a: 1", "broken.yaml": "["})
    content = {"a": [{"$ref": "paths/orders.yaml"}, {"$ref": "broken.yaml"}, {"$ref": "none.yaml"}]}
    content["a"] += [{"$ref": "https://a.example/x.yaml"}, {"$ref": "#/a"}, {"$ref": "../x.yaml"}]
    document = Document(content, str(tmp_path / "api.json"), folder=str(tmp_path))
    names = ("api.yaml", "broken.yaml", "common.json", "paths/orders.yaml", "schemas/order.yaml")
    assert referenced_files(document) == {
        tmp_path.resolve() / name for name in (*names, "schemas/sizes/a b.yaml")
    }
    assert referenced_files(Document(content, "<argument 1>")) == set()


def test_a_source_returns_the_files_that_a_document_uses(tmp_path: Path) -> None:
    _written(tmp_path, {"p.yaml": "get: {}", "q.yaml": "a: 1"})
    content = {"openapi": "3.1.0", "paths": {"/a": {"$ref": "p.yaml"}}}
    document = Document(content, str(tmp_path / "api.json"), folder=str(tmp_path))
    assert [tool.name for tool in OpenApi().tools(document, namespace="x")] == ["get_a"]
    assert OpenApi().used_files(document) == {tmp_path.resolve() / "p.yaml"}


def test_a_folder_may_hold_documents_and_what_they_are_made_of(tmp_path: Path) -> None:
    limit = "name: limit\nin: query\ndescription: How many there may be.\n"
    common = '{"parameters": {"Limit": {"$ref": "a/limit.yaml"}}}'
    rows = {"rows.jsonl": '{"name": "row"}', "b.yaml": FILES["api.yaml"].replace("Shop", "B")}
    _written(tmp_path, FILES | {"a/limit.yaml": limit, "common.json": common} | rows)
    tools = load_tools(tmp_path)
    ids = ["shop.listOrders", "shop.createOrder", "b.listOrders", "b.createOrder", "row"]
    assert [tool.id for tool in tools] == ids
    assert [found.tools for found in tools.found] == [2, 2, 1]
    _written(tmp_path, {"stray.yaml": "type: object"})
    with pytest.raises(CatalogError, match=r"stray\.yaml: found an object with the keys 'type'"):
        load_tools(tmp_path)


@pytest.mark.parametrize(
    "idle",
    [
        "openapi: 3.0.3\npaths: {}\ncomponents: {schemas: {Size: {type: string}}}\n",
        "openapi: 3.1.0\nwebhooks: {new: {post: {}}}\n",
        "swagger: '2.0'\ndefinitions: {Size: {type: string}}\n",
    ],
)
def test_documents_without_operations_may_stand_in_a_folder(tmp_path: Path, idle: str) -> None:
    operation = {"parameters": [{"name": "a", "in": "query", "schema": {"$ref": "idle.yaml"}}]}
    content = {"openapi": "3.1.0", "paths": {"/a": {"get": operation}}}
    _written(tmp_path, {"idle.yaml": idle, "rows.jsonl": '{"name": "row"}'})
    assert [found.tools for found in load_tools(tmp_path).found] == [0, 1]
    _written(tmp_path, {"api.json": json.dumps(content)})
    assert [found.tools for found in load_tools(tmp_path).found] == [1, 1]  # a part, by now
    (tmp_path / "api.json").unlink()
    (tmp_path / "rows.jsonl").unlink()
    for path in (tmp_path, tmp_path / "idle.yaml"):
        assert "`paths` with operations" in _problem(path)


def test_a_parameter_that_nothing_refers_to_is_no_tool(tmp_path: Path) -> None:
    _written(tmp_path, {"limit.yaml": "name: limit\nin: query\ndescription: How many.\n"})
    assert "found an object with the keys 'name', 'in', 'description'" in _problem(tmp_path)


def test_a_wider_folder_may_be_given(tmp_path: Path) -> None:
    _written(tmp_path, {"common.yaml": "P: {name: p, in: query}", "shop/x.yaml": ""})
    operation = {"parameters": [{"$ref": "../common.yaml#/P"}]}
    content = {"openapi": "3.1.0", "paths": {"/a": {"get": operation}}}
    file = str(tmp_path / "shop" / "api.yaml")
    (tool,) = OpenApi().tools(Document(content, file, folder=str(tmp_path)), namespace=None)
    assert tool.metadata["arguments"] == {"p": {"in": "query", "name": "p"}}
    with pytest.raises(CatalogError, match="leads out of the folder"):
        list(OpenApi().tools(Document(content, file), namespace=None))


@pytest.mark.parametrize(
    "ref",
    [
        "https://a.example/p.yaml#/P",
        "http://127.0.0.1:1/p.yaml",
        "//a.example/p.yaml",
        "file:///etc/passwd",
        "FTP://a.example/p",
        "http://[::1/p.yaml",
    ],
)
def test_a_url_is_refused_and_nothing_is_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ref: str
) -> None:
    monkeypatch.setattr(socket, "socket", None)
    path = _with_ref(tmp_path, ref)
    assert _problem(path) == (
        f"{path}: /paths/~1a/get/parameters/0/$ref: $ref {ref!r} leads to a URL; toolret fetches "
        "none: save it as a file in the folder and refer to that"
    )


@pytest.mark.parametrize(
    "ref",
    [
        "/etc/passwd",
        "../secret.yaml#/P",
        "..%2Fsecret.yaml#/P",
        "%2e%2e/secret.yaml#/P",
        "inner/../../secret.yaml",
        "link.yaml#/P",
        "linked/secret.yaml#/P",
        "../shop2/p.yaml",
    ],
)
def test_nothing_outside_the_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ref: str
) -> None:
    secret = {"secret.yaml": "P: {name: secret, in: query}"}
    _written(tmp_path, secret | {"shop2/p.yaml": "{name: secret, in: query}", "shop/inner/x": ""})
    _written(tmp_path / "elsewhere", secret)
    shop = tmp_path / "shop"
    (shop / "link.yaml").symlink_to("../secret.yaml")
    (shop / "linked").symlink_to(tmp_path / "elsewhere")
    path = _with_ref(shop, ref)
    read: set[str] = set()
    unwatched = Path.open

    def watched(self: Path, *args: Any, **options: Any) -> Any:
        read.add(str(self))
        return unwatched(self, *args, **options)

    monkeypatch.setattr(Path, "open", watched)
    assert _problem(path) == (
        f"{path}: /paths/~1a/get/parameters/0/$ref: $ref {ref!r} leads out of the folder "
        f"{str(shop)!r}, and nothing outside of it is read: give toolret the folder that holds both"
    )
    assert read == {str(path)}


def test_links_inside_the_folder_are_followed(tmp_path: Path) -> None:
    _written(tmp_path, {"real/p.yaml": "P: {$ref: 'q.yaml#/Q'}", "real/q.yaml": ""})
    (tmp_path / "real" / "q.yaml").write_text("Q: {name: q, in: query}")
    (tmp_path / "linked").symlink_to("real")
    (tool,) = load_tools(_with_ref(tmp_path, "linked/p.yaml#/P"))
    assert tool.metadata["arguments"] == {"q": {"in": "query", "name": "q"}}


@pytest.mark.parametrize("kind", ["none", "folder", "pipe", "loop", "null", "long"])
def test_only_regular_files_are_read(tmp_path: Path, kind: str) -> None:
    there = tmp_path / "p.yaml"
    if kind == "folder":
        there.mkdir()
    elif kind == "pipe":
        os.mkfifo(there)
    elif kind == "loop":
        there.symlink_to("p.yaml")
    ref = "p.yaml#/P"
    if kind == "null":
        ref, there = "p%00.yaml", tmp_path / "p\ufffd.yaml"
    elif kind == "long":
        ref, there = "p" * 5_000, tmp_path / ("p" * 5_000)
    assert _problem(_with_ref(tmp_path, ref)).endswith(
        f"$ref {ref!r} leads nowhere: there is no file {str(there)!r}"
    )


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    _written(tmp_path, {"p.yaml": "a: [", "q.yaml": "Q: 1"})
    assert _problem(_with_ref(tmp_path, "p.yaml")).startswith(f"{tmp_path}/p.yaml: line 2")
    path = _with_ref(tmp_path, "q.yaml#/R")
    assert _problem(path).endswith("$ref 'q.yaml#/R' leads nowhere")
    path = _with_ref(tmp_path, "q.yaml#/Q")
    assert _problem(path) == f"{tmp_path}/q.yaml: /Q: expected an object, found 1"


def test_a_loop_over_files_is_refused(tmp_path: Path) -> None:
    _written(tmp_path, {"p.yaml": "P: {$ref: 'q.yaml#/Q'}", "q.yaml": "Q: {$ref: 'p.yaml#/P'}"})
    assert _problem(_with_ref(tmp_path, "p.yaml#/P")) == (
        f"{tmp_path}/q.yaml: /Q/$ref: $ref 'p.yaml#/P' leads to itself"
    )


def test_a_document_in_memory_refers_to_no_file() -> None:
    refs = References(Document({"a": 1}, "<argument 1>"))
    assert refs.lookup("#/a", Place("<argument 1>")) == (1, Place("<argument 1>", "/a"))
    with pytest.raises(CatalogError, match="the document itself is in none: give toolret the file"):
        refs.lookup("p.yaml", Place("<argument 1>", "/b"))


def test_a_place_has_a_readable_name() -> None:
    place = Place("a/api.yaml") / "paths" / "/a~b" / 0
    assert str(place) == "a/api.yaml: /paths/~1a~0b/0"
    assert str(Place("a/api.yaml")) == "a/api.yaml"
    assert (place.name, Place("a/api.yaml").name) == ("0", "api")
    problem: Any = place.wrong("an array", {"b": 1})
    assert str(problem) == "a/api.yaml: /paths/~1a~0b/0: expected an array, found {'b': 1}"


def _references(files: dict[str, str], folder: Path) -> tuple[References, Place]:
    (_written(folder, files) / "api.json").touch()
    file = str(folder / "api.json")
    return References(Document(json.loads(files["api.json"]), file)), Place(file)


def test_a_reference_leads_through_others(tmp_path: Path) -> None:
    content = {
        "a": {"$ref": "#/b~1c"},
        "b/c": {"$ref": "more.json#/d"},
        "list": {"x": [{"$ref": "#/a"}]},
    }
    files = {"api.json": json.dumps(content), "more.json": '{"d": {"e": [1, {"f": 2}]}}'}
    refs, place = _references(files, tmp_path)
    more = str(tmp_path / "more.json")
    assert refs.lookup("#/a/e/1/f", place) == (2, Place(more, "/d/e/1/f"))
    assert refs.lookup("#/list/x/0/e/0", place) == (1, Place(more, "/d/e/0"))
    for nowhere in ("#/a/e/2", "#/a/e/01", "#/a/x", f"#/a/e/{'9' * 5_000}", "#/a/e/1/f/g"):
        with pytest.raises(CatalogError, match="leads nowhere"):
            refs.lookup(nowhere, place)


def test_a_reference_through_itself_is_refused(tmp_path: Path) -> None:
    content: dict[str, Any] = {f"a{i}": {"$ref": f"#/a{i + 1}/x"} for i in range(2_000)}
    content["self"] = {"$ref": "#/self/x"}
    refs, place = _references({"api.json": json.dumps(content)}, tmp_path)
    for ref in ("#/self/x", "#/a0/x"):
        with pytest.raises(CatalogError, match="leads to itself, or through too many"):
            refs.lookup(ref, place)
