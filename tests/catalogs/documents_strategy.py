"""Hypothesis strategies for API documents: nearly right, with faults where they hurt."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

__all__ = ["junk", "openapi_documents", "schemas", "swagger_documents"]

_NAMES = ["A", "B", "C"]
_HOSTILE = ["", " ", "a b", "filter[x]", "Größe", "$ref", "x" * 80, "a/b~c", "__proto__", "\u200b"]
_keys = st.sampled_from(["a", "b", "id", "body", "limit", *_HOSTILE])
_scalars = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([1.5, 1e300, 10**400, "x", ""])
)

_no_keys = _keys.filter(lambda key: key != "$ref")


def _json(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_no_keys, inner, max_size=2),
        max_leaves=5,
    )


junk = _json(_scalars | st.sampled_from([{"$ref": "#"}, {"$ref": 5}]))
"""Anything that JSON can hold, but no reference to nowhere."""

_bad = _json(_scalars | st.sampled_from([{"$ref": "#/x"}, {"$ref": "a.json"}, {"$ref": "//b"}]))


def _or_junk(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Right all but once in a hundred times."""
    return st.integers(0, 99).flatmap(lambda n: _bad if n == 70 else strategy)


_types = st.sampled_from(
    ["object", "string", "array", "integer", "number", "boolean", "null", "file", "any"]
)
_patterns = st.sampled_from(["^a", "\\p{L}+", "([", "x*"])


def schemas(base: str, *, tidy: bool = False) -> st.SearchStrategy[Any]:
    """Schemas that refer to those of a document.

    Args:
        base: Where the document keeps them, such as ``#/definitions/``.
        tidy: Whether all keywords are as JSON Schema has them.
    """
    refs = st.sampled_from(_NAMES).map(lambda name: {"$ref": f"{base}{name}"})

    def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        some = st.lists(inner, min_size=1, max_size=2)
        names = st.lists(_keys, min_size=1, max_size=2, unique=True)
        known: dict[str, st.SearchStrategy[Any]] = {
            "type": _types.filter(lambda name: not tidy or name not in ("file", "any")),
            "properties": st.dictionaries(_keys, inner, max_size=2),
            "required": names,
            "items": inner,
            "allOf": some,
            "anyOf": some,
            "oneOf": some,
            "not": inner,
            "additionalProperties": st.booleans() | inner,
            "enum": st.lists(_scalars, min_size=1, max_size=2),
            "minimum": st.integers(-2, 2),
            "maxLength": st.integers(0, 2),
            "minProperties": st.integers(0, 2),
            "contains": inner,
            "maxContains": st.integers(0, 2),
            "if": inner,
            "then": inner,
            "else": inner,
            "dependentRequired": st.dictionaries(_keys, names, max_size=1),
            "propertyNames": inner,
            "prefixItems": some,
            "description": st.sampled_from(["A text.", "<b>x</b>", ""]),
            "title": st.just("T"),
            "default": _scalars,
        }
        if tidy:
            return st.fixed_dictionaries({}, optional=known) | refs
        sloppy: dict[str, st.SearchStrategy[Any]] = {
            **{key: _or_junk(value) for key, value in known.items()},
            "type": _or_junk(_types | st.lists(_types, max_size=2)),
            "patternProperties": st.dictionaries(_patterns, inner, max_size=1),
            "pattern": _patterns,
            "multipleOf": st.sampled_from([0.5, 2, 1e-300, 0]),
            "unevaluatedProperties": st.booleans() | inner,
            "nullable": st.booleans(),
            "readOnly": st.booleans(),
            "exclusiveMinimum": st.booleans() | st.integers(0, 2),
            "example": junk,
            "discriminator": junk,
        }
        beside = st.fixed_dictionaries({}, optional={"nullable": st.booleans(), "title": junk})
        return (
            st.fixed_dictionaries({}, optional=sloppy)
            | refs
            | st.builds(lambda ref, more: {**more, **ref}, refs, beside)
        )

    leaves = refs | st.fixed_dictionaries({}, optional={"type": st.just("string")})
    return st.recursive(leaves if tidy else leaves | junk, nested, max_leaves=6)


_texts = st.sampled_from(["Find orders.", "", "# Title\n*x* <b>y</b>", "a" * 300, "[x](y) `z`"])
_security = _or_junk(
    st.lists(st.dictionaries(_keys, st.lists(st.sampled_from(["r", "w"]), max_size=2), max_size=2))
)
_schemes = st.dictionaries(
    _keys,
    st.fixed_dictionaries(
        {"type": st.sampled_from(["apiKey", "http", "oauth2", "basic"])},
        optional={"in": _keys, "name": _keys, "scheme": _keys},
    ),
    max_size=2,
)
_paths = st.sampled_from(["/a", "/a/{id}", "/a/{id}/{b c}", "x-a", "/{", "/{}/{id}"])
_methods = st.sampled_from(["get", "post", "put", "delete", "patch", "x-m", "summary"])


def _documents(
    version: dict[str, Any],
    operation: dict[str, st.SearchStrategy[Any]],
    whole: dict[str, st.SearchStrategy[Any]],
) -> st.SearchStrategy[Any]:
    shared: dict[str, st.SearchStrategy[Any]] = {
        "operationId": _or_junk(_keys),
        "summary": _or_junk(_texts),
        "description": _or_junk(_texts),
        "tags": _or_junk(st.lists(_keys, max_size=2)),
        "deprecated": st.booleans(),
        "security": _security,
    }
    operations = _or_junk(st.fixed_dictionaries({}, optional=shared | operation))
    items = _or_junk(st.dictionaries(_methods, operations, min_size=1, max_size=3))
    optional = {"info": _or_junk(st.fixed_dictionaries({"title": _keys})), "security": _security}
    paths = _or_junk(st.dictionaries(_paths, items, min_size=1, max_size=3))
    fixed = {key: st.just(value) for key, value in version.items()}
    return st.fixed_dictionaries(fixed | {"paths": paths} | whole, optional=optional)


def openapi_documents() -> st.SearchStrategy[Any]:
    """OpenAPI 3 documents."""
    schema = schemas("#/components/schemas/")
    media = st.dictionaries(
        st.sampled_from(["application/json", "multipart/form-data", "text/plain", "", "a;b"]),
        _or_junk(st.fixed_dictionaries({}, optional={"schema": schema, "encoding": junk})),
        max_size=2,
    )
    parameter = st.fixed_dictionaries(
        {"name": _keys, "in": st.sampled_from(["path", "query", "header", "cookie"])},
        optional={
            "schema": schema,
            "content": media,
            "required": st.booleans(),
            "style": junk,
            "example": junk,
            "examples": junk,
            "description": _or_junk(_texts),
        },
    )
    server = st.fixed_dictionaries({"url": st.just("https://{h}/x")}, optional={"variables": junk})
    responses = st.dictionaries(
        st.sampled_from(["200", "2XX", "default", "404", ""]),
        _or_junk(st.fixed_dictionaries({}, optional={"description": _texts, "content": media})),
        max_size=2,
    )
    body = st.fixed_dictionaries({}, optional={"content": _or_junk(media), "required": junk})
    return _documents(
        {"openapi": "3.1.0"},
        {
            "parameters": _or_junk(st.lists(_or_junk(parameter), max_size=3)),
            "requestBody": _or_junk(body),
            "responses": _or_junk(responses),
            "servers": _or_junk(st.lists(server, max_size=1)),
        },
        {
            "components": st.fixed_dictionaries(
                {"schemas": st.fixed_dictionaries(dict.fromkeys(_NAMES, schema))},
                optional={"securitySchemes": _or_junk(_schemes)},
            ),
            "servers": _or_junk(st.lists(server, max_size=1)),
        },
    )


def swagger_documents() -> st.SearchStrategy[Any]:
    """Swagger 2.0 documents."""
    schema = schemas("#/definitions/")
    parameter = st.fixed_dictionaries(
        {
            "name": _keys,
            "in": st.sampled_from(["path", "query", "header", "body", "formData", "cookie"]),
        },
        optional={
            "type": _or_junk(_types),
            "items": schema,
            "schema": schema,
            "required": st.booleans(),
            "collectionFormat": _or_junk(st.sampled_from(["csv", "multi", "tsv"])),
            "default": junk,
            "description": _or_junk(_texts),
        },
    )
    response = st.fixed_dictionaries({}, optional={"description": _texts, "schema": schema})
    media = _or_junk(st.lists(st.sampled_from(["application/json", "text/csv"]), max_size=2))
    return _documents(
        {"swagger": "2.0"},
        {
            "parameters": _or_junk(st.lists(_or_junk(parameter), max_size=3)),
            "responses": _or_junk(st.dictionaries(st.just("200"), response, max_size=1)),
            "consumes": media,
            "schemes": media,
        },
        {
            "definitions": st.fixed_dictionaries(dict.fromkeys(_NAMES, schema)),
            "securityDefinitions": _or_junk(_schemes),
            "host": _or_junk(st.just("a.example")),
            "basePath": _or_junk(st.just("/v1")),
            "consumes": media,
        },
    )
