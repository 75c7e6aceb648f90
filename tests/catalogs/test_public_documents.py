"""Real documents: every operation is a tool, and every tool is one that providers take."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.anthropic_rules import anthropic_problems
from tests.conftest import HTTP_METHODS, SHARED
from toolret.catalogs import load_tools
from toolret.lint.providers import openai_problems
from toolret.types import Tool

_FOLDER = SHARED / "openapi"

pytestmark = pytest.mark.shared


def _operations(path: Path) -> set[tuple[str, str]]:
    """Method and path of each operation, read as differently as can be: off the JSON's tokens.

    An operation is an object under a key that is a method, three levels below ``paths``.
    """
    found: set[tuple[str, str]] = set()
    keys: list[str | None] = []
    pending: str | None = None
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]', path.read_text("utf-8")):
        text = token[0]
        if text in "{[":
            keys.append(pending)
            pending = None
            if text == "{" and len(keys) == 4 and keys[1] == "paths" and keys[3] in HTTP_METHODS:
                found.add((keys[3].upper(), str(keys[2])))
        elif text in "}]":
            keys.pop()
            pending = None
        elif text.startswith('"'):
            pending = json.loads(text)
        elif text == ",":
            pending = None
    return found


_DOCUMENTS = sorted(_FOLDER.glob("*.json")) if _FOLDER.is_dir() else []


@pytest.mark.parametrize("path", _DOCUMENTS, ids=lambda path: path.stem)
def test_every_operation_is_a_tool_that_providers_take(path: Path) -> None:
    tools = load_tools(path)
    operations = _operations(path)
    assert {(tool.metadata["method"], tool.metadata["path"]) for tool in tools} == operations
    assert len(tools) == len(operations) == len({tool.id for tool in tools}) > 0
    for tool in tools:
        assert tool.parameters is not None
        Draft202012Validator.check_schema(dict(tool.parameters))
        assert list(openai_problems(tool.parameters)) == []
        assert list(anthropic_problems(tool.parameters)) == []
        assert '"$ref"' not in json.dumps(tool.parameters)
        _check_places(tool)


def _check_places(tool: Tool) -> None:
    """Each argument goes somewhere, and the path's are all there."""
    places: dict[str, dict[str, Any]] = tool.metadata["arguments"]
    assert tool.parameters is not None
    assert places.keys() == tool.parameters["properties"].keys()
    in_path = {place["name"] for place in places.values() if place["in"] == "path"}
    assert set(re.findall(r"{([^{}]+)}", tool.metadata["path"])) <= in_path
    assert tool.metadata["server"].startswith(("https://", "http://", "/"))
    if any(place["in"] == "body" for place in places.values()):
        assert "/" in tool.metadata["content_type"]


def test_the_whole_folder_is_one_catalog() -> None:
    assert len(_DOCUMENTS) == 25
    tools = load_tools(_FOLDER)
    assert len(tools) == sum(len(_operations(path)) for path in _DOCUMENTS) == 922


def test_what_real_documents_ask_for_is_kept() -> None:
    slack = {tool.name: tool for tool in load_tools(_FOLDER / "slack_swagger2.json")}
    post = slack["chat_postMessage"]
    assert post.metadata["server"] == "https://slack.com/api"
    assert post.metadata["content_type"] == "application/x-www-form-urlencoded"
    assert post.metadata["arguments"]["channel"] == {"in": "body", "name": "channel"}
    assert post.metadata["arguments"]["token"] == {"in": "header", "name": "token"}
    assert post.permissions == (frozenset({"chat:write:bot", "chat:write:user"}),)
    twilio = {tool.name: tool for tool in load_tools(_FOLDER / "twilio_api_v2010.json")}
    calls = twilio["ListCall"].metadata["arguments"]
    assert calls["StartTime_lt"] == {"in": "query", "name": "StartTime<"}
    assert calls["StartTime_gt"] == {"in": "query", "name": "StartTime>"}
    assert calls["StartTime"] == {"in": "query", "name": "StartTime"}


def test_an_operation_of_stripe_is_read_whole() -> None:
    tools = {tool.id: tool for tool in load_tools(_FOLDER / "stripe_spec3.json")}
    tool = tools["stripe.GetCustomersCustomer"]
    assert tool.description == "Retrieves a Customer object."
    assert tool.permissions == ()
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "customer": {"maxLength": 5000, "type": "string"},
            "expand": {
                "items": {"maxLength": 5000, "type": "string"},
                "type": "array",
                "description": "Specifies which fields in the response should be expanded.",
            },
        },
        "required": ["customer"],
        "additionalProperties": False,
    }
