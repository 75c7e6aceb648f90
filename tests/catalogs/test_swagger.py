from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from toolret.catalogs.source import Document
from toolret.catalogs.swagger import Swagger
from toolret.errors import CatalogError
from toolret.types import Tool


def _tools(paths: Any, **more: Any) -> list[Tool]:
    content = {"swagger": "2.0", "info": {"title": "Pet Store"}, "paths": paths, **more}
    tools = list(Swagger().tools(Document(content, "api.json"), namespace=None))
    for tool in tools:
        Draft202012Validator.check_schema(tool.parameters or {})
    return tools


def _tool(operation: Any, path: str = "/pets", **more: Any) -> Tool:
    (tool,) = _tools({path: {"post": operation}}, **more)
    return tool


def test_an_operation_becomes_a_tool() -> None:
    pet = {"$ref": "#/definitions/Pet"}
    operation = {
        "operationId": "addPet",
        "summary": "Add a pet",
        "tags": ["pets"],
        "deprecated": True,
        "security": [{"oauth": ["pets:write"]}, {"key": []}],
        "parameters": [
            {"$ref": "#/parameters/Limit"},
            {"name": "id", "in": "path", "type": "integer", "required": True, "minimum": 1},
            {"name": "X-Trace", "in": "header", "type": "string", "description": "A <b>trace</b>."},
            {"name": "Accept", "in": "header", "type": "string"},
            {
                "name": "pet",
                "in": "body",
                "required": True,
                "schema": {"$ref": "#/definitions/Pet"},
            },
        ],
        "responses": {"200": {"description": "OK", "schema": pet}},
    }
    tool = _tool(
        operation,
        path="/shops/{shop}/pets/{id}",
        host="pets.example",
        basePath="/v2",
        schemes=["http", "https"],
        consumes=["application/xml", "application/json"],
        parameters={"Limit": {"name": "limit", "in": "query", "type": "integer", "default": 5}},
        definitions={
            "Pet": {
                "type": "object",
                "required": ["name", "id"],
                "properties": {
                    "id": {"type": "integer", "readOnly": True},
                    "name": {"type": "string", "x-nullable": True},
                },
            }
        },
        securityDefinitions={
            "oauth": {"type": "oauth2", "flow": "implicit", "scopes": {"pets:write": "x"}},
            "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
        },
    )
    assert tool == Tool(
        id="pet_store.addPet",
        name="addPet",
        namespace="pet_store",
        description="Add a pet",
        parameters={
            "type": "object",
            "properties": {
                "id": {"type": "integer", "minimum": 1},
                "shop": {"type": "string"},
                "limit": {"type": "integer", "default": 5},
                "X-Trace": {"type": "string", "description": "A trace."},
                "name": {"type": "string"},
            },
            "required": ["id", "shop", "name"],
        },
        tags=("pets", "deprecated"),
        permissions=(),
        metadata={
            "method": "POST",
            "path": "/shops/{shop}/pets/{id}",
            "server": "https://pets.example/v2",
            "arguments": {
                "id": {"in": "path", "name": "id"},
                "shop": {"in": "path", "name": "shop"},
                "limit": {"in": "query", "name": "limit"},
                "X-Trace": {"in": "header", "name": "X-Trace"},
                "name": {"in": "body", "name": "name"},
            },
            "content_type": "application/json",
            "security": [
                {"oauth": {"type": "oauth2", "scopes": ["pets:write"]}},
                {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}},
            ],
            "returns": "Pet: id, name",
        },
    )
    assert tool.origin == "api.json: /paths/~1shops~1{shop}~1pets~1{id}/post"


@pytest.mark.parametrize(
    ("form", "style"),
    [
        (None, {"style": "form", "explode": False}),
        ("csv", {"style": "form", "explode": False}),
        ("ssv", {"style": "spaceDelimited", "explode": False}),
        ("tsv", {"style": "tabDelimited", "explode": False}),
        ("pipes", {"style": "pipeDelimited", "explode": False}),
        ("multi", {"style": "form", "explode": True}),
    ],
)
def test_array_formats_become_styles(form: str | None, style: dict[str, Any]) -> None:
    array = {"type": "array", "items": {"type": "string"}, "collectionFormat": form}
    array = {key: value for key, value in array.items() if value}
    tool = _tool(
        {
            "parameters": [
                {"name": "q", "in": "query", **array},
                {"name": "h", "in": "header", **array},
            ]
        }
    )
    assert tool.parameters == {
        "type": "object",
        "properties": {name: {"type": "array", "items": {"type": "string"}} for name in "qh"},
    }
    assert tool.metadata["arguments"]["q"] == {"in": "query", "name": "q", **style}
    in_header = {"style": "simple", "explode": False} if form in (None, "csv") else style
    assert tool.metadata["arguments"]["h"] == {"in": "header", "name": "h", **in_header}
    form_tool = _tool({"parameters": [{"name": "f", "in": "formData", **array}]})
    assert form_tool.metadata["encoding"] == {"f": style}


@pytest.mark.parametrize(
    ("types", "consumes", "content_type"),
    [
        (["string"], None, "application/x-www-form-urlencoded"),
        (["string"], ["multipart/form-data"], "multipart/form-data"),
        (["string"], ["application/json"], "application/x-www-form-urlencoded"),
        (["string", "file"], None, "multipart/form-data"),
        (["file"], ["application/x-www-form-urlencoded"], "multipart/form-data"),
    ],
)
def test_forms(types: list[str], consumes: list[str] | None, content_type: str) -> None:
    fields = [
        {"name": f"f{i}", "in": "formData", "type": kind, "required": kind == "file"}
        for i, kind in enumerate(types)
    ]
    tool = _tool({"parameters": fields} | ({"consumes": consumes} if consumes else {}))
    binary = {"type": "string", "format": "binary"}
    assert tool.parameters is not None
    assert tool.parameters["properties"] == {
        f"f{i}": binary if kind == "file" else {"type": kind} for i, kind in enumerate(types)
    }
    assert tool.parameters.get("required", []) == [
        f"f{i}" for i, kind in enumerate(types) if kind == "file"
    ]
    assert tool.metadata["content_type"] == content_type
    assert set(map(str, tool.metadata["arguments"]["f0"].values())) == {"body", "f0"}


def test_a_path_items_parameters_join_those_of_the_operation() -> None:
    paths = {
        "/a": {
            "parameters": [
                {"name": "one", "in": "formData", "type": "string"},
                {"name": "two", "in": "formData", "type": "string"},
                {"name": "q", "in": "query", "type": "string"},
            ],
            "post": {"parameters": [{"name": "two", "in": "formData", "type": "boolean"}]},
        }
    }
    (tool,) = _tools(paths)
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "q": {"type": "string"},
            "one": {"type": "string"},
            "two": {"type": "boolean"},
        },
    }


def test_a_body_that_is_no_plain_object_is_one_argument() -> None:
    body = {"name": "ids", "in": "body", "description": "The *ids*.", "schema": {"type": "array"}}
    tool = _tool({"parameters": [body], "consumes": ["application/json"]})
    assert tool.parameters == {
        "type": "object",
        "properties": {"body": {"description": "The ids.", "type": "array", "items": {}}},
    }
    assert tool.metadata["arguments"] == {"body": {"in": "body", "name": None}}
    assert tool.metadata["content_type"] == "application/json"
    tool = _tool({"parameters": [body], "consumes": ["text/csv"]})  # not to be made of values
    text = {"description": "The ids. Written as text/csv.", "type": "string"}
    assert (tool.parameters or {})["properties"] == {"body": text}


@pytest.mark.parametrize(
    ("more", "server"),
    [
        ({}, "/"),
        ({"basePath": "/v1"}, "/v1"),
        ({"basePath": "v1"}, "/v1"),
        ({"host": "a.example"}, "https://a.example"),
        ({"host": "a.example", "basePath": "v1"}, "https://a.example/v1"),
        ({"host": "a.example", "basePath": ".evil.example"}, "https://a.example/.evil.example"),
        ({"host": "a.example", "schemes": ["http"], "basePath": "/v1"}, "http://a.example/v1"),
        ({"host": "a.example", "schemes": ["ws", "https"]}, "https://a.example"),
    ],
)
def test_the_server(more: dict[str, Any], server: str) -> None:
    assert _tool({}, **more).metadata["server"] == server


def test_an_operations_own_schemes_are_those_of_its_server() -> None:
    tool = _tool({"schemes": ["http"]}, host="a.example", schemes=["https"])
    assert tool.metadata["server"] == "http://a.example"


def test_security_schemes_are_told_in_the_words_of_openapi_3() -> None:
    definitions = {"basic": {"type": "basic"}, "broken": {"type": "apiKey"}}
    tool = _tool(
        {"security": [{"basic": [], "broken": [], "none": ["s"]}, {}]},
        securityDefinitions=definitions,
    )
    assert tool.permissions == ()
    assert tool.metadata["security"] == [
        {
            "basic": {"type": "http", "scheme": "basic"},
            "broken": {"type": ""},
            "none": {"type": "", "scopes": ["s"]},
        },
        {},
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            {"swagger": "1.2"},
            "/swagger: Swagger 1.2 is not read: convert it to OpenAPI 3.0 or 3.1",
        ),
        ({"swagger": "2.0"}, "the Swagger document has no `paths` with operations"),
        (
            {"swagger": "2.0", "paths": {"/a": {"get": {"parameters": [{"in": "cookie"}]}}}},
            "/paths/~1a/get/parameters/0: a parameter needs a `name`, and an `in` of "
            "path, query, header, body, formData",
        ),
    ],
)
def test_a_document_that_cannot_be_used_is_an_error(content: Any, problem: str) -> None:
    assert Swagger().recognizes(content)
    with pytest.raises(CatalogError) as caught:
        list(Swagger().tools(Document(content, "api.json"), namespace=None))
    assert str(caught.value) == f"api.json: {problem}"


def test_the_kind_names_the_version() -> None:
    assert Swagger().kind({"swagger": "2.0"}) == "Swagger 2.0 document"
    assert not Swagger().recognizes({"openapi": "3.0.0"})
    assert not Swagger().recognizes(["swagger"])


def test_the_descriptions_of_a_body_and_of_its_schema_are_joined() -> None:
    schema = {"type": "object", "description": "A role.", "properties": {"a": {}}}
    body = {"name": "role", "in": "body", "description": "What to grant.", "schema": schema}
    parameters = _tool({"parameters": [body]}).parameters or {}
    assert parameters["description"] == "What to grant. A role."


_BODY = {"name": "a", "in": "body", "schema": {"type": "object", "properties": {"x": {}}}}


@pytest.mark.parametrize(
    "other", [{"name": "b", "in": "body"}, {"name": "f", "in": "formData", "type": "string"}]
)
def test_several_bodies_of_one_request_are_an_error_with_their_place(other: Any) -> None:
    place = "/paths/~1pets/post/parameters/" + ("1" if other["in"] == "body" else "0")
    with pytest.raises(CatalogError) as caught:
        _tool({"parameters": [_BODY, other]})
    assert str(caught.value).startswith(f"api.json: {place}: a request has one body")


def test_an_operations_body_replaces_that_of_its_path() -> None:
    own = _BODY | {"schema": {"type": "object", "properties": {"y": {}}}}
    (tool,) = _tools({"/a": {"parameters": [_BODY], "post": {"parameters": [own]}}})
    assert (tool.parameters or {})["properties"] == {"y": {}}


def test_the_schemas_that_build_on_one_with_a_discriminator_are_its_choices() -> None:
    base = {"$ref": "#/definitions/Store"}
    definitions = {
        "Store": {"type": "object", "discriminator": "type", "properties": {"type": {}}},
        "BlobStore": {"allOf": [base], "x-ms-discriminator-value": "Blob"},
        "Table": {"allOf": [base], "properties": {"rows": {}}},
    }
    tool = _tool({"parameters": [_BODY | {"schema": base}]}, definitions=definitions)
    assert (tool.parameters or {})["properties"]["body"]["anyOf"] == [
        {"description": "type is Blob here."},
        {"properties": {"rows": {}}, "description": "type is Table here."},
        {"description": "Another type."},
    ]
