from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from toolret.catalogs.openapi import OpenApi
from toolret.catalogs.source import Document
from toolret.errors import CatalogError
from toolret.lint.checks import lint
from toolret.text.rendering import tool_text
from toolret.types import Tool


def _tools(
    paths: Any, namespace: str | None = None, title: Any = "Orders API", **more: Any
) -> list[Tool]:
    content = {"openapi": "3.1.0", "info": {"title": title}, "paths": paths, **more}
    tools = list(OpenApi().tools(Document(content, "api.yaml"), namespace=namespace))
    for tool in tools:
        Draft202012Validator.check_schema(tool.parameters or {})
        assert json.loads(json.dumps(tool.metadata)) == tool.metadata
    return tools


def _tool(operation: Any, path: str = "/orders", **more: Any) -> Tool:
    (tool,) = _tools({path: {"post": operation}}, **more)
    return tool


def _body(schema: Any, *, required: bool = True, content_type: str = "application/json") -> Any:
    return {
        "operationId": "create",
        "requestBody": {"required": required, "content": {content_type: {"schema": schema}}},
    }


def test_an_operation_becomes_a_tool() -> None:
    operation = {
        "operationId": "cancelOrder",
        "summary": "Cancel an order",
        "description": "Stops it **before** it ships.",
        "tags": ["orders"],
        "deprecated": True,
        "security": [{"oauth": ["orders:write"]}],
        "parameters": [
            {"name": "notify", "in": "query", "description": "Tell them.", "schema": {}},
            {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {"reason": {"type": "string"}, "note": {"type": "string"}},
                        "required": ["reason"],
                    }
                }
            },
        },
    }
    servers = [{"url": "https://{host}/v1", "variables": {"host": {"default": "a.example"}}}]
    (tool,) = _tools({"/orders/{id}/cancel": {"post": operation}}, servers=servers)
    assert tool == Tool(
        id="orders.cancelOrder",
        name="cancelOrder",
        namespace="orders",
        description="Cancel an order. Stops it before it ships.",
        parameters={
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "notify": {"description": "Tell them."},
                "reason": {"type": "string"},
                "note": {"type": "string"},
            },
            "required": ["id", "reason"],
        },
        tags=("orders", "deprecated"),
        permissions=(frozenset({"orders:write"}),),
        metadata={
            "method": "POST",
            "path": "/orders/{id}/cancel",
            "server": "https://a.example/v1",
            "arguments": {
                "id": {"in": "path", "name": "id"},
                "notify": {"in": "query", "name": "notify"},
                "reason": {"in": "body", "name": "reason"},
                "note": {"in": "body", "name": "note"},
            },
            "content_type": "application/json",
            "security": [{"oauth": {"type": "", "scopes": ["orders:write"]}}],
        },
    )
    assert tool.origin == "api.yaml: /paths/~1orders~1{id}~1cancel/post"


def test_the_namespace_is_given_or_from_the_title_or_from_the_file() -> None:
    paths = {"/x": {"get": {"operationId": "x"}}}
    assert [t.id for t in _tools(paths)] == ["orders.x"]
    assert [t.id for t in _tools(paths, namespace="shop")] == ["shop.x"]
    assert [t.id for t in _tools(paths, namespace="")] == ["x"]
    assert [t.id for t in _tools(paths, title=None)] == ["api.x"]


_SCHEMA = "/responses/200/content/a~1json/schema"


def test_a_missing_description_is_replaced_by_what_is_returned() -> None:
    order = {"type": "object", "properties": {"id": {}, "total": {}}}
    content = {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/x/Order"}}}}
    responses = {"404": {}, "200": {"description": "A *page*.", "content": content}}
    operation = {"operationId": "list", "responses": responses}
    tool = _tool(operation, x={"Order": order})
    assert tool.metadata["returns"] == "A page (list of Order: id, total)"
    assert tool.description == "Returns: A page (list of Order: id, total)."
    assert _tool(operation | {"summary": "Lists."}, x={"Order": order}).description == "Lists."


@pytest.mark.parametrize(
    ("responses", "returns"),
    [
        ({}, None),
        ({"200": {"description": "OK"}}, None),
        ({"404": {"description": "There is none"}}, None),
        ({"default": {"description": "The order"}}, "The order"),
        ({"2XX": {"description": "The order."}}, "The order"),
        ({"200": {"description": "Text " * 30}}, None),
        ({"200": {"$ref": "#/none"}}, None),
        ({"200": {"content": {"text/csv": {"schema": {"type": "string"}}}}}, "string"),
        (
            {"200": {"content": {"a/json": {"schema": {"title": "T", "type": "array"}}}}},
            "T",
        ),
        ({"200": {"content": {"a/json": {"schema": {"type": "array"}}}}}, "list"),
        (
            {
                "200": {
                    "content": {
                        "a/json": {
                            "schema": {
                                "allOf": [
                                    {"properties": dict.fromkeys("abcdef")},
                                    {"$ref": f"#/paths/~1orders/post{_SCHEMA}"},
                                ],
                                "properties": dict.fromkeys("aghij"),
                            }
                        }
                    }
                }
            },
            "a, b, c, d, e, f, g, h, ...",
        ),
    ],
)
def test_what_an_operation_returns_is_one_line(responses: Any, returns: str | None) -> None:
    assert _tool({"summary": "x", "responses": responses}).metadata.get("returns") == returns


def test_operations_without_an_id_of_their_own_are_named_from_method_and_path() -> None:
    tools = _tools(
        {
            "/users/{id}": {"get": {}, "put": {"operationId": "save"}, "x-note": {}},
            "/users/id": {"get": {"operationId": " "}},
            "/teams": {"put": {"operationId": "save"}, "post": {"operationId": "post_teams_2"}},
            "x-internal": {"get": {}},
            "relative": {"get": None},
        }
    )
    assert [tool.name for tool in tools] == [
        "get_users_id",
        "save",
        "get_users_id_2",
        "put_teams",
        "post_teams_2",
        "get_relative",
    ]


def test_operations_inherit_from_their_path_item() -> None:
    tools = _tools(
        {
            "/a/{id}": {
                "summary": "About a",
                "servers": [{"url": "https://a.example"}],
                "parameters": [
                    {"name": "id", "in": "path", "schema": {"type": "integer"}},
                    {"$ref": "#/components/parameters/limit"},
                ],
                "get": {"parameters": [{"name": "limit", "in": "query", "schema": {"maximum": 5}}]},
            },
            "/b/{id}": {"$ref": "#/components/pathItems/b"},
        },
        components={
            "parameters": {"limit": {"name": "limit", "in": "query", "required": True}},
            "pathItems": {"b": {"get": {"operationId": "b"}}},
        },
    )
    assert tools[0].description == "About a"
    assert tools[0].metadata["server"] == "https://a.example"
    assert tools[0].parameters == {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "limit": {"maximum": 5}},
        "required": ["id"],
    }
    assert tools[1].id == "orders.b"
    assert tools[1].metadata["server"] == "/"
    assert tools[1].parameters == {
        "type": "object",
        "properties": {"id": {"type": "string"}},
        "required": ["id"],
    }


def test_arguments_with_one_name_are_told_apart_by_their_place() -> None:
    operation = {
        **_body({"properties": {"id": {}, "query_id": {}, "query_id_2": {}, "body": {}}}),
        "parameters": [
            {"name": "id", "in": "header", "schema": {}},
            {"name": "id", "in": "cookie", "schema": {}},
            {"name": "id", "in": "query", "schema": {}},
            {"name": "id", "in": "path", "schema": {}},
        ],
    }
    assert _tool(operation, path="/o/{id}").metadata["arguments"] == {
        "id": {"in": "path", "name": "id"},
        "query_id_3": {"in": "query", "name": "id"},
        "header_id": {"in": "header", "name": "id"},
        "cookie_id": {"in": "cookie", "name": "id"},
        "body_id": {"in": "body", "name": "id"},
        "query_id": {"in": "body", "name": "query_id"},
        "query_id_2": {"in": "body", "name": "query_id_2"},
        "body": {"in": "body", "name": "body"},
    }


def test_arguments_have_names_that_every_provider_takes() -> None:
    names = [
        "DateCreated",
        "DateCreated<",
        "DateCreated>=",
        "filter[status]",
        "größe",
        "名前",
        "x" * 70,
    ]
    names += ["a b", "a_b", "expand[]"]
    operation = {"parameters": [{"name": name, "in": "query", "schema": {}} for name in names]}
    tool = _tool(operation)
    assert [(key, place["name"]) for key, place in tool.metadata["arguments"].items()] == [
        ("DateCreated", "DateCreated"),
        ("DateCreated_lt", "DateCreated<"),
        ("DateCreated_gte", "DateCreated>="),
        ("filter_status", "filter[status]"),
        ("gro_e", "größe"),
        ("argument", "名前"),
        ("x" * 64, "x" * 70),
        ("a_b", "a b"),
        ("query_a_b", "a_b"),
        ("expand", "expand[]"),
    ]


def test_invalid_names_within_a_body_are_changed_and_recorded() -> None:
    line = {"properties": {"unit price": {}, "sku": {}}, "required": ["unit price"]}
    schema = {
        "properties": {"line items": {"type": "array", "items": line}},
        "required": ["line items"],
        "anyOf": [{"required": ["line items"]}],
    }
    tool = _tool(_body(schema))
    inner = {"properties": {"unit_price_ddf02b": {}, "sku": {}}, "required": ["unit_price_ddf02b"]}
    assert tool.parameters == {
        "type": "object",
        "description": "Give at least one of: line_items.",
        "properties": {"line_items": {"type": "array", "items": inner}},
        "required": ["line_items"],
    }
    assert tool.metadata["arguments"] == {"line_items": {"in": "body", "name": "line items"}}
    assert tool.metadata["keys"] == {"unit_price_ddf02b": "unit price"}


def test_methods_may_be_written_in_capitals() -> None:
    tools = _tools({"/a": {"GET": {"summary": "Get a"}, "Post": {"summary": "Add a"}}})
    assert [(tool.name, tool.metadata["method"]) for tool in tools] == [
        ("get_a", "GET"),
        ("post_a", "POST"),
    ]
    assert tools[0].origin == "api.yaml: /paths/~1a/GET"


@pytest.mark.parametrize("method", ["options", "head", "trace"])
def test_what_gateways_add_to_each_path_is_no_tool_unless_it_is_named(method: str) -> None:
    probe: dict[str, Any] = {"responses": {"200": {"description": "200 response"}}}
    paths = {"/a": {"get": {"summary": "Get a"}, method: probe}}
    assert [tool.name for tool in _tools(paths)] == ["get_a"]
    for key in ("operationId", "summary", "description"):
        named = {"/a": {"get": {"summary": "Get a"}, method: probe | {key: "probe_a"}}}
        assert len(_tools(named)) == 2


def test_names_that_no_key_can_spell_are_in_the_descriptions() -> None:
    parts = {"улица": {"type": "string", "description": "Без *номера*."}, "größe": {}}
    operation = _body({"properties": {"адрес": {"properties": parts}, "prénom": {}}})
    operation["parameters"] = [
        {"name": "城市", "in": "query", "required": True, "schema": {"type": "string"}},
        {"name": "日期", "in": "query", "description": "日期 2026-01-31", "schema": {}},
    ]
    tool = _tool(operation)
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "argument": {"type": "string", "description": "城市"},
            "query_argument": {"description": "日期 2026-01-31"},
            "body_argument": {
                "properties": {
                    "argument_0d2cda": {"type": "string", "description": "улица: Без номера."},
                    "gro_e_d353a2": {"description": "größe"},
                },
                "description": "адрес",
            },
            "prenom": {},
        },
        "required": ["argument"],
    }
    assert "城市" in tool_text(tool)
    assert [finding.check for finding in lint([tool])].count("undescribed-parameter") == 1


def test_an_empty_body_is_none() -> None:
    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    tool = _tool(_body(closed, content_type="application/x-www-form-urlencoded"))
    assert "content_type" not in tool.metadata


def test_parameters_keep_their_style_and_description() -> None:
    operation = {
        "parameters": [
            {
                "name": "filter",
                "in": "query",
                "style": "deepObject",
                "explode": True,
                "deprecated": True,
                "example": {"a": 1},
                "description": "Which <b>ones</b>.",
                "schema": {"type": "object", "description": "A filter."},
            },
            {
                "name": "where",
                "in": "query",
                "examples": {"one": {"value": 1}, "two": {"externalValue": "x"}},
                "content": {"application/json": {"schema": {"type": "integer"}}},
            },
            {"name": "Authorization", "in": "header", "schema": {}},
            {"name": "X-Trace", "in": "header", "examples": {}},
        ]
    }
    tool = _tool(operation)
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "filter": {
                "type": "object",
                "description": "Which ones.",
                "deprecated": True,
                "examples": [{"a": 1}],
            },
            "where": {"type": "integer", "examples": [1]},
            "X-Trace": {},
        },
    }
    assert tool.metadata["arguments"] == {
        "filter": {"in": "query", "name": "filter", "style": "deepObject", "explode": True},
        "where": {"in": "query", "name": "where", "content_type": "application/json"},
        "X-Trace": {"in": "header", "name": "X-Trace"},
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"type": "string"},
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"a": {}}, "not": {"required": ["a"]}},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "string"}},
        {"oneOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]},
        {},
    ],
)
def test_a_body_that_is_no_plain_object_is_one_argument(schema: Any) -> None:
    tool = _tool(_body(schema))
    assert tool.parameters == {
        "type": "object",
        "properties": {"body": schema},
        "required": ["body"],
    }
    assert tool.metadata["arguments"] == {"body": {"in": "body", "name": None}}


def test_a_whole_body_says_what_it_is() -> None:
    operation = _body({"type": "array"}, required=False)
    operation["requestBody"]["description"] = "The *lines*."
    assert _tool(operation).parameters == {
        "type": "object",
        "properties": {"body": {"description": "The lines.", "type": "array", "items": {}}},
    }


@pytest.mark.parametrize("kind", ["object", "array"])
def test_the_descriptions_of_a_body_and_of_its_schema_are_joined(kind: str) -> None:
    schema = {"type": kind, "description": "A role on a system.", "properties": {"a": {}}}
    operation = _body(schema)
    operation["requestBody"]["description"] = "What to *grant*"
    parameters = _tool(operation).parameters or {}
    described = parameters if kind == "object" else parameters["properties"]["body"]
    assert described["description"] == "What to grant. A role on a system."


def test_constraints_of_a_body_follow_its_description() -> None:
    schema = {"type": "object", "description": "A role.", "properties": {"a": {}}}
    parameters = _tool(_body(schema | {"minProperties": 1})).parameters or {}
    assert parameters["description"] == ("A role. Give at least 1 of the properties of the body.")


def test_the_properties_of_an_optional_body_are_optional() -> None:
    schema = {"type": "object", "properties": {"a": {}}, "required": ["a"]}
    assert _tool(_body(schema, required=False)).parameters == {
        "type": "object",
        "properties": {"a": {}},
    }


def test_required_properties_of_a_body_not_declared_optional_are_required() -> None:
    schema = {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "undeclared"]}
    operation = _body(schema)
    del operation["requestBody"]["required"]
    parameters = _tool(operation).parameters or {}
    assert parameters["properties"].keys() == {"a", "b", "undeclared"}
    assert parameters["required"] == ["a"]
    operation = _body({"type": "array"})
    del operation["requestBody"]["required"]
    assert "required" not in (_tool(operation).parameters or {})


def test_a_body_keeps_required_names_and_loses_what_the_server_sets() -> None:
    schema = {
        "allOf": [
            {"type": "object", "properties": {"id": {"type": "string", "readOnly": True}}},
            {"required": ["id", "name", "extra"], "properties": {"name": {}}},
        ],
    }
    assert _tool(_body(schema)).parameters == {
        "type": "object",
        "properties": {"name": {}, "extra": {}},
        "required": ["name", "extra"],
    }


def test_a_closed_body_closes_the_arguments() -> None:
    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    tool = _tool(_body(closed))
    assert tool.parameters == {"type": "object", "properties": {}, "additionalProperties": False}


@pytest.mark.parametrize(
    "demand", [{"required": ["unit price"]}, {"dependentRequired": {"a": ["unit price"]}}]
)
def test_required_properties_without_a_schema_keep_their_names(demand: dict[str, Any]) -> None:
    line = {"type": "object", "properties": {"a": {}}, **demand}
    tool = _tool(_body({"properties": {"line": line}}))
    assert tool.metadata["keys"] == {"unit_price_ddf02b": "unit price"}


def test_constraints_in_words_use_the_names_of_the_arguments() -> None:
    options = [{"required": ["id"]}, {"required": ["size[x]"]}]
    operation = _body({"properties": {"id": {}, "size[x]": {}}, "anyOf": options})
    parameters = _tool(operation, path="/o/{id}").parameters or {}
    assert list(parameters["properties"]) == ["id", "body_id", "size_x"]
    assert parameters["description"] == "Give at least one of: body_id; size_x."


def test_constraints_across_properties_are_put_into_words() -> None:
    schema = {
        "type": "object",
        "minProperties": 1,
        "properties": {"a": {}, "b": {}, "c": {}},
        "anyOf": [{"required": ["a"]}, {"required": ["b", "c"]}],
        "oneOf": [{"required": ["a"], "description": "x"}, {"required": ["b"]}],
    }
    assert _tool(_body(schema)).parameters == {
        "type": "object",
        "description": "Give at least 1 of the properties of the body. Give at least one of: "
        "a; b and c. Give exactly one of: a; b.",
        "properties": {"a": {}, "b": {}, "c": {}},
    }


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["text/plain", "multipart/form-data", "application/json"], "application/json"),
        (["multipart/form-data", "application/x-www-form-urlencoded"], None),
        (["text/plain", "multipart/form-data"], "multipart/form-data"),
        (["text/plain", "image/png"], "text/plain"),
        (["text/plain", "Application/Merge-Patch+JSON; charset=utf-8"], None),
    ],
)
def test_json_is_chosen_then_a_form_then_anything(offered: list[str], chosen: str | None) -> None:
    operation: Any = {"requestBody": {"content": {name: {} for name in offered}}}
    assert _tool(operation).metadata["content_type"] == (chosen or offered[-1])


def test_the_encoding_of_a_form_is_kept() -> None:
    operation = _body({"properties": {"a": {}}}, content_type="multipart/form-data")
    media = operation["requestBody"]["content"]["multipart/form-data"]
    media["encoding"] = {"a": {"contentType": "image/png"}}
    assert _tool(operation).metadata["encoding"] == {"a": {"contentType": "image/png"}}


@pytest.mark.parametrize(
    ("of_document", "of_operation", "permissions"),
    [
        (None, None, ()),
        ([{"o": ["a"]}], None, (frozenset({"a"}),)),
        ([{"o": ["a"]}], [], ()),
        ([{"o": ["a"]}], [{}], ()),
        ([], [{"o": ["a", "b"], "p": ["c"]}], (frozenset({"a", "b", "c"}),)),
        (None, [{"o": ["a"]}, {"o": ["b"]}], (frozenset({"a"}), frozenset({"b"}))),
        (None, [{"o": ["a"]}, {"o": ["a"]}], (frozenset({"a"}),)),
        (None, [{"o": ["a"]}, {"key": []}], ()),
        (None, [{"o": ["a"], "key": []}], (frozenset({"a"}),)),
    ],
)
def test_scopes_are_permissions(of_document: Any, of_operation: Any, permissions: Any) -> None:
    operation: Any = {} if of_operation is None else {"security": of_operation}
    more = {} if of_document is None else {"security": of_document}
    assert _tool(operation, **more).permissions == permissions


def test_security_says_how_to_authenticate() -> None:
    schemes = {
        "key": {"type": "apiKey", "in": "query", "name": "k", "description": "x"},
        "http": {"type": "http", "scheme": "Bearer"},
        "oauth": {"$ref": "#/components/securitySchemes/open"},
        "open": {"type": "openIdConnect", "openIdConnectUrl": "https://a.example"},
    }
    security = [{"key": [], "http": []}, {"oauth": ["a"]}, {}]
    tool = _tool({"security": security}, components={"securitySchemes": schemes})
    assert tool.permissions == ()
    assert tool.metadata["security"] == [
        {
            "key": {"type": "apiKey", "in": "query", "name": "k"},
            "http": {"type": "http", "scheme": "bearer"},
        },
        {"oauth": {"type": "openIdConnect", "scopes": ["a"]}},
        {},
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"openapi": "3.1.0"}, "the OpenAPI document has no `paths` with operations"),
        ({"openapi": "3.1.0", "paths": {}}, "the OpenAPI document has no `paths` with operations"),
        (
            {"openapi": 3.2, "paths": {}},
            "/openapi: OpenAPI 3.2 is not read: convert it to OpenAPI 3.0 or 3.1",
        ),
        (
            {"openapi": "9\n9"},
            "/openapi: OpenAPI 9<U+000A>9 is not read: convert it to OpenAPI 3.0 or 3.1",
        ),
        ({"openapi": "3.0.0", "paths": []}, "/paths: expected an object, found []"),
        ({"openapi": "3.0.0", "paths": {"/a": 1}}, "/paths/~1a: expected an object, found 1"),
        (
            {"openapi": "3.0.0", "paths": {"/a": {"$ref": "#/paths/~1a"}}},
            "/paths/~1a/$ref: $ref '#/paths/~1a' leads to itself",
        ),
    ],
)
def test_a_document_without_usable_paths_is_an_error(content: Any, problem: str) -> None:
    with pytest.raises(CatalogError) as caught:
        list(OpenApi().tools(Document(content, "api.yaml"), namespace=None))
    assert str(caught.value) == f"api.yaml: {problem}"


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        (
            {"parameters": [{"name": "a"}]},
            "/parameters/0: a parameter needs a `name`, and an `in` of path, query, header, cookie",
        ),
        ({"parameters": {}}, "/parameters: expected an array, found {}"),
        (
            {"parameters": [{"$ref": "#/none"}]},
            "/parameters/0/$ref: $ref '#/none' leads nowhere",
        ),
        (
            _body({"properties": {"a": {"$ref": "#/none"}}}),
            "/requestBody/content/application~1json/schema/properties/a/$ref: "
            "$ref '#/none' leads nowhere",
        ),
        ({"security": {"o": ["a"]}}, "/security: expected an array, found {'o': ['a']}"),
        ({"security": None}, "/security: expected an array, found None"),
        ({"security": [None]}, "/security/0: expected an object, found None"),
        ({"security": [{"o": "a"}]}, "/security/0/o: expected a list of scopes, found 'a'"),
        ({"security": [{"o": None}]}, "/security/0/o: expected a list of scopes, found None"),
        ({"security": [{"o": [1]}]}, "/security/0/o: expected a list of scopes, found [1]"),
    ],
)
def test_a_bad_operation_is_an_error_with_its_pointer(operation: Any, problem: str) -> None:
    with pytest.raises(CatalogError) as caught:
        _tool(operation)
    assert str(caught.value) == f"api.yaml: /paths/~1orders/post{problem}"


_WHOLE: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Orders"},
    "servers": [{"url": "https://{a}", "variables": {"a": {"default": "b"}}}],
    "security": [{"o": ["a"]}],
    "paths": {
        "/o/{id}": {
            "parameters": [{"name": "id", "in": "path", "schema": {"type": "string"}}],
            "put": {
                "operationId": "put",
                "summary": "Put",
                "tags": ["t"],
                "parameters": [{"name": "q", "in": "query", "content": {"application/json": {}}}],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "allOf": [
                                    {"$ref": "#/components/schemas/Order"},
                                    {"type": "object", "properties": {"b": {"nullable": True}}},
                                ]
                            },
                            "encoding": {},
                        }
                    },
                },
            },
        }
    },
    "components": {
        "schemas": {
            "Order": {
                "type": "object",
                "required": ["a"],
                "properties": {"a": {"type": "integer", "minimum": 0, "exclusiveMinimum": True}},
                "anyOf": [{"required": ["a"]}],
                "minProperties": 1,
                "example": {},
            }
        }
    },
}
_JUNK: list[Any] = [
    None,
    True,
    -1,
    "x",
    "",
    [],
    {},
    [1],
    [[]],
    ["a"],
    {"a": 1},
    {"$ref": "#"},
    {"$ref": "#/x"},
]


def _mangled(value: Any, junk: Any) -> Iterator[Any]:
    """The value with each of its parts in turn replaced by junk."""
    yield junk
    for key, part in value.items() if isinstance(value, dict) else ():
        for changed in _mangled(part, junk):
            yield {**value, key: changed}
    for index, part in enumerate(value) if isinstance(value, list) else ():
        for changed in _mangled(part, junk):
            yield [*value[:index], changed, *value[index + 1 :]]


@pytest.mark.parametrize("junk", _JUNK, ids=repr)
def test_a_mangled_document_is_read_or_refused_but_never_crashes(junk: Any) -> None:
    read = 0
    for content in _mangled(_WHOLE, junk):
        if not OpenApi().recognizes(content):
            continue
        try:
            tools = list(OpenApi().tools(Document(content, "api.yaml"), namespace=None))
        except CatalogError as error:
            assert str(error).startswith("api.yaml: ")
            continue
        for tool in tools:
            Draft202012Validator.check_schema(tool.parameters or {})
            json.dumps(tool.metadata)
        read += 1
    assert read > 20
