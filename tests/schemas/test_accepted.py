from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator, Draft202012Validator

from tests.anthropic_rules import anthropic_problems
from toolret.lint.providers import openai_problems, schema_problems
from toolret.schemas.accepted import accepted_form
from toolret.schemas.drafts import _IS_VALID

_A = {"properties": {"kind": {"const": "a"}, "x": {}}, "required": ["kind", "x"]}
_B = {"properties": {"kind": {"const": "b"}, "y": {}}, "required": ["kind", "y"]}
_NODE = {
    "description": "A node.",
    "type": "object",
    "properties": {"next": {"$ref": "#/$defs/a~1node"}},
}


@pytest.mark.parametrize(
    ("given_", "made"),
    [
        (None, {"type": "object", "properties": {}}),
        ({"type": ["object", "null"]}, {"type": "object", "properties": {}}),
        ({"properties": None, "title": "T"}, {"type": "object", "title": "T", "properties": {}}),
        (
            {"properties": {"a": {"anyOf": [{"type": ["array", "null"]}, {"items": False}]}}},
            {
                "type": "object",
                "properties": {
                    "a": {"anyOf": [{"type": ["array", "null"], "items": {}}, {"items": False}]}
                },
            },
        ),
        (
            {"oneOf": [_A, _B, {"type": "null"}, False]},
            {
                "type": "object",
                "properties": {
                    "kind": {"anyOf": [{"const": "a"}, {"const": "b"}]},
                    "x": {},
                    "y": {},
                },
                "required": ["kind"],
                "description": 'Give exactly one of: kind "a" and x; kind "b" and y.',
            },
        ),
        (
            {
                "description": "Who.",
                "properties": {"a": {}, "b": {}, "c": {}},
                "additionalProperties": False,
                "anyOf": [{"required": ["a"]}, {"required": ["b", "c"]}],
            },
            {
                "type": "object",
                "properties": {"a": {}, "b": {}, "c": {}},
                "additionalProperties": False,
                "description": "Who. Give at least one of: a; b and c.",
            },
        ),
        (
            {"allOf": [_A, {"properties": {"x": {"type": "string"}, "z": {}}, "required": ["z"]}]},
            {
                "type": "object",
                "properties": {
                    "kind": {"const": "a"},
                    "x": {"allOf": [{}, {"type": "string"}]},
                    "z": {},
                },
                "required": ["kind", "x", "z"],
            },
        ),
        (
            {"$ref": "#/$defs/a~1node", "$defs": {"a/node": _NODE}},
            {"$defs": {"a/node": _NODE}, **_NODE},
        ),
        (
            {"$ref": "#/$defs/B", "$defs": {"B": _B, "C": {"$ref": "#/$defs/B"}, "D": {}}},
            {"type": "object", **_B},
        ),
        ({"$ref": "#/anyOf/0", "anyOf": [_A]}, {"type": "object", **_A}),
        ({"$ref": "https://example.com/x"}, {"type": "object", "properties": {}}),
        ({"anyOf": [{}, True]}, {"type": "object", "properties": {}}),
        (
            {"not": {"required": ["a"]}, "const": {}, "enum": [{}], "anyOf": [], "allOf": None},
            {"type": "object", "properties": {}},
        ),
    ],
)
def test_what_providers_refuse_is_written_as_one_object(
    given_: dict[str, Any] | None, made: dict[str, Any]
) -> None:
    assert accepted_form(given_) == made


@pytest.mark.parametrize(
    ("given_", "made"),
    [
        (
            {"type": "array", "items": [{"type": "str"}, True, None]},
            {"type": "array", "prefixItems": [{"type": "string"}, True, {}], "items": {}},
        ),
        (
            {"type": "array", "items": [{}], "additionalItems": False},
            {"type": "array", "prefixItems": [{}], "items": False},
        ),
        ({"type": "array", "items": []}, {"type": "array", "items": {}}),
        ({"type": "array", "items": None}, {"type": "array", "items": {}}),
        ({"minimum": 0, "exclusiveMinimum": True}, {"exclusiveMinimum": 0}),
        ({"maximum": 9, "exclusiveMaximum": False}, {"maximum": 9}),
        ({"exclusiveMaximum": True}, {}),
        ({"type": "any", "description": 5}, {}),
        ({"type": "file", "title": "T"}, {"title": "T"}),
        ({"type": ["INTEGER", "none", "int"]}, {"type": ["integer", "null"]}),
        ({"type": ["string", {"type": "object"}]}, {}),
        ({"type": []}, {}),
        ({"required": None, "additionalProperties": None, "anyOf": []}, {}),
        ({"required": "a"}, {}),
        ({"required": ["a", 1, "a"]}, {"required": ["a"]}),
        ({"enum": [], "minLength": "3", "maxItems": True, "minItems": 1.5}, {}),
        ({"anyOf": [{"type": "any"}, None]}, {"anyOf": [{}, {}]}),
        (
            {"properties": {"b": {"required": True}, "c": {"required": False}}, "required": ["c"]},
            {"properties": {"b": {}, "c": {}}, "required": ["c", "b"]},
        ),
        (
            {"dependencies": {"a": ["b"], "b": "c", "c": {"required": True}}},
            {"dependentRequired": {"a": ["b"], "b": ["c"]}, "dependentSchemas": {"c": {}}},
        ),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "type": "any"}, {}),
        (None, {}),
        ("string", {}),
    ],
)
def test_other_drafts_and_faults_are_written_as_draft_2020_12(given_: Any, made: Any) -> None:
    for keyword in ("properties", "$defs", "definitions"):
        schema = {"type": "object", "properties": {}, keyword: {"a": given_}}
        assert accepted_form(schema) == {"type": "object", "properties": {}, keyword: {"a": made}}


def test_patterns_and_references_are_written_as_openai_reads_them() -> None:
    """OpenAI: "Invalid schema for function ...: '^\\\\p{L}+$' is not a 'regex'"."""
    schema = {
        "type": "object",
        "$id": "My tool",
        "properties": {
            "name": {"type": "string", "pattern": r"^\p{L}+$"},
            "code": {"type": "string", "pattern": "^[a-z]+$", "not": {"pattern": r"\p{L}"}},
            "tags": {
                "patternProperties": {r"^\p{L}": {"type": "string"}, "^x": {"type": "integer"}},
                "additionalProperties": False,
            },
            "page": {"$ref": "#/$defs/Page of «items»"},
            "share": {"$ref": "#/$defs/100%of"},
        },
        "$defs": {"Page of «items»": {"type": "integer"}, "100%of": {"type": "number"}},
    }
    made = accepted_form(schema)
    assert not [*schema_problems(made)]
    assert made["properties"] == {
        "name": {"type": "string"},
        "code": {"type": "string", "pattern": "^[a-z]+$"},
        "tags": {"patternProperties": {"^x": {"type": "integer"}}},
        "page": {"$ref": "#/$defs/Page%20of%20%C2%ABitems%C2%BB"},
        "share": {"$ref": "#/$defs/100%25of"},
    }
    assert "$id" not in made
    check = Draft202012Validator(made)
    assert check.is_valid({"name": "Zoë", "tags": {"Zoë": "x"}, "page": 1})
    assert not check.is_valid({"page": "1"})
    assert not check.is_valid({"share": "all"})


def test_a_test_of_an_older_draft_is_translated_and_goes_only_where_something_is_dropped() -> None:
    older = {"minimum": 1, "exclusiveMinimum": True, "description": 5, "required": False}
    pair = {"items": [{"const": "x"}], "additionalItems": False, "dependencies": {"a": ["b"]}}
    properties: dict[str, Any] = {
        "a": {"not": older, "if": pair, "then": {"maxItems": 1}},
        "b": {"not": {"anyOf": [older, {"type": "decimal"}]}, "if": pair | {"multipleOf": 0}},
    }
    made = accepted_form({"type": "object", "properties": properties})
    assert not [*schema_problems(made)]
    assert made["properties"] == {
        "a": {
            "not": {"exclusiveMinimum": 1},
            "if": {
                "prefixItems": [{"const": "x"}],
                "items": False,
                "dependentRequired": {"a": ["b"]},
            },
            "then": {"maxItems": 1},
        },
        "b": {},
    }


def test_choices_of_which_something_is_dropped_no_longer_exclude_each_other() -> None:
    word = {"type": "string", "pattern": r"^\p{L}+$"}
    code = {"type": "string", "maxLength": 3}
    above = {"minimum": 1, "exclusiveMinimum": True}
    properties: dict[str, Any] = {
        "a": {"oneOf": [word, code]},
        "b": {"anyOf": [code], "oneOf": [word, code]},
        "c": {"oneOf": [above, {"maximum": 0, "title": 3}]},
    }
    made = accepted_form({"type": "object", "properties": properties})
    assert made["properties"] == {
        "a": {"anyOf": [{"type": "string"}, code]},
        "b": {"anyOf": [code], "allOf": [{"anyOf": [{"type": "string"}, code]}]},
        "c": {"oneOf": [{"exclusiveMinimum": 1}, {"maximum": 0}]},
    }
    assert Draft202012Validator(made).is_valid({"a": "Zoë"})


def test_a_draft_that_is_named_is_not_named_once_it_is_another() -> None:
    seven = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
    plain = {**seven, "properties": {"a": {"type": "string"}}}
    assert accepted_form(plain) is plain
    pair = {"type": "array", "items": [{"type": "string"}]}
    assert accepted_form({**seven, "properties": {"a": pair}}) == {
        "type": "object",
        "properties": {"a": {"type": "array", "prefixItems": pair["items"], "items": {}}},
    }


def test_choices_are_described_by_values_and_texts() -> None:
    cases = [
        {"description": "By id.", "properties": {"by": {"enum": ["id"]}, "id": {}}},
        {"description": "By name.", "properties": {"by": {"enum": ["name"]}, "name": {}}},
    ]
    asked = [{**case, "required": list(case["properties"])} for case in cases]
    assert accepted_form({"oneOf": asked})["description"] == (
        'Give exactly one of: by "id" and id (By id); by "name" and name (By name).'
    )
    assert accepted_form({"oneOf": cases})["description"] == "Give exactly one of: By id; By name."
    assert "description" not in accepted_form({"oneOf": [{"required": ["a"]}, {}]})


def test_references_keep_their_targets() -> None:
    schema = {
        "anyOf": [
            {"properties": {"a": {"properties": {"street": {"$ref": "#/$defs/text"}}}}},
            {"properties": {"b": {"$ref": "#/anyOf/0/properties/a"}, "c": {"$ref": "#"}}},
            {
                "properties": {
                    "d": {"$ref": "#/anyOf/1/properties/b"},
                    "t": {"$ref": "#/$defs/text"},
                }
            },
        ],
        "$defs": {"text": {"type": "string"}},
    }
    made = accepted_form(schema)
    check = Draft202012Validator(made)
    for name in "abd":
        assert check.is_valid({name: {"street": "x"}})
        assert not check.is_valid({name: {"street": 1}})
    assert made["properties"]["t"] == {"$ref": "#/$defs/text"}
    assert made["properties"]["c"] == {"$ref": "#"}


def test_values_other_than_schemas_are_dropped() -> None:
    odd = {"anyOf": [{"required": [{"name": "a"}, 1]}, {"required": "b", "properties": 7}, 5]}
    assert accepted_form(odd) == {"type": "object", "properties": {}}


def test_schemas_that_providers_accept_are_left_as_they_are() -> None:
    data = {"type": "array"}  # a value, not a schema
    schema = {
        "type": "object",
        "properties": {"type": {"enum": ["array"], "default": data, "examples": [data]}},
        "required": [],
    }
    assert accepted_form(schema) is schema


def test_references_in_circles_and_by_the_thousand_are_read() -> None:
    many = {str(i): {"anyOf": [{"$ref": f"#/$defs/{i + 1}"}] * 2} for i in range(200)}
    schema = {"$ref": "#/$defs/0", "$defs": {**many, "200": {**_A, "allOf": [{"$ref": "#"}]}}}
    assert accepted_form(schema)["required"] == ["kind", "x"]


_NAMES = st.lists(st.sampled_from("abcd"), unique=True)
_VALUES = st.one_of(st.none(), st.integers(0, 2), st.lists(st.integers(0, 1), max_size=1))
_TYPES = st.sampled_from([{}, {"type": "array"}, {"const": 1}, {"type": ["integer", "null"]}])
_CLOSED = st.builds(
    lambda properties, required: {
        "type": "object",
        "properties": properties,
        "required": [name for name in required if name in properties],
        "additionalProperties": False,
    },
    st.dictionaries(st.sampled_from("abcd"), _TYPES),
    _NAMES,
)


@given(
    st.recursive(
        _CLOSED,
        lambda inner: st.builds(
            lambda keyword, cases: {keyword: cases},
            st.sampled_from(["allOf", "anyOf", "oneOf"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        max_leaves=6,
    ),
    st.dictionaries(st.sampled_from("abcd"), _VALUES),
)
def test_valid_calls_stay_valid(schema: dict[str, Any], call: dict[str, Any]) -> None:
    made = accepted_form(schema)
    assert not [*openai_problems(made), *anthropic_problems(made)]
    Draft202012Validator.check_schema(dict(made))
    if Draft202012Validator(schema).is_valid(call):
        assert Draft202012Validator(made).is_valid(call)


_KEYWORDS = sorted({*_IS_VALID, "additionalItems", "const", "default"} - {"not"})
_ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-1, 3),
        st.floats(allow_nan=False),
        st.sampled_from(["", "a", "any", "int", "object", "array", "#/$defs/a b", "#a", r"\p{L}"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*_KEYWORDS, "a", "b", "["]), inner, max_size=4),
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(_KEYWORDS), _ANYTHING, max_size=5))
def test_any_parameters_get_a_form_that_providers_accept(schema: dict[str, Any]) -> None:
    made = accepted_form(schema)
    assert not [*schema_problems(made), *openai_problems(made)]
    assert accepted_form(made) is made


_OLD = st.one_of(
    st.sampled_from([{}, {"type": "integer"}, {"minimum": 1, "exclusiveMinimum": True}]),
    st.builds(
        lambda items, more: {"type": "array", "items": items, **more},
        st.lists(st.sampled_from([{}, {"type": "integer"}, {"type": "null"}]), min_size=1),
        st.sampled_from([{}, {"additionalItems": False}, {"additionalItems": {"type": "null"}}]),
    ),
)


@given(st.dictionaries(st.sampled_from("ab"), _OLD), _NAMES, st.data())
def test_exactly_the_calls_that_were_valid_in_draft_4_are_valid(
    properties: dict[str, Any], required: list[str], data: st.DataObject
) -> None:
    schema = {"type": "object", "properties": properties, "dependencies": {"a": ["b"]}}
    if required:
        schema["required"] = required
    call = data.draw(st.dictionaries(st.sampled_from("ab"), _VALUES))
    assert Draft202012Validator(accepted_form(schema)).is_valid(call) == (
        Draft4Validator(schema).is_valid(call)
    )
