from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from toolret.catalogs.refs import Place, References
from toolret.catalogs.schema import Schemas
from toolret.catalogs.schema_merge import merge_schemas
from toolret.catalogs.source import Document
from toolret.catalogs.writable import writable
from toolret.errors import CatalogError


def _inlined(schema: Any, **schemas: Any) -> Any:
    refs = References(Document({"components": {"schemas": schemas}}, "api.yaml"))
    result = Schemas(refs).inline(schema, Place("api.yaml", "/schema"))
    Draft202012Validator.check_schema(result)
    return result


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def test_references_are_inlined() -> None:
    pet = {"type": "object", "properties": {"tag": _ref("Tag"), "ref": {"type": "string"}}}
    assert _inlined({"type": "array", "items": _ref("Pet")}, Pet=pet, Tag={"type": "string"}) == {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"tag": {"type": "string"}, "ref": {"type": "string"}},
        },
    }


def test_keywords_beside_a_reference_win() -> None:
    tag = {"type": "string", "description": "A tag.", "maxLength": 5}
    assert _inlined(_ref("Tag") | {"description": "Its <b>tag</b>."}, Tag=tag) == {
        "type": "string",
        "description": "Its tag.",
        "maxLength": 5,
    }


def test_choices_say_which_value_of_the_discriminator_stands_for_them() -> None:
    def pet(**kind: Any) -> dict[str, Any]:
        return {"type": "object", "properties": {"$type": {"type": "string"} | kind}}

    mapping = {"kitty": "#/components/schemas/Cat", "tom": "Cat", "doggo": "Dog"}
    choices: dict[str, Any] = {
        "oneOf": [_ref("Cat"), _ref("Dog"), _ref("Emu"), _ref("Fox"), pet()],
        "discriminator": {"propertyName": "$type", "mapping": mapping},
    }
    dog = pet() | {"description": "A dog."}
    inlined = _inlined(choices, Cat=pet(), Dog=dog, Emu=pet(), Fox=pet(enum=["fox"]))
    (key,) = inlined["oneOf"][0]["properties"]
    assert [choice.get("description") for choice in inlined["oneOf"]] == [
        f"{key} is kitty or tom here.",
        f"A dog. {key} is doggo here.",
        f"{key} is Emu here.",
        None,
        None,
    ]


def test_a_discriminator_without_choices_has_the_schemas_that_build_on_it() -> None:
    lives, bark, age = ({"properties": {name: {"type": "integer"}}} for name in ("l", "b", "a"))
    pet = {
        "type": "object",
        "properties": {"kind": {"type": "string"}, "friend": _ref("Cat")},
        "discriminator": {"propertyName": "kind", "mapping": {"kitty": "Cat", "own": "Pet"}},
    }
    names: dict[str, Any] = {
        "Pet": pet,
        "Cat": {"allOf": [_ref("Pet"), lives]},
        "Dog": {"allOf": [_ref("Pet")], **bark},
        "Puppy 1": {"allOf": [_ref("Dog"), age], "description": "A young dog."},
        "Parrot": {"allOf": [_ref("Pet") | {"properties": {"says": {"type": "string"}}}]},
        "Broken": {"allOf": [_ref("Nowhere")]},
    }
    other = {"description": "Another kind."}
    told = {
        "type": "object",
        "properties": {"kind": {"type": "string"}, "friend": lives},
        "anyOf": [
            lives | {"description": "kind is kitty here."},
            bark | {"description": "kind is Dog here."},
            {"description": "kind is Parrot here.", "properties": {"says": {"type": "string"}}},
            {
                "description": "A young dog. kind is Puppy 1 here.",
                "properties": bark["properties"] | age["properties"],
            },
            other,
        ],
    }
    assert _inlined(_ref("Pet"), **names) == told
    assert _inlined({"allOf": [_ref("Pet")], "nullable": True}, **names) == {
        "anyOf": [told, {"type": "null"}]
    }
    cat = _inlined(_ref("Cat"), **names)  # is no dog
    assert cat.keys() == {"type", "properties"}
    assert cat["properties"].keys() == {"kind", "friend", "l"}


def test_subtypes_that_are_too_much_to_show_are_named() -> None:
    base: dict[str, Any] = {"type": "object", "discriminator": {"propertyName": "@type"}}
    base |= {"description": "Anything.", "properties": {"@type": {"type": "string"}}}
    many = {f"p{number}": {"type": "string"} for number in range(99)}
    names = {f"T{number}": {"allOf": [_ref("Base")], "properties": many} for number in range(21)}
    inlined = _inlined({"type": "array", "items": _ref("Base")}, Base=base, **names)["items"]
    (key,) = inlined.pop("properties")
    named = ", ".join(f"T{number}" for number in range(20))
    told = f"Anything. {key} may be {named} and others."
    assert inlined == {"type": "object", "description": told}


def test_a_circular_reference_accepts_anything_and_says_so() -> None:
    node = {
        "type": "object",
        "description": "A category.",
        "properties": {"children": {"type": "array", "items": _ref("Node")}, "up": _ref("Alias")},
    }
    assert _inlined(_ref("Node"), Node=node, Alias=_ref("Alias")) == {
        "type": "object",
        "description": "A category.",
        "properties": {
            "children": {
                "type": "array",
                "items": {
                    "type": "object",
                    "description": (
                        "A category. (circular reference to Node: any object is accepted)"
                    ),
                },
            },
            "up": {"description": "Circular reference to Alias: any value is accepted"},
        },
    }


@pytest.mark.parametrize(
    ("ref", "problem"),
    [
        ("#/components/schemas/None", "$ref '#/components/schemas/None' leads nowhere"),
        ("#/components/schemas/Tag/type/x", "$ref '#/components/schemas/Tag/type/x' leads nowhere"),
        ("#/components/schemas/Tag/none", "$ref '#/components/schemas/Tag/none' leads nowhere"),
        ("#anchor", "$ref '#anchor' leads nowhere: write it as a path, such as '#/a/b'"),
    ],
)
def test_a_reference_to_nowhere_is_named_with_its_pointer(ref: str, problem: str) -> None:
    pet = {"properties": {"a/b": {"$ref": ref}}}
    with pytest.raises(CatalogError) as caught:
        _inlined(_ref("Pet"), Pet=pet, Tag={"type": "string"})
    assert str(caught.value) == (
        f"api.yaml: /components/schemas/Pet/properties/a~1b/$ref: {problem}"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": False}, {"type": "string"}),
        (
            {"type": "string", "enum": ["a"], "nullable": True},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        ({"enum": ["a"], "nullable": True}, {"enum": ["a", None]}),
        ({"description": "x", "nullable": True}, {"description": "x"}),
        (
            {"allOf": [_ref("Tag")], "description": "x", "nullable": True},
            {"description": "x", "type": ["string", "null"]},
        ),
        (_ref("Tag") | {"nullable": True}, {"type": ["string", "null"]}),
        (
            {"oneOf": [_ref("Tag")], "description": "x", "nullable": True},
            {"description": "x", "anyOf": [{"oneOf": [{"type": "string"}]}, {"type": "null"}]},
        ),
        (
            {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
            {"type": "integer", "exclusiveMinimum": 0},
        ),
        (
            {"type": "integer", "maximum": 9, "exclusiveMaximum": False},
            {"type": "integer", "maximum": 9},
        ),
        ({"type": "integer", "exclusiveMaximum": 9}, {"type": "integer", "exclusiveMaximum": 9}),
        ({"type": "string", "example": "x"}, {"type": "string", "examples": ["x"]}),
        (
            {"type": "string", "xml": {}, "discriminator": {}, "externalDocs": {}, "x-y": 1},
            {"type": "string"},
        ),
        ({"type": "string", "deprecated": False}, {"type": "string"}),
        ({"type": "string", "deprecated": True}, {"type": "string", "deprecated": True}),
        ({"items": [{"type": "string"}, True]}, {"prefixItems": [{"type": "string"}, {}]}),
        ({"not": {}, "items": False}, {"not": {}, "items": {"not": {}}}),
        ({"anyOf": [False, True]}, {"anyOf": [{"not": {}}, {}]}),
        (None, {}),
        ("string", {}),
    ],
)
def test_openapi_dialects_become_plain_json_schema(before: Any, after: Any) -> None:
    assert _inlined(before, Tag={"type": "string"}) == after


@pytest.mark.parametrize(
    "sloppy",
    [
        {"type": "file"},
        {"type": ["any"]},
        {"type": None},
        {"required": True},
        {"required": []},
        {"enum": None},
        {"enum": []},
        {"pattern": "(["},
        {"pattern": "\\p{L}+"},
        {"patternProperties": {"([": {}}},
        {"minLength": "3"},
        {"maxLength": -1},
        {"minLength": True},
        {"minimum": "0"},
        {"multipleOf": 0},
        {"title": 5},
        {"additionalProperties": "true"},
        {"allOf": []},
        {"properties": []},
        {"examples": {"a": 1}},
        {"dependentRequired": {"a": "b"}},
        {"uniqueItems": "yes"},
    ],
)
def test_invalid_keywords_are_left_out(sloppy: Any) -> None:
    expected: dict[str, Any] = {"patternProperties": {}} if "patternProperties" in sloppy else {}
    assert _inlined(sloppy) == expected


def test_valid_keywords_are_kept() -> None:
    schema = {
        "type": ["object", "null"],
        "required": ["a"],
        "dependentRequired": {"a": ["b"]},
        "patternProperties": {"^x": {"pattern": "^a", "minLength": 1, "multipleOf": 0.5}},
        "const": None,
        "default": 0,
        "minProperties": 2.0,
        "additionalProperties": {"format": "date"},
    }
    assert _inlined(schema) == schema


def _parts(*parts: Any) -> Any:
    return _inlined({"allOf": list(parts)})


def test_all_of_plain_objects_is_one_object() -> None:
    assert _parts(
        {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
        {"properties": {"a": {"type": "integer", "description": "x"}, "b": {}}, "required": ["b"]},
    ) == {
        "type": "object",
        "properties": {"a": {"type": "integer", "description": "x"}, "b": {}},
        "required": ["a", "b"],
    }


@pytest.mark.parametrize(
    "parts",
    [
        ({"type": "string"}, {"type": "integer"}),
        ({"minimum": 1}, {"minimum": 2}),
        ({"properties": {"a": {"type": "string"}}}, {"properties": {"a": {"type": "null"}}}),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"properties": {"b": {}}}),
        ({"properties": {"b": {}}}, {"patternProperties": {"^x": {}}}),
        ({"items": {"type": "string"}}, {"prefixItems": [{}]}),
        ({"if": {}, "then": {}}, {"else": {}}),
    ],
)
def test_all_of_stays_where_merging_would_change_it(parts: Any) -> None:
    assert _parts(*parts) == {"allOf": list(parts)}


def test_all_of_that_stays_keeps_what_stands_beside_it() -> None:
    schema = {"description": "x", "allOf": [{"minimum": 1}, {"minimum": 2}]}
    assert _inlined(schema) == schema
    again = {"maximum": 5, **_ref("Two")}
    both = [{"minimum": 1}, {"minimum": 2}]
    assert _inlined(again, Two={"allOf": both, "maximum": 6}) == {
        "maximum": 5,
        "allOf": [{"maximum": 6, "allOf": both}],
    }
    assert merge_schemas([{"allOf": both}, {"allOf": both[:1]}]) == {
        "allOf": [{"allOf": both}, {"allOf": both[:1]}]
    }


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("number", "integer", "integer"),
        (["string", "null"], "string", "string"),
        (["number", "null"], ["null", "number"], ["null", "number"]),
    ],
)
def test_types_are_intersected(first: Any, second: Any, both: Any) -> None:
    assert _parts({"type": first}, {"type": second}) == {"type": both}


_small = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["object", "string", ["object", "null"]]),
        "properties": st.dictionaries(
            st.sampled_from("ab"),
            st.sampled_from([{}, {"type": "integer"}, {"type": "number"}, {"type": "string"}]),
        ),
        "required": st.lists(st.sampled_from("abc"), unique=True, min_size=1),
        "additionalProperties": st.booleans(),
        "minProperties": st.integers(0, 2),
    },
)
_instances = (
    st.none()
    | st.text(max_size=1)
    | st.dictionaries(st.sampled_from("abcd"), st.sampled_from([1, 1.5, "x"]))
)


@given(st.lists(_small, min_size=1, max_size=3), st.lists(_instances, max_size=8))
def test_merging_never_changes_what_is_accepted(parts: Any, instances: Any) -> None:
    before, after = (
        Draft202012Validator({"allOf": parts}),
        Draft202012Validator(merge_schemas(parts)),
    )
    for instance in instances:
        assert after.is_valid(instance) == before.is_valid(instance)


_READ_ONLY = {"id": {"readOnly": True, "type": "string"}}


def test_writable_drops_properties_that_only_the_server_sets() -> None:
    part = {"readOnly": True, "type": "string"}
    schema = {
        "type": "object",
        "properties": {
            "id": part,
            "list": {"type": "array", "items": {"properties": {"id": part}, "required": ["id"]}},
            "one": {"anyOf": [{"properties": {"id": part, "b": {}}, "required": ["id", "b"]}]},
        },
        "required": ["id", "list", "more"],
        "additionalProperties": False,
    }
    assert writable(schema) == {
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": {"properties": {}}},
            "one": {"anyOf": [{"properties": {"b": {}}, "required": ["b"]}]},
        },
        "required": ["list", "more"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("schema", "kept"),
    [
        (
            {"required": ["id", "a"], "allOf": [{"properties": _READ_ONLY}, {"minProperties": 1}]},
            {"required": ["a"], "allOf": [{"properties": {}}, {"minProperties": 1}]},
        ),
        (
            {"allOf": [{"properties": _READ_ONLY}, {"properties": {"id": {}}, "required": ["id"]}]},
            {"allOf": [{"properties": {}}, {"properties": {}}]},
        ),
        (
            {"properties": _READ_ONLY, "oneOf": [{"required": ["id", "a"]}, {"required": ["b"]}]},
            {"properties": {}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        ),
        (
            {"properties": _READ_ONLY, "anyOf": [{"required": ["id"]}, {"required": ["b"]}]},
            {"properties": {}},
        ),
        (
            {"oneOf": [{"properties": _READ_ONLY, "required": ["id"]}, {"required": ["id"]}]},
            {"oneOf": [{"properties": {}}, {"required": ["id"]}]},
        ),
        (
            {"properties": {**_READ_ONLY, "a": {"required": ["id"]}}},
            {"properties": {"a": {"required": ["id"]}}},
        ),
    ],
)
def test_read_only_properties_are_required_nowhere(
    schema: dict[str, Any], kept: dict[str, Any]
) -> None:
    assert writable(schema) == kept
    assert writable(kept) is kept


def test_schemas_that_explode_by_references_are_cut_at_a_depth_where_they_fit() -> None:
    schemas: dict[str, Any] = {
        f"S{i}": {"properties": {name: _ref(f"S{i + 1}") for name in "abc"}} for i in range(30)
    }
    result = _inlined(_ref("S0"), **schemas, S30={"type": "string"})
    depth = 0
    while "properties" in result:
        assert set(result["properties"]) == set("abc")
        result = result["properties"]["c"]
        depth += 1
    assert depth == 5
    assert result == {"description": "Nested too deeply to show: any value is accepted"}


def test_long_chains_of_references_end() -> None:
    chain = {f"R{i}": _ref(f"R{i + 1}") for i in range(5000)}
    assert _inlined(_ref("R0"), **chain) == {
        "description": "Nested too deeply to show: any value is accepted"
    }


def test_a_flat_schema_is_never_cut() -> None:
    schema = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(1500)}}
    assert _inlined(schema) == schema


def test_cutting_a_circular_reference_never_refuses_a_valid_value() -> None:
    node = {
        "type": "object",
        "nullable": True,
        "properties": {
            "one": {"oneOf": [_ref("Node"), {"type": "object", "maxProperties": 0}]},
            "both": {"anyOf": [{}], "oneOf": [_ref("Node")]},
            "no": {"not": _ref("Node"), "type": "string"},
            "if": {"if": _ref("Node"), "then": {"maxLength": 1}, "else": {}},
            "some": {"contains": _ref("Node"), "maxContains": 1},
        },
    }
    cut = {
        "type": ["object", "null"],
        "description": "Circular reference to Node: any object is accepted",
    }
    assert _inlined(_ref("Node"), Node=node)["properties"] == {
        "one": {"anyOf": [cut, {"type": "object", "maxProperties": 0}]},
        "both": {"anyOf": [{}]},
        "no": {"type": "string"},
        "if": {},
        "some": {"contains": cut},
    }


def test_patterns_that_python_does_not_know_are_no_reason_to_refuse() -> None:
    assert _inlined({"patternProperties": {"\\p{L}": {}}, "additionalProperties": False}) == {
        "patternProperties": {}
    }
    assert _inlined({"oneOf": [{"pattern": "\\p{L}"}, {"type": "string"}]}) == {
        "anyOf": [{}, {"type": "string"}]
    }


def test_arrays_have_items() -> None:
    assert _inlined({"type": ["array", "null"]}) == {"type": ["array", "null"], "items": {}}
    strings = {"items": {"type": "string"}}
    assert _parts({"type": "array"}, strings) == {"type": "array", **strings}
    assert _parts(strings, {"type": "array"}) == {"type": "array", **strings}
    assert _parts({"type": "array"}, {"type": "array"}) == {"type": "array", "items": {}}
    contains = {"contains": {"type": "string"}}
    within = [{"properties": {"a": part}} for part in ({"type": "array"}, contains)]
    held = {"items": {}, "type": "array", **contains}
    assert _parts(*within) == _parts(*within[::-1]) == {"properties": {"a": held}}
    assert _inlined({"type": "array", "not": {"maxItems": 0}, "nullable": True}) == {
        "anyOf": [{"type": "array", "not": {"maxItems": 0}, "items": {}}, {"type": "null"}]
    }
    prefixed = {"type": "array", "prefixItems": [{}]}
    assert _inlined(prefixed) == {**prefixed, "items": {}}


def test_equal_parts_are_the_same_objects() -> None:
    content = {"S": {"type": "object", "properties": {"a": {"$ref": "#/T"}}}, "T": {"maximum": 1}}
    schemas = Schemas(References(Document(content, "api.yaml")))
    first = schemas.inline({"$ref": "#/S"}, Place("api.yaml", "/x"))
    again = schemas.inline({"properties": {"b": {"$ref": "#/S"}}}, Place("api.yaml", "/y"))
    assert again == {"properties": {"b": first}}
    assert again["properties"]["b"] is first
    assert schemas.inline({"$ref": "#/T"}, Place("api.yaml", "/z")) is first["properties"]["a"]
