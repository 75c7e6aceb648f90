from __future__ import annotations

import json
from typing import Any

import pytest

from toolret.catalogs import load_tools
from toolret.errors import CatalogError
from toolret.lint.checks import lint
from toolret.rows import tool_from_row, tool_to_row
from toolret.types import Tool

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Where."}},
    "required": ["city"],
}


@pytest.mark.parametrize(
    ("content", "metadata"),
    [
        (
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": "Tell the weather.",
                    "parameters": SCHEMA,
                    "strict": True,
                },
            },
            {"strict": True},
        ),
        (
            {
                "type": "function",
                "name": "weather",
                "description": "Tell the weather.",
                "parameters": SCHEMA,
                "strict": None,
                "defer_loading": True,
            },
            {"strict": None, "defer_loading": True},
        ),
        (
            {
                "name": "weather",
                "description": "Tell the weather.",
                "input_schema": SCHEMA,
                "input_examples": [{"city": "Oslo"}],
            },
            {"input_examples": [{"city": "Oslo"}]},
        ),
        (
            {
                "type": "custom",
                "name": "weather",
                "description": "Tell the weather.",
                "input_schema": SCHEMA,
            },
            {},
        ),
        ({"name": "weather", "description": "Tell the weather.", "parameters": SCHEMA}, {}),
    ],
)
def test_the_forms_of_providers(content: dict[str, Any], metadata: dict[str, Any]) -> None:
    assert load_tools([content], namespace="acme") == [
        Tool(
            "acme.weather",
            "weather",
            namespace="acme",
            description="Tell the weather.",
            parameters=SCHEMA,
            metadata=metadata,
        )
    ]


def test_permissions_are_read_as_in_rows() -> None:
    function = {"name": "weather", "parameters": SCHEMA}
    allowed = (frozenset({"weather:read"}),)
    for content in (
        {"type": "function", "function": function, "permissions": ["weather:read"]},
        {"type": "function", **function, "permissions": [["weather:read"]]},
        {"name": "weather", "input_schema": SCHEMA, "permissions": ["weather:read"]},
    ):
        (tool,) = load_tools(content)
        assert (tool.permissions, tool.metadata) == (allowed, {})
    for field, told in (("Permissions", "write `permissions`"), ("permissions", "not 'admin'")):
        with pytest.raises(CatalogError, match=told):
            load_tools({"type": "function", "function": function, field: "admin"})


def test_a_namespace_names_its_functions() -> None:
    catalog = load_tools(
        {
            "type": "namespace",
            "name": "crm",
            "description": "Customers.",
            "tools": [{"type": "function", "name": "find", "defer_loading": True}],
        },
        namespace="other",
    )
    assert catalog == [
        Tool(
            "crm.find",
            "find",
            namespace="crm",
            parameters={"type": "object", "properties": {}},
            metadata={"defer_loading": True},
        )
    ]
    assert catalog[0].origin == "<argument 1>: /tools/0"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"type": "function", "function": 5}, "the field `function` should be an object, not 5"),
        ({"type": "function"}, "the field `name` is missing"),
        ({"type": "function", "name": " "}, "the tool has a blank `name` and no `id`"),
        (
            {"name": "a", "input_schema": "text"},
            "the field `input_schema` should be an object, not 'text'",
        ),
        (
            {"type": "function", "name": "a", "description": ["b"]},
            "the field `description` should be a valid string, not ['b']",
        ),
        (
            {"type": "web_search_20250305", "name": "web_search"},
            "a tool of type 'web_search_20250305' is run by its provider and has no schema to "
            "choose it by: leave it out, and bind it beside the chosen tools",
        ),
        (
            {"type": "namespace", "name": "", "tools": []},
            "a namespace needs a `name`, and a list of `tools`",
        ),
    ],
)
def test_bad_schemas_are_errors(content: dict[str, Any], problem: str) -> None:
    with pytest.raises(CatalogError) as caught:
        load_tools([content])
    assert str(caught.value) == f"<argument 1>: /0: {problem}"


def test_a_bad_item_of_a_namespace_is_an_error_with_its_place() -> None:
    namespace = {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "a"}, 5]}
    with pytest.raises(CatalogError, match=r"^<argument 1>: /0/tools/1: expected a function"):
        load_tools([namespace])


@pytest.mark.parametrize(
    "row",
    [
        {"name": "a", "description": "x", "type": "customer_service"},
        {"name": "a", "type": "computer_vision", "parameters": SCHEMA},
        {"name": "a", "type": "mcp", "parameters": SCHEMA},
        {"name": "a", "description": "x", "type": "memory"},
        {"name": "a", "id": "x", "function": "billing"},
    ],
)
def test_a_row_may_have_fields_called_type_and_function(row: dict[str, Any]) -> None:
    ((tool,), (found,)) = (catalog := load_tools([row])), catalog.found
    said = {key: value for key, value in row.items() if key in ("type", "function")}
    assert (tool.metadata, tool.parameters) == (said, row.get("parameters"))
    assert found.kind == "tool row"


@pytest.mark.parametrize(
    "type_",
    [
        "bash_20250124",
        "code_interpreter",
        "computer_20251124",
        "computer_use_preview",
        "custom",
        "mcp",
        "tool_search_tool_bm25_20251119",
        "web_search_2025_08_26",
        "web_search_preview_2025_03_11",
    ],
)
def test_tools_that_providers_run_are_told_apart(type_: str) -> None:
    with pytest.raises(CatalogError, match=f"a tool of type '{type_}' is run by its provider"):
        load_tools([{"type": type_, "name": "a"}])


@pytest.mark.parametrize("more", [{}, {"parameters": None}])
def test_openais_functions_without_parameters_have_no_arguments(more: dict[str, Any]) -> None:
    for form in (
        {"type": "function", "function": {"name": "a", **more}},
        {"type": "function", "name": "a", **more},
    ):
        (tool,) = load_tools(form)
        assert tool.parameters == {"type": "object", "properties": {}}
        assert "missing-schema" not in [finding.check for finding in lint([tool])]


ARGUMENTS = {
    "city": {"type": "string", "description": "Where.", "required": True},
    "days": {"type": ["integer", "null"]},
    "place": {"type": "object", "required": ["id"], "properties": {"id": {}}},
}


@pytest.mark.parametrize("key", ["parameters", "input_schema", "inputSchema"])
def test_a_bare_map_of_arguments_is_read_as_properties(key: str) -> None:
    (tool,) = load_tools([{"name": "weather", key: ARGUMENTS}])
    assert tool.parameters == {
        "type": "object",
        "properties": ARGUMENTS | {"city": {"type": "string", "description": "Where."}},
        "required": ["city"],
    }
    findings = [f for f in lint([tool]) if f.check in ("invalid-schema", "rewritten-schema")]
    assert [(f.check, f.place) for f in findings] == [("rewritten-schema", "parameters")]
    row = json.loads(json.dumps(tool_to_row(tool)))
    assert tool_from_row(row) == tool


@pytest.mark.parametrize(
    "parameters",
    [
        {"city": {"type": "string"}, "days": 3},
        {"city": {"type": "city"}},
        {"city": "string"},
        {"city": {"type": "string"}, "title": {"type": "string"}},
        {"type": "object", "city": {"type": "string"}},
    ],
)
def test_parameters_that_may_be_no_map_of_arguments_are_kept_and_reported(
    parameters: dict[str, Any],
) -> None:
    (tool,) = load_tools([{"name": "weather", "parameters": parameters}])
    assert tool.parameters == parameters
    assert "invalid-schema" in [finding.check for finding in lint([tool])]
