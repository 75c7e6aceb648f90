from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolret.catalogs import load_tools
from toolret.errors import CatalogError
from toolret.text.rendering import searched_text
from toolret.types import Tool

DELETE = {
    "name": "delete_file",
    "title": "Delete a file",
    "description": "Removes a file for good.",
    "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}},
    "outputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True},
    "icons": [{"src": "data:image/png;base64,AAAA"}],
    "_meta": {"team": "storage"},
}
READ = {
    "name": "read",
    "title": "Read a file",
    "inputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": True, "openWorldHint": False},
}


def test_a_dump_is_read_with_what_the_server_says_of_its_tools(tmp_path: Path) -> None:
    path = tmp_path / "files-server.json"
    path.write_text(json.dumps({"tools": [DELETE, READ], "nextCursor": None}), "utf-8")
    assert load_tools(path) == [
        Tool(
            "files_server.delete_file",
            "delete_file",
            namespace="files_server",
            description="Removes a file for good.",
            parameters={"type": "object", "properties": {"path": {"type": "string"}}},
            tags=("destructive", "idempotent"),
            metadata={
                "title": "Delete a file",
                "outputSchema": {"type": "object"},
                "annotations": {
                    "readOnlyHint": False,
                    "destructiveHint": True,
                    "idempotentHint": True,
                },
                "_meta": {"team": "storage"},
            },
        ),
        Tool(
            "files_server.read",
            "read",
            namespace="files_server",
            description="Read a file",
            parameters={"type": "object"},
            tags=("read-only",),
            metadata={
                "title": "Read a file",
                "annotations": {"readOnlyHint": True, "openWorldHint": False},
            },
        ),
    ]


def test_dumps_of_several_servers_keep_apart_what_is_named_alike(tmp_path: Path) -> None:
    for server in ("github", "jira"):
        (tmp_path / f"{server}.json").write_text(json.dumps({"tools": [READ]}), "utf-8")
    assert [tool.id for tool in load_tools(tmp_path)] == ["github.read", "jira.read"]
    assert [tool.id for tool in load_tools(READ)] == ["read"]
    assert [tool.id for tool in load_tools(tmp_path / "jira.json", namespace="j")] == ["j.read"]


def test_pages_of_a_long_list_are_read_one_after_the_other() -> None:
    pages: list[dict[str, object]] = [{"tools": [DELETE], "nextCursor": "2"}, {"tools": [READ]}]
    assert [tool.id for tool in load_tools(pages)] == ["delete_file", "read"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"inputSchema": True}, "the field `inputSchema` should be an object, not True"),
        ({"annotations": "none"}, "the field `annotations` should be an object, not 'none'"),
        ({"name": 5}, "the field `name` should be a valid string, not 5"),
    ],
)
def test_bad_tools_are_errors(change: dict[str, object], problem: str) -> None:
    with pytest.raises(CatalogError) as caught:
        load_tools({"tools": [READ, READ | change]})
    assert str(caught.value) == f"<argument 1>: /tools/1: {problem}"


def test_hints_are_not_searched(tmp_path: Path) -> None:
    hints = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
    path = tmp_path / "files.json"
    path.write_text(json.dumps({"tools": [READ | {"annotations": dict.fromkeys(hints, True)}]}))
    (read,) = load_tools(path)
    assert len(read.tags) == len(hints)
    assert searched_text(read) == "files. read. Read a file"
