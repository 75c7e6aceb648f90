from __future__ import annotations

from typing import Any

import pytest

from tests.anthropic_rules import anthropic_problems
from toolret.lint.providers import openai_problems, schema_problems

_GOOD: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a.b-c_D9": {"type": "array", "items": {"type": ["string", "null"]}},
        "choice": {"oneOf": [{"type": "string"}, {"enum": [1, None]}]},
    },
    "required": ["choice"],
}


def test_a_good_schema_has_no_problems() -> None:
    for problems in (schema_problems, openai_problems, anthropic_problems):
        assert list(problems(_GOOD)) == []


@pytest.mark.parametrize(
    ("change", "openai", "anthropic"),
    [
        (
            {"type": ["object", "null"]},
            [("", "OpenAI asks for type 'object' at the top")],
            [("", "Anthropic asks for type 'object' at the top")],
        ),
        (
            {"anyOf": [{}]},
            [("/anyOf", "OpenAI refuses 'anyOf' at the top")],
            [("/anyOf", "Anthropic refuses 'anyOf' at the top")],
        ),
        ({"not": {}}, [("/not", "OpenAI refuses 'not' at the top")], []),
        (
            {"properties": {"a": {"anyOf": [{"type": "array", "prefixItems": [{}]}]}}},
            [("/properties/a/anyOf/0", "OpenAI refuses an array without 'items'")],
            [],
        ),
        (
            {"$defs": {"A": {"type": ["array", "null"]}}},
            [("/$defs/A", "OpenAI refuses an array without 'items'")],
            [],
        ),
        (
            {"properties": {"a": {"items": {"properties": {"b c": {}}}}}},
            [],
            [
                (
                    "/properties/a/items/properties/b c",
                    "Anthropic refuses the property name 'b c': 1 to 64 of A-Z a-z 0-9 _ . -",
                )
            ],
        ),
    ],
)
def test_what_providers_refuse(
    change: dict[str, Any], openai: list[Any], anthropic: list[Any]
) -> None:
    assert list(openai_problems(_GOOD | change)) == openai
    assert list(anthropic_problems(_GOOD | change)) == anthropic


@pytest.mark.parametrize("name", ["", "x" * 65, "ß", "a[b]", "$top"])
def test_property_names_that_anthropic_refuses(name: str) -> None:
    schema = {"type": "object", "properties": {name: {}, "x" * 64: {}}}
    assert len(list(anthropic_problems(schema))) == 1


def test_what_is_no_json_schema() -> None:
    bad = {"type": "object", "properties": {"a": {"type": "date"}, "b": {"minLength": -1}}}
    assert sorted(schema_problems(bad)) == [
        ("/properties/a/type", "JSON Schema has no type 'date'"),
        (
            "/properties/b/minLength",
            "it is no JSON Schema: -1 is less than the minimum of 0",
        ),
    ]
    assert next(schema_problems({"required": "a" * 500}))[1].endswith("a..., not of type 'array'")
    assert next(schema_problems({"required": ["a" * 500] * 2}))[1].endswith("...")
    bad_texts: list[Any] = [
        {"pattern": r"\p{L}"},
        {"patternProperties": {"[": {}}},
        {"$ref": "a b"},
    ]
    for part in bad_texts:
        assert "is not a" in next(schema_problems({"items": part}))[1]
