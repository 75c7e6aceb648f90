"""Whatever is given: tools that can be stored and shown, or one clear line.

``scripts/fuzz.py`` runs these for as long as one likes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal, Optional

import httpx
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from toolret.calling import Toolbox
from toolret.calling.requests import build_request
from toolret.catalogs import Catalog, load_tools
from toolret.errors import CallError, CatalogError
from toolret.rows import tool_from_row, tool_to_row
from toolret.text.names import wire_name
from toolret.text.rendering import tool_text
from toolret.types import Tool

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
FORMS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "a", "description": "b", "parameters": SCHEMA}},
    {"type": "function", "name": "a", "description": "b", "parameters": SCHEMA, "strict": True},
    {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "a"}]},
    {"name": "a", "description": "b", "input_schema": SCHEMA},
    {"name": "a", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": True, "title": "t"}},
    {"id": "i", "name": "a", "namespace": "n", "parameters": SCHEMA, "tags": ["x"]},
    {"name": "a", "permissions": [["x"], ["y"]], "metadata": {"k": 1}},
    {"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "a", "inputSchema": SCHEMA}]}},
    {"openapi": "3.1.0", "info": {"title": "T"}, "paths": {"/a/{b}": {"get": {}}}},
    {"swagger": "2.0", "info": {"title": "T"}, "paths": {"/a/{b}": {"get": {}}}},
]
KEYS = sorted(
    {"$ref", "const", "enum", "items", "properties", "title", "_meta", "icons", "server"}
    | {key for form in FORMS for key in form}
    | {"function", "tools", "result", "annotations", "type", "inputSchema", "parameters"}
)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.text(st.characters(exclude_categories=()), max_size=5),
    st.sampled_from(["", "object", "function", "a", " ", "web_search", "#/", "\u202e", "\x00"]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=8)), inner, max_size=5),
    ),
    max_leaves=12,
)


@st.composite
def nearly_right(draw: st.DrawFn) -> Any:
    """A good document in which something is replaced, removed or added."""
    document = json.loads(json.dumps(draw(st.sampled_from(FORMS))))
    for _ in range(draw(st.integers(1, 3))):
        node: Any = document
        while isinstance(node, dict | list) and node:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = draw(st.sampled_from(keys))
            if not isinstance(node[key], dict | list) or draw(st.booleans()):
                break
            node = node[key]
        if isinstance(node, dict):
            if draw(st.booleans()) and node:
                node.pop(draw(st.sampled_from(list(node))))
            node[draw(st.sampled_from(KEYS))] = draw(JSON)
        elif isinstance(node, list):
            node.append(draw(JSON))
    return document


def loaded(*given: Any) -> Catalog | None:
    """The tools; None for an error, which must be one clear line."""
    try:
        catalog = load_tools(*given)
    except CatalogError as error:
        assert str(error).startswith("<argument 1>")
        assert len(error.problem) > 5
        assert len(str(error)) < 2_000
        return None
    for tool in catalog:
        row = json.dumps(tool_to_row(tool), ensure_ascii=False, allow_nan=False)
        assert tool_from_row(json.loads(row)) == tool
        row.encode()
        assert tool_text(tool) or not tool.name
        assert wire_name(tool.id)
    assert sum(found.tools for found in catalog.found) >= len(catalog)
    return catalog


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(nearly_right(), st.lists(nearly_right(), max_size=3), JSON))
@example({"type": ["function"], "name": "a"})
@example({"type": "namespace", "name": 5, "tools": []})
@example([[[[[[[]]]]]]])
def test_values_in_memory(value: Any) -> None:
    loaded(value if isinstance(value, dict | list) else [value])


TYPES: list[Any] = [
    "int",
    "str",
    "float",
    "bool",
    "Any",
    "None",
    "object",
    "list",
    "list[int]",
    "dict[str, Any]",
    "Optional[int]",
    "Literal['a', 'b']",
    "Callable[[], int]",
    "Unknown",
    "'ForwardReference'",
]
NAMES = st.sampled_from(
    ["a", "b", "config", "callbacks", "self", "run_manager", "schema", "json", "model_x", "été"]
)


@st.composite
def functions(draw: st.DrawFn) -> Callable[..., Any]:
    """A function of any signature, with a docstring that may or may not fit it."""
    names = draw(st.lists(NAMES, max_size=4, unique=True))
    parameters: list[str] = []
    for name in names:
        hint = draw(st.sampled_from(["", *TYPES]))
        default = draw(st.sampled_from(["", "None", "1", "'x'", "[]", "object()"]))
        text = name + (f": {hint}" if hint else "")
        parameters.append(text + (f" = {default}" if default or "=" in "".join(parameters) else ""))
    parameters = [p.removesuffix(" = ") for p in parameters]
    star = draw(st.sampled_from([[], ["*"], ["*args"], ["**kwargs"], ["*args", "**kwargs"]]))
    if star == ["*"]:
        parameters = ["*", *parameters] if parameters else []
    elif star[:1] == ["*args"]:
        parameters = ["*args", *parameters, *star[1:]]
    else:
        parameters += star
    described = "".join(f"\n        {name}: {draw(st.text(max_size=5))}" for name in names)
    fitting = st.just(f"Do.\n\n    Args:{described}")
    docstring = draw(st.one_of(st.just(""), st.text(max_size=30), fitting))
    prefix = draw(st.sampled_from(["", "async "]))
    source = f"{prefix}def function({', '.join(parameters)}):\n    return 1"
    scope: dict[str, Any] = {
        "Any": Any,
        "Callable": Callable,
        "Literal": Literal,
        "Optional": Optional,
        "Unknown": type("Unknown", (), {}),
    }
    try:
        exec(source, scope)
    except SyntaxError:
        exec(f"{prefix}def function():\n    return 1", scope)
    function: Callable[..., Any] = scope["function"]
    function.__doc__ = docstring
    return function


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(functions())
def test_functions(function: Callable[..., Any]) -> None:
    catalog = loaded([function])
    if catalog is not None:
        assert catalog[0].target is not None
        assert Toolbox(catalog).call("function", {"a": 1}).text


@st.composite
def operations(draw: st.DrawFn) -> tuple[Tool, dict[str, Any]]:
    """A tool of an odd document, and odd arguments."""
    parameters = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.one_of(st.sampled_from(["a", "b", "X-H"]), st.text(max_size=4)),
                    "in": st.sampled_from(["path", "query", "header", "cookie"]),
                    "schema": st.just({}),
                },
                optional={
                    "style": st.sampled_from(
                        ["form", "simple", "label", "matrix", "deepObject", "pipeDelimited", "odd"]
                    ),
                    "explode": st.booleans(),
                    "allowReserved": st.booleans(),
                },
            ),
            max_size=4,
        )
    )
    media = draw(
        st.sampled_from(
            [
                "application/json",
                "application/x-www-form-urlencoded",
                "multipart/form-data",
                "text/plain",
                "*/*",
            ]
        )
    )
    body = draw(st.sampled_from([None, {"type": "array"}, SCHEMA | {"required": []}]))
    operation: dict[str, Any] = {"operationId": "op", "parameters": parameters}
    if body:
        operation["requestBody"] = {"content": {media: {"schema": body}}}
    path = "/p" + "".join(f"/{{{p['name']}}}" for p in parameters if p["in"] == "path")
    document = {
        "openapi": "3.1.0",
        "servers": [{"url": "https://api.example.com/v1"}],
        "paths": {path: {draw(st.sampled_from(["get", "post"])): operation}},
    }
    (tool,) = load_tools(json.loads(json.dumps(document)), namespace="n")
    known = list((tool.parameters or {}).get("properties", {}))
    arguments = {name: draw(JSON) for name in known if draw(st.booleans())}
    return tool, arguments | draw(st.dictionaries(st.text(max_size=3), JSON, max_size=1))


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(operations())
def test_requests(pair: tuple[Tool, dict[str, Any]]) -> None:
    tool, arguments = pair
    try:
        request = build_request(tool, arguments, server="https://api.example.com/v1")
    except CallError as error:
        assert str(error)
        return
    files: Any = list(request.parts) or None
    headers = [(name.encode(), value.encode()) for name, value in request.headers]
    sent = httpx.Request(
        request.method, request.url, headers=headers, content=request.content, files=files
    )
    assert (sent.url.scheme, sent.url.host) == ("https", "api.example.com")
    assert sent.url.raw_path.startswith(b"/v1/p")
