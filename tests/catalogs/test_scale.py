"""Large documents: a tenth of 100 MB and of 50,000 operations, within a tenth of 2 GB."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_OPERATIONS = 5_000
_BYTES = 10_000_000
_MEMORY = 200_000_000

_LOAD = """
import resource, sys
from toolret.catalogs import load_tools
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
tools = load_tools(sys.argv[1])
print(len(tools), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def _document() -> dict[str, object]:
    fields = {
        f"f{i}": {"type": "string", "description": f"Field {i} of it. \u263a"} for i in range(8)
    }
    schemas = {
        f"Model{i}": {
            "type": "object",
            "properties": fields | {"parent": {"$ref": f"#/components/schemas/Model{i // 2}"}},
        }
        for i in range(400)
    }
    paths = {}
    for i in range(_OPERATIONS):
        schema = {"$ref": f"#/components/schemas/Model{i % 400}"}
        own = {f"p{j}": {"type": "integer", "description": f"{j} of {i}"} for j in range(12)}
        body = {"type": "object", "properties": own | {"m": schema}}
        operation = {
            "operationId": f"operation{i}",
            "description": f"Do the thing {i}. " + "It is described at some length. " * 28,
            "parameters": [{"name": "id", "in": "path", "schema": {"type": "string"}}],
            "requestBody": {"content": {"application/json": {"schema": body}}},
            "responses": {"200": {"description": "OK", "content": {"a/json": {"schema": schema}}}},
        }
        paths[f"/things/{i}/{{id}}"] = {"post": operation}
    info = {"title": "Large"}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


@pytest.mark.parametrize("escaped", [True, False])
def test_a_large_document_is_read_in_little_memory(tmp_path: Path, escaped: bool) -> None:
    path = tmp_path / "large.json"
    text = json.dumps(_document(), ensure_ascii=escaped)
    path.write_text(text, "utf-8")
    assert path.stat().st_size > _BYTES
    printed = subprocess.run(
        [sys.executable, "-c", _LOAD, str(path)], capture_output=True, text=True, check=True
    )
    tools, kilobytes = map(int, printed.stdout.split())
    assert tools == _OPERATIONS
    assert kilobytes * 1024 < _MEMORY
