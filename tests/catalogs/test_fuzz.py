"""Whatever a document holds: tools that every provider takes, or one error of the catalog.

More examples than by default: ``pytest --hypothesis-profile=fuzz tests/catalogs/test_fuzz.py``.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.anthropic_rules import anthropic_problems
from tests.catalogs.documents_strategy import junk, openapi_documents, schemas, swagger_documents
from tests.conftest import HTTP_METHODS
from toolret.catalogs.keys import argument_name, is_key
from toolret.catalogs.openapi import OpenApi
from toolret.catalogs.refs import Place, References
from toolret.catalogs.schema import Schemas
from toolret.catalogs.source import Document
from toolret.catalogs.swagger import Swagger
from toolret.catalogs.writable import writable
from toolret.catalogs.yaml_values import YamlError, parse_yaml
from toolret.errors import CatalogError
from toolret.json_values import parse_json
from toolret.lint.checks import lint
from toolret.lint.providers import openai_problems, schema_problems
from toolret.rows import tool_from_row, tool_to_row
from toolret.text.rendering import tool_text
from toolret.types import Tool


def _check(source: OpenApi | Swagger, content: Any) -> list[Tool]:
    before = json.dumps(content)
    try:
        tools = list(source.tools(Document(content, "<fuzz>"), namespace=None))
    except CatalogError as error:
        assert str(error).startswith("<fuzz>: ")
        return []
    assert json.dumps(content) == before
    operations = [
        method
        for path, item in content["paths"].items()
        if isinstance(item, dict) and "$ref" not in item and not path.startswith("x-")
        for method in item
        if method in HTTP_METHODS
    ]
    assert len(operations) <= len(tools) == len({tool.id for tool in tools})
    for tool in tools:
        assert tool.parameters is not None
        assert not list(schema_problems(tool.parameters))
        assert not list(openai_problems(tool.parameters))
        assert not list(anthropic_problems(tool.parameters))
        assert tool.parameters["properties"].keys() == tool.metadata["arguments"].keys()
        assert tool_from_row(json.loads(json.dumps(tool_to_row(tool)))) == tool
        assert tool_text(tool)
    assert all(finding.check and finding.problem for finding in lint(tools))
    return tools


@given(openapi_documents())
def test_any_openapi_document(content: Any) -> None:
    _check(OpenApi(), content)


@given(swagger_documents())
def test_any_swagger_document(content: Any) -> None:
    _check(Swagger(), content)


_instances = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "xyz"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "id", "body"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries({name: schemas("#/components/schemas/", tidy=True) for name in "ABC"}),
    st.lists(_instances, min_size=1, max_size=10),
)
def test_what_a_schema_accepts_is_accepted_when_it_is_inlined(parts: Any, instances: Any) -> None:
    assume(_ends(parts))
    document = {"components": {"schemas": parts}}
    root = {"$ref": "#/components/schemas/A"}
    before = Draft202012Validator({**root, **document})
    inlined = Schemas(References(Document(document, "<fuzz>"))).inline(root, Place("<fuzz>"))
    after = Draft202012Validator(inlined)
    for instance in instances:
        assert after.is_valid(instance) or not before.is_valid(instance), (inlined, instance)
    assert writable(inlined) is inlined


def _in_place(schema: Any) -> set[str]:
    """The schemas that judge the same value as this one does."""
    if not isinstance(schema, dict):
        return set()
    if "$ref" in schema:
        return {schema["$ref"].rpartition("/")[2]}
    inner = [schema[key] for key in ("not", "if", "then", "else") if key in schema]
    inner += [part for key in ("allOf", "anyOf", "oneOf") for part in schema.get(key, ())]
    return {name for part in inner for name in _in_place(part)}


def _ends(parts: Any) -> bool:
    """Whether judging a value by these schemas comes to an end."""
    reached = {name: _in_place(part) for name, part in parts.items()}
    for _ in parts:
        reached = {
            name: names | {far for near in names for far in reached[near]}
            for name, names in reached.items()
        }
    return not any(name in names for name, names in reached.items())


@given(st.text() | st.text("[]{}:,-*&!<>|'\"#%@ \n\tabc01", max_size=60))
def test_any_text_is_yaml_or_an_error(text: str) -> None:
    try:
        value = parse_yaml(text)
    except YamlError as error:
        assert error.problem
        return
    assert json.loads(json.dumps(value)) == value


@given(st.text() | st.text('[]{}:,"\\ud0eE+-.1truefalsn ', max_size=60))
def test_any_text_is_json_or_an_error(text: str) -> None:
    try:
        value = parse_json(text)
    except ValueError:
        return
    assert json.loads(json.dumps(value)) == value


@given(
    st.lists(
        st.builds(
            Tool,
            id=st.text(max_size=8),
            name=st.text(max_size=8),
            description=st.text(max_size=40),
            parameters=st.none()
            | st.dictionaries(st.text(max_size=5), schemas("#/x/"), max_size=3).map(
                lambda properties: {"type": "object", "properties": properties}
            )
            | junk.map(lambda value: {"properties": value}),
        ),
        max_size=4,
    )
)
def test_lint_reads_whatever_tools_there_are(tools: list[Tool]) -> None:
    for finding in lint(tools):
        assert finding.problem
        assert set(finding.tools) <= {tool.id for tool in tools}
        json.dumps(finding.to_json())


@given(st.text(max_size=90))
def test_any_name_becomes_a_key(name: str) -> None:
    key = argument_name(name)
    assert is_key(key)
    assert key == name or not is_key(name)
