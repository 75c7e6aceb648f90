from __future__ import annotations

import json
from base64 import b64decode
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.calling.operations import SERVER, operation, parameter
from toolret.calling.requests import build_request, server_url
from toolret.calling.security import (
    Credentials,
    PlacedCredentials,
    SecurityScheme,
    place_credentials,
)
from toolret.catalogs import load_tools
from toolret.errors import CallError
from toolret.types import Tool


def properties(*names: str, **fields: Any) -> dict[str, Any]:
    return {"schema": {"type": "object", "properties": {name: {} for name in names}}, **fields}


def names(tool: Tool) -> list[str]:
    return list((tool.parameters or {})["properties"])


def build(tool: Tool, **arguments: Any) -> Any:
    return build_request(tool, arguments, server=SERVER)


def test_each_argument_goes_to_its_place() -> None:
    tool = operation(
        parameter("id", "path"),
        parameter("id", "query"),
        parameter("X-Trace", "header"),
        parameter("theme", "cookie"),
        body={"application/json": properties("id", "note")},
        path="/items/{id}/notes",
    )
    arguments = dict(zip(names(tool), ["a/b", 2, "t", "d;k", 5, "n"], strict=True))
    request = build_request(tool, arguments, server=SERVER)
    assert request.method == "POST"
    assert request.url == f"{SERVER}/items/a%2Fb/notes?id=2"
    assert dict(request.headers) == {
        "X-Trace": "t",
        "Cookie": "theme=d%3Bk",
        "Content-Type": "application/json",
    }
    assert request.content == b'{"id":5,"note":"n"}'


def test_cookies_may_have_many_values_and_no_argument_is_a_credential() -> None:
    tool = operation(parameter("ids", "cookie"), parameter("session", "cookie"))
    placed = PlacedCredentials(cookies=(("session", "mine"),))
    arguments = {"ids": [1, 2], "session": "other"}
    request = build_request(tool, arguments, server=SERVER, placed=placed)
    assert dict(request.headers)["Cookie"] == "ids=1; ids=2; session=mine"


def test_styles_are_those_of_the_document() -> None:
    tool = operation(
        parameter("p", "path", style="label", explode=True),
        parameter("comma", explode=False),
        parameter("each"),
        parameter("deep", style="deepObject", explode=True),
        parameter("pipes", style="pipeDelimited"),
        parameter("free", allowReserved=True),
        {"name": "filter", "in": "query", "content": {"application/json": {"schema": {}}}},
        parameter("H", "header"),
        path="/items{p}",
        method="get",
    )
    request = build(
        tool,
        p=["a", "b"],
        comma=[1, 2],
        each=[1, 2],
        deep={"gte": 3},
        pipes=["x", "y"],
        free="a/b",
        filter={"a": [1]},
        H=[1, 2],
    )
    assert request.url == (
        f"{SERVER}/items.a.b?comma=1,2&each=1&each=2&deep%5Bgte%5D=3&pipes=x%7Cy&free=a/b"
        "&filter=%7B%22a%22%3A%5B1%5D%7D"
    )
    assert request.headers == (("H", "1,2"),)


def test_null_is_left_out_except_in_a_body() -> None:
    tool = operation(parameter("q"), body={"application/json": properties("note")})
    request = build(tool, q=None, note=None)
    assert request.url == f"{SERVER}/items"
    assert request.content == b'{"note":null}'


@pytest.mark.parametrize(
    ("method", "body", "content"),
    [
        ("post", {"application/json": properties("a")}, b"{}"),
        ("delete", {"application/json": properties("a")}, None),
        ("post", {"application/x-www-form-urlencoded": properties("a")}, None),
        ("post", {"application/json": {"schema": {"type": "array"}}}, None),
    ],
)
def test_a_body_without_any_argument(
    method: str, body: dict[str, Any], content: bytes | None
) -> None:
    assert build(operation(body=body, method=method)).content == content


def test_changed_names_are_sent_as_the_document_has_them() -> None:
    line = {"type": "object", "properties": {"unit price": {}, "sku": {}}}
    lines = {"type": "array", "items": line}
    schema = {"type": "object", "properties": {"line items": lines, "größe": {}}}
    tool = operation(body={"application/json": {"schema": schema}})
    (key,) = tool.metadata["keys"]
    assert (names(tool), tool.metadata["keys"]) == (["line_items", "gro_e"], {key: "unit price"})
    request = build(tool, line_items=[{key: {key: 5}, "sku": 1}], gro_e=2)
    assert json.loads(request.content) == {
        "line items": [{"unit price": {"unit price": 5}, "sku": 1}],
        "größe": 2,
    }


def test_an_optional_body_that_is_null_is_left_out() -> None:
    tool = operation(body={"application/json": {"schema": {"type": "array"}}})
    assert build(tool, body=None).content is None


def test_parameters_are_written_by_their_media_type() -> None:
    named: dict[str, Any] = {
        name: {"content": {name: {"schema": {}}}} for name in ("text/plain", "a/b+json")
    }
    tool = operation(*({**parameter(n), **more} for n, more in named.items()), method="get")
    assert build(tool, **dict.fromkeys(names(tool), "é")).url.partition("?")[2] == (
        "text%2Fplain=%C3%A9&a%2Fb%2Bjson=%22%C3%A9%22"
    )


def test_undeclared_arguments_go_into_an_open_body() -> None:
    tool = operation(parameter("q"), body={"application/json": properties("a")})
    assert build(tool, a=1, other=2).content == b'{"a":1,"other":2}'


@pytest.mark.parametrize(
    ("content_type", "schema", "value", "content"),
    [
        ("application/json", {"type": ["string", "null"]}, None, b"null"),
        ("application/json", {"type": "array"}, [1, "é"], '[1,"é"]'.encode()),
        ("application/merge-patch+json", {"type": "object"}, {"a": None}, b'{"a":null}'),
        ("text/plain; charset=utf-8", {"type": "string"}, "é", "é".encode()),
        ("application/octet-stream", {"type": "string"}, b"\0\1", b"\0\1"),
    ],
)
def test_whole_bodies(
    content_type: str, schema: dict[str, Any], value: Any, content: bytes
) -> None:
    tool = operation(requestBody={"content": {content_type: {"schema": schema}}, "required": True})
    request = build(tool, body=value)
    assert request.headers == (("Content-Type", content_type),)
    assert request.content == content


def test_forms_are_written_by_their_encoding() -> None:
    form = properties(
        "plain", "list", "deep", "json", encoding={"deep": {"style": "deepObject", "explode": True}}
    )
    tool = operation(body={"application/x-www-form-urlencoded": form})
    request = build(tool, plain="a b&c", list=[1, 2], deep={"x": {"y": 1}}, json={"z": 1})
    assert request.content == (
        b"plain=a%20b%26c&list=1&list=2&deep%5Bx%5D%5By%5D=1&json=%7B%22z%22%3A1%7D"
    )


def test_multipart_bodies_hold_files_and_fields() -> None:
    schema = {
        "type": "object",
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "title": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "about": {"type": "object"},
        },
    }
    media = {"schema": schema, "encoding": {"file": {"contentType": "text/csv"}}}
    request = build(
        operation(body={"multipart/form-data": media}),
        file="a,b",
        title="t",
        tags=["x", "y"],
        about={"z": 1},
    )
    assert request.parts == (
        ("file", ("file", b"a,b", "text/csv")),
        ("title", (None, b"t", "text/plain")),
        ("tags", (None, b"x", "text/plain")),
        ("tags", (None, b"y", "text/plain")),
        ("about", (None, b'{"z":1}', "application/json")),
    )


def test_optional_files() -> None:
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    maybe = {"anyOf": [file, {"type": "null"}]}
    several = {"anyOf": [{"type": "array", "items": file}, {"type": "null"}]}
    or_its_id = {"anyOf": [file, {"type": "string"}]}
    named = {"maybe": maybe, "none": maybe, "several": several, "or_its_id": or_its_id}
    tool = operation(body={"multipart/form-data": {"schema": {"properties": named}}})
    request = build(tool, maybe="m", none=None, several=["a", "b"], or_its_id="i")
    assert [(name, part[:2]) for name, part in request.parts] == [
        ("maybe", ("maybe", b"m")),
        ("several", ("several", b"a")),
        ("several", ("several", b"b")),
        ("or_its_id", (None, b"i")),
    ]


@pytest.mark.parametrize("stated", ["image/*", "image/png, image/jpeg"])
def test_a_range_of_media_types_is_not_sent_as_one(stated: str) -> None:
    file = {"properties": {"f": {"type": "string", "format": "binary"}}}
    media = {"schema": file, "encoding": {"f": {"contentType": stated}}}
    request = build(operation(body={"multipart/form-data": media}), f=b"png")
    assert request.parts == (("f", ("f", b"png", "application/octet-stream")),)
    request = build(operation(body={stated: {"schema": {"type": "string"}}}), body=b"png")
    assert (request.headers, request.content) == ((), b"png")
    request = build(operation(body={"application/*+json": properties("a")}), a=1)
    assert request.headers == (("Content-Type", "application/json"),)


@pytest.mark.parametrize(
    ("style", "joined"),
    [("csv", "a b,c"), ("ssv", "a b c"), ("pipes", "a b|c"), ("multi", "a b;c")],
)
def test_swagger_joins_arrays_wherever_they_stand(style: str, joined: str) -> None:
    places = [("p", "path"), ("H", "header"), ("t", "formData")]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": where, "type": "array", "items": {"type": "string"}}
        | {"collectionFormat": style if where == "formData" or style != "multi" else "csv"}
        | {"required": True}
        for name, where in places
    ]
    (tool,) = load_tools(
        {
            "swagger": "2.0",
            "consumes": ["multipart/form-data"],
            "paths": {"/a/{p}": {"post": {"operationId": "op", "parameters": parameters}}},
        }
    )
    request = build(tool, p=["a b", "c"], H=["a b", "c"], t=["a b", "c"])
    assert ";".join(part[1].decode() for _, part in request.parts) == joined
    assert unquote(request.url.rpartition("/")[2]) == joined.replace(";", ",")
    assert dict(request.headers)["H"] == joined.replace(";", ",")


def test_swagger_operations_are_called_like_those_of_openapi() -> None:
    def parameter(name: str, where: str, **fields: Any) -> dict[str, Any]:
        return {"name": name, "in": where, "type": "array", "items": {"type": "string"}, **fields}

    (tool,) = load_tools(
        {
            "swagger": "2.0",
            "info": {"title": "T"},
            "schemes": ["http", "https"],
            "host": "api.example.com",
            "basePath": "/v1",
            "securityDefinitions": {"basic": {"type": "basic"}},
            "paths": {
                "/a/{p}": {
                    "post": {
                        "operationId": "op",
                        "security": [{"basic": []}],
                        "consumes": ["application/x-www-form-urlencoded"],
                        "parameters": [
                            parameter("p", "path", required=True),
                            parameter("pipes", "query", collectionFormat="pipes"),
                            parameter("multi", "query", collectionFormat="multi"),
                            parameter("comma", "query"),
                            parameter("H", "header", collectionFormat="csv"),
                            parameter("spaces", "formData", collectionFormat="ssv"),
                            {"name": "x", "in": "formData", "type": "string"},
                        ],
                    }
                }
            },
        }
    )
    server = server_url(tool, None)
    assert server == "https://api.example.com/v1"
    placed = place_credentials(tool, server, _has("basic"))
    arguments = {name: ["a", "b"] for name in names(tool)} | {"x": "é"}
    request = build_request(tool, arguments, server=server, placed=placed)
    assert request.url == f"{server}/a/a,b?pipes=a%7Cb&multi=a&multi=b&comma=a,b"
    assert dict(request.headers) == {
        "H": "a,b",
        "Authorization": "Basic dXNlcjpwYXNz",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    assert request.content == b"spaces=a%20b&x=%C3%A9"


def test_paths_may_have_a_query_and_a_fragment_of_their_own() -> None:
    tool = operation(parameter("b"), path="/?Action=List#section", method="get")
    assert build(tool, b=1).url == f"{SERVER}/?Action=List&b=1"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "'t.op' needs the arguments 'id'"),
        ({"id": 1, "extra": 2}, "'t.op' has no argument 'extra'; it has 'id', 'H'"),
        ({"id": ""}, "'t.op' needs a value for 'id', which is part of its path"),
        ({"id": None}, "'t.op' needs a value for 'id', which is part of its path"),
        ({"id": ".."}, "'t.op': '..' cannot be part of a path"),
        ({"id": 1, "H": "a\r\nX: b"}, "'t.op': the header 'H' cannot hold line breaks"),
        ({"id": 1, "H": "a "}, "'t.op': the header 'H' cannot begin or end with a space"),
    ],
)
def test_invalid_arguments_are_errors(arguments: dict[str, Any], problem: str) -> None:
    tool = operation(
        parameter("id", "path"), parameter("H", "header"), path="/a/{id}", method="get"
    )
    with pytest.raises(CallError) as caught:
        build_request(tool, arguments, server=SERVER)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("\ud800", "'utf-8' codec can't encode character"),
        (float("nan"), "Out of range float values are not JSON compliant"),
        ({1}, "Object of type set is not JSON serializable"),
    ],
)
@pytest.mark.parametrize("name", ["id", "q", "a", "H"])
def test_values_that_cannot_be_written_are_errors(name: str, value: Any, problem: str) -> None:
    tool = operation(
        parameter("id", "path"),
        parameter("q"),
        parameter("H", "header"),
        body={"application/json": properties("a")},
        path="/a/{id}",
    )
    with pytest.raises(CallError, match=f"'t.op': the arguments cannot be written: {problem}"):
        build_request(tool, {"id": "1", name: value}, server=SERVER)


def test_a_path_with_control_characters_is_an_error() -> None:
    for path in ("/a\n{id}", "/a/{?\x1f}"):
        tool = operation(path=path)
        arguments = dict.fromkeys(tool.metadata["arguments"], "1")
        with pytest.raises(CallError, match=r"'t\.op': its URL cannot hold control characters"):
            build_request(tool, arguments, server=SERVER)


def test_a_body_that_cannot_be_built_is_an_error() -> None:
    tool = operation(body={"application/xml": properties("a", description="Of an item.")})
    described = {"type": "string", "description": "Written as application/xml."}
    assert (tool.parameters or {})["properties"] == {"body": described}
    assert build(tool, body="<a>1</a>").content == b"<a>1</a>"
    with pytest.raises(CallError, match="a body of 'application/xml' must be given as text"):
        build(tool, body={"a": 1})


@given(st.text(min_size=1), st.text())
@example("../../admin", "a")
@example("..", "&x=1#")
@example("a?b", "\r\n")
@example("//evil.example", "")
def test_no_argument_can_lead_a_request_elsewhere(path: str, query: str) -> None:
    tool = operation(parameter("id", "path"), parameter("q"), path="/a/{id}/b", method="get")
    try:
        request = build(tool, id=path, q=query)
    except CallError:
        assert path in (".", "..")
        return
    url = httpx.Request("GET", request.url).url
    assert (url.scheme, url.host) == ("https", "api.example.com")
    raw = url.raw_path.decode()
    assert [*raw.partition("?")[0].split("/")][:3] == ["", "v1", "a"]
    assert raw.partition("?")[0].count("/") == 4
    assert dict(url.params) == {"q": query}
    assert urlsplit(request.url).fragment == ""


@pytest.mark.parametrize("name", ["Cookie", "cookie"])
def test_a_header_of_cookies_replaces_no_secret_among_them(name: str) -> None:
    tool = operation(parameter(name, "header"))
    arguments = {name: "session=evil; theme=dark;"}
    assert build(tool, **arguments).headers == (("Cookie", "session=evil; theme=dark"),)
    placed = PlacedCredentials(cookies=(("session", "s3cret"),))
    sent = build_request(tool, arguments, server=SERVER, placed=placed)
    assert sent.headers == (("Cookie", "theme=dark; session=s3cret"),)


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "connection"])
def test_no_argument_says_which_server_is_meant_or_where_a_request_ends(name: str) -> None:
    tool = operation(parameter(name, "header", required=True), parameter("X-A", "header"))
    assert build(tool, **{"X-A": "a"}).headers == (("X-A", "a"),)
    with pytest.raises(CallError, match=f"has no argument {name!r}"):
        build(tool, **{name: "evil.example"})


@pytest.mark.parametrize(
    ("server", "base_url", "url"),
    [
        ("https://a.example/v1/", None, "https://a.example/v1"),
        ("https://a.example/v1", "http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("/v1", "https://b.example/gate/", "https://b.example/gate/v1"),
        ("/", "https://b.example", "https://b.example"),
    ],
)
def test_the_server(server: str, base_url: str | None, url: str) -> None:
    assert server_url(Tool("t", "t", metadata={"server": server}), base_url) == url


@pytest.mark.parametrize("server", ["/v1", "", "ftp://a.example", "https:///v1", "file:///etc"])
def test_a_server_that_is_no_whole_url_is_an_error(server: str) -> None:
    with pytest.raises(CallError, match=r"has no whole server URL but .* pass base_url"):
        server_url(Tool("t", "t", metadata={"server": server}), None)


SECRETS: dict[str, Any] = {
    "key": "k",
    "query_key": "a&b",
    "cookie_key": "c;d+/= é",
    "nameless": "n",
    "basic": ("user", "pass"),
    "bearer": "b",
    "digest": "d",
    "login": "l",
    "connect": "c",
}


def _has(*names: str) -> Credentials:
    return lambda scheme: SECRETS[scheme.name] if scheme.name in names else None


@pytest.mark.parametrize(
    ("name", "placed"),
    [
        ("key", PlacedCredentials(headers=(("X-Key", "k"),))),
        ("query_key", PlacedCredentials(query=(("api%20key", "a%26b"),))),
        ("cookie_key", PlacedCredentials(cookies=(("session", "c%3Bd+/=%20%C3%A9"),))),
        ("basic", PlacedCredentials(headers=(("Authorization", "Basic dXNlcjpwYXNz"),))),
        ("bearer", PlacedCredentials(headers=(("Authorization", "Bearer b"),))),
        ("digest", PlacedCredentials(headers=(("Authorization", "Digest d"),))),
        ("login", PlacedCredentials(headers=(("Authorization", "Bearer l"),))),
        ("connect", PlacedCredentials(headers=(("Authorization", "Bearer c"),))),
        ("tls", PlacedCredentials()),
    ],
)
def test_each_scheme_has_its_place(name: str, placed: PlacedCredentials) -> None:
    tool = operation(security=[{name: []}])
    assert place_credentials(tool, SERVER, _has(*SECRETS)) == placed


def test_credentials_of_an_unknown_scheme_count_as_missing() -> None:
    with pytest.raises(CallError, match="needs credentials"):
        place_credentials(operation(security=[{"nameless": []}]), SERVER, _has(*SECRETS))


def test_the_first_alternative_that_the_caller_has_counts() -> None:
    tool = operation(security=[{}, {"key": [], "bearer": []}, {"basic": []}])
    both = place_credentials(tool, SERVER, _has("key", "bearer", "basic"))
    assert [name for name, _ in both.headers] == ["X-Key", "Authorization"]
    assert place_credentials(tool, SERVER, _has("key", "basic")).headers == (
        ("Authorization", "Basic dXNlcjpwYXNz"),
    )
    assert place_credentials(tool, SERVER, _has("key")) == PlacedCredentials()
    assert place_credentials(operation(), SERVER, _has("key")) == PlacedCredentials()


def test_without_any_alternative_nothing_is_sent() -> None:
    tool = operation(security=[{"key": [], "bearer": []}, {"missing": ["a"]}])
    with pytest.raises(CallError) as caught:
        place_credentials(tool, SERVER, _has("key"))
    assert str(caught.value) == (
        "'t.op' needs credentials (key and bearer or missing), and the hook gave none"
    )


@pytest.mark.parametrize("secret", [b"s3cret", ("user", None)])
def test_an_invalid_secret_is_an_error_that_does_not_quote_it(secret: Any) -> None:
    with pytest.raises(CallError) as caught:
        place_credentials(operation(security=[{"basic": []}]), SERVER, lambda _: secret)
    assert str(caught.value) == (
        f"the credentials hook gave an object of type {type(secret).__name__} for 'basic': it has "
        "to return a text, two texts (user name and password), or None"
    )


@pytest.mark.parametrize("secret", ["", ("", ""), ()])
@pytest.mark.parametrize("scheme", ["key", "query_key", "basic", "bearer"])
def test_an_empty_secret_is_an_error_that_says_of_what(scheme: str, secret: Any) -> None:
    with pytest.raises(CallError) as caught:
        place_credentials(operation(security=[{scheme: []}]), SERVER, lambda _: secret)
    assert str(caught.value) == (
        f"the credentials hook gave an empty secret for '{scheme}': it has to return None if there "
        "is none"
    )


@pytest.mark.parametrize("pair", [("user", ""), ("", "token")])
def test_a_user_name_or_a_password_may_be_empty(pair: tuple[str, str]) -> None:
    placed = place_credentials(operation(security=[{"basic": []}]), SERVER, lambda _: pair)
    encoded = placed.headers[0][1].removeprefix("Basic ")
    assert b64decode(encoded).decode() == ":".join(pair)


def test_what_the_hook_raises_is_logged_and_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    """It may come from the server that gives the secrets, and the model would be told."""
    failure: Exception = RuntimeError("401 for https://auth.example/token?client_secret=s3cret")

    def hook(_scheme: Any) -> Any:
        raise failure

    tool = operation(security=[{"bearer": []}])
    with pytest.raises(CallError) as caught:
        place_credentials(tool, SERVER, hook)
    assert (
        str(caught.value) == "'t.op' needs credentials (bearer), and the hook raised RuntimeError"
    )
    assert "the credentials hook raised RuntimeError:\n" in caplog.text
    assert "s3cret" not in caplog.text
    failure = CallError("ask the user to sign in first")
    with pytest.raises(CallError, match="ask the user to sign in first"):
        place_credentials(tool, SERVER, hook)


def test_the_hook_sees_the_scheme() -> None:
    asked: list[SecurityScheme] = []

    def hook(scheme: SecurityScheme) -> str:
        asked.append(scheme)
        return "x"

    place_credentials(operation(security=[{"basic": []}]), "https://a.example", hook)
    assert asked == [SecurityScheme("basic", "http", (), "basic", "https://a.example", "t.op")]


def test_credentials_win_over_arguments_of_the_same_name() -> None:
    tool = operation(
        parameter("x-key", "header"),
        parameter("api key"),
        parameter("session", "cookie"),
        security=[{"key": [], "query_key": [], "cookie_key": []}],
    )
    placed = place_credentials(tool, SERVER, _has(*SECRETS))
    arguments = dict.fromkeys(names(tool), "forged")
    request = build_request(tool, arguments, server=SERVER, placed=placed)
    assert request.url == f"{SERVER}/items?api%20key=a%26b"
    assert request.headers == (("X-Key", "k"), ("Cookie", "session=c%3Bd+/=%20%C3%A9"))
