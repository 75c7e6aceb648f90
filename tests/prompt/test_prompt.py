from __future__ import annotations

import copy
import json
import time
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.conftest import tool
from toolret.errors import BudgetError
from toolret.prompt import Dropped, Format, Packed, catalog_tokens, pack, pack_alone
from toolret.prompt.packed import PackedTool
from toolret.prompt.trimming import DEMO_STEPS, TOOL_STEPS, first_sentences
from toolret.schemas.subschemas import subschemas, target
from toolret.tokens import TokenCounter, token_counter
from toolret.types import Call, Demo, DemoHit, Hit, JsonObject

CHARACTERS = TokenCounter("characters", exact=True, count=len)
"""Fast and easy to reckon with."""

PARAMETERS = {
    "type": "object",
    "title": "Refund",
    "properties": {
        "payment": {"type": "string", "description": "Which payment. " + "It is long. " * 20},
        "amount": {
            "type": "object",
            "description": "How much, if not all of it.",
            "properties": {"value": {"type": "number"}, "currency": {"enum": ["EUR", "USD"]}},
            "required": ["value"],
        },
        "lines": {"type": "array", "items": {"type": "string"}, "examples": [["1"]]},
    },
    "required": ["payment"],
    "additionalProperties": False,
}


def hit(name: str, description: str = "Does it.", parameters: Any = None) -> Hit:
    return Hit(tool(name, description, parameters=parameters), 0.5)


def demo_hit(id_: str, *tools: str, answer: str = "") -> DemoHit:
    calls = tuple(Call(name, {"payment": "p1"}, {"status": "done"}) for name in tools)
    return DemoHit(Demo(id_, f"request {id_}", calls, tools, answer), 0.9, "is like the request")


def packed(
    hits: list[Hit], demos: list[DemoHit], budget: int | None, form: Format = "openai"
) -> Packed:
    return pack(hits, demos, budget=budget, form=form, counter=CHARACTERS)


def test_openai_form() -> None:
    result = packed([hit("a.refund", "Refunds.", PARAMETERS)], [demo_hit("d", "a.refund")], None)
    prompt = result.to_openai()
    assert prompt["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "a__refund",
                "description": "Refunds.",
                "parameters": PARAMETERS,
            },
        }
    ]
    [message] = prompt["messages"]
    assert message["role"] == "system"
    assert message["content"].endswith(
        'Request: request d\nCall: a__refund({"payment":"p1"})\nResult: {"status":"done"}'
    )
    assert result.dropped == ()


def test_anthropic_form() -> None:
    prompt = packed([hit("refund")], [], None, "anthropic").to_anthropic()
    assert prompt == {
        "tools": [
            {
                "name": "refund",
                "description": "Does it.",
                "input_schema": {"type": "object", "properties": {}},
            }
        ],
        "system": "",
    }


def test_text_form() -> None:
    demo = DemoHit(Demo("d", "give it back", tools=("refund",), answer="Done."), 0.9, "")
    text = packed([hit("refund")], [demo], None, "text").to_text()
    assert text.startswith(
        'Tools:\n\nrefund: Does it.\n  arguments: {"type":"object","properties":{}}\n\nWorked '
    )
    assert text.endswith("Request: give it back\nTools: refund\nAnswer: Done.")


@pytest.mark.parametrize(
    "parameters", [{"properties": {}}, {"type": "object"}, {"type": "object", "properties": None}]
)
def test_every_schema_is_of_an_object_with_properties(parameters: Any) -> None:
    [made] = packed([hit("a", parameters=parameters)], [], None).tools
    assert made.parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize("form", ["openai", "anthropic"])
def test_the_caller_may_change_what_is_returned(form: Literal["openai", "anthropic"]) -> None:
    parameters = {"type": "object", "properties": {"a": {"enum": [1]}}}
    result = packed([hit("a", parameters=parameters), hit("b"), hit("c")], [], None, form)
    prompt = result.to_openai if form == "openai" else result.to_anthropic
    before, changed = copy.deepcopy(prompt()), prompt()
    for each in changed["tools"]:
        schema = each["function"]["parameters"] if form == "openai" else each["input_schema"]
        schema["properties"].setdefault("a", {"enum": []})["enum"].append(2)
    assert prompt() == before
    assert packed([hit("d")], [], None).tools[0].parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize("form", ["openai", "anthropic", "text"])
def test_tokens_are_those_of_what_is_handed_over(form: Format) -> None:
    counter = token_counter()
    hits = [hit("refund", parameters=PARAMETERS), hit("void", parameters=PARAMETERS)]
    result = pack(hits, [demo_hit("d", "void")], budget=260, form=form, counter=counter)
    forms = {
        "openai": lambda: json.dumps(result.to_openai(), ensure_ascii=False, separators=(",", ":")),
        "anthropic": lambda: json.dumps(
            result.to_anthropic(), ensure_ascii=False, separators=(",", ":")
        ),
        "text": result.to_text,
    }
    assert result.tokens == counter.count(forms[form]()) <= 260


def test_what_fits_is_left_alone() -> None:
    hits = [hit("refund", parameters=PARAMETERS)]
    full = packed(hits, [], None)
    assert packed(hits, [], full.tokens) == full


def test_cuts_go_from_the_last_item_on_and_only_as_far_as_needed() -> None:
    hits = [hit("first", parameters=PARAMETERS), hit("second", parameters=PARAMETERS)]
    full = packed(hits, [], None)
    result = packed(hits, [], full.tokens - 1)
    assert [(cut.kind, cut.id, cut.step) for cut in result.dropped] == [
        ("tool", "second", "schema annotations removed")
    ]
    assert result.tools[0] == full.tools[0]
    assert result.tokens == full.tokens - result.dropped[0].tokens_saved


def test_a_cut_that_saves_nothing_is_not_made() -> None:
    def only(values: list[Any]) -> JsonObject:
        return {"type": "object", "properties": {"a": {"enum": values}}, "required": ["a"]}

    numbers, events = only(list(range(21))), only([f"event {number}" for number in range(30)])
    hits = [hit("first", parameters=events), hit("second", parameters=numbers)]
    made = packed(hits, [], packed(hits, [], None).tokens - 1)
    assert [(cut.id, cut.step) for cut in made.dropped] == [("first", "long enumerations removed")]
    assert made.tools[1].parameters == numbers


def test_steps_are_taken_in_their_order() -> None:
    hits = [hit("refund", "It refunds a payment. " * 30, PARAMETERS)]
    demos = [demo_hit("d", "refund", answer="The money is on its way.")]
    smallest = None
    for budget in range(packed(hits, demos, None).tokens, 0, -1):
        try:
            smallest = packed(hits, demos, budget)
        except BudgetError:
            break
    assert smallest is not None
    first, *steps = [cut.step for cut in smallest.dropped]
    assert first == "left out"
    assert steps == [step for step in TOOL_STEPS if step in steps]
    assert set(TOOL_STEPS) - set(steps) <= {
        "optional parameters' deeper structure removed",
        "description shortened to a line",
        "long enumerations removed",
    }
    assert smallest.tools[0].parameters == {
        "type": "object",
        "properties": {"payment": {"type": "string"}},
        "required": ["payment"],
        "additionalProperties": False,
    }


def test_demonstrations_are_left_out_before_tools() -> None:
    hits = [hit("first"), hit("second")]
    demos = [demo_hit("d1", "first"), demo_hit("d2", "first", "second")]
    tools_alone = packed(hits, [], None).tokens
    result = packed(hits, demos, tools_alone)
    assert (len(result.tools), result.demos) == (2, ())
    assert [(cut.kind, cut.id) for cut in result.dropped] == [("demo", "d2"), ("demo", "d1")]


def test_tools_are_left_out_last_and_the_rest_is_whole_again() -> None:
    hits = [hit("first", parameters=PARAMETERS), hit("second", parameters=PARAMETERS)]
    alone = packed(hits[:1], [], None)
    shortest_two = alone.tokens
    result = packed(hits, [], shortest_two)
    assert result.tokens <= shortest_two
    tiny = next(
        r
        for budget in range(alone.tokens, 0, -1)
        if len((r := packed(hits, [], budget)).tools) == 1
    )
    assert tiny.dropped[0] == Dropped("tool", "second", "left out", tiny.dropped[0].tokens_saved)


def test_an_unlikely_tool_is_left_out_before_a_likely_one_loses_arguments() -> None:
    likely, unlikely = (
        Hit(hit(name, parameters=PARAMETERS).tool, score)
        for name, score in (("a", 0.9), ("b", 0.02))
    )
    alone = packed([likely], [], None)
    assert packed([likely, unlikely], [], alone.tokens).tools == alone.tools
    # Less unlikely, it is left out only after words.
    both = packed([likely, replace(unlikely, score=0.3)], [], alone.tokens + 100)
    assert [set(tool.parameters["properties"]) for tool in both.tools] == [
        {"payment", "amount", "lines"}
    ] * 2


def test_what_a_cut_saved_beyond_the_need_is_given_back() -> None:
    """Two tools each have a long optional argument, and one of them has to go."""
    optional = {
        "type": "object",
        "properties": {
            "q": {"type": "string"},
            "words": {"enum": [f"word {number}" for number in range(20)]},
        },
        "required": ["q"],
    }
    small = {
        "type": "object",
        "properties": {"q": {"type": "string"}, "n": {"type": "integer"}},
        "required": ["q"],
    }
    hits = [hit("large", parameters=optional), hit("small", parameters=small)]
    result = packed(hits, [], packed(hits, [], None).tokens - 40)
    assert [cut.id for cut in result.dropped] == ["large"]
    assert result.tools[1].parameters == small


def test_a_demonstration_never_outlasts_its_tools() -> None:
    assert packed([hit("first")], [demo_hit("d", "gone")], None).demos == ()


def test_a_budget_too_small_for_any_tool_is_an_error_that_names_the_need() -> None:
    with pytest.raises(BudgetError, match=r"budget of 9 holds not even the tool 'first', .* \d+ "):
        packed([hit("first"), hit("second")], [demo_hit("d", "first")], 9)


def test_a_tool_that_does_not_even_fit_alone_leaves_its_place_to_the_others() -> None:
    required = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    huge = {
        "type": "object",
        "properties": {f"argument_{n}": required for n in range(40)},
        "required": [f"argument_{n}" for n in range(40)],
    }
    hits = [hit("huge", parameters=huge), hit("second"), hit("third")]
    demos = [demo_hit("d", "huge"), demo_hit("e", "second")]
    result = packed(hits, demos, 900)
    assert [tool.id for tool in result.tools] == ["second", "third"]
    assert [demo.id for demo in result.demos] == ["e"]
    assert [(cut.kind, cut.id) for cut in result.dropped] == [("demo", "d"), ("tool", "huge")]
    with pytest.raises(BudgetError, match="not even the tool 'huge'"):
        packed(hits[:1], [], 900)


EIGHT = [hit(f"t{number}") for number in range(8)]


def test_alone_a_tool_is_trimmed_as_among_others_and_not_counted_if_it_surely_fits() -> None:
    large = hit("a.refund", "Refunds.", PARAMETERS)
    for budget in (230, 300, 500):
        found = pack_alone(large.tool, budget=budget, form="openai", counter=CHARACTERS)
        assert (found,) == packed([large], [], budget).tools
    assert pack_alone(large.tool, budget=1, form="openai", counter=CHARACTERS).schema == {
        "type": "object",
        "properties": {"payment": {"type": "string"}},
        "required": ["payment"],
        "additionalProperties": False,
    }
    never = TokenCounter("never", exact=True, count=lambda _: pytest.fail("there was no need"))
    for enough in (None, 5_000):
        found = pack_alone(large.tool, budget=enough, form="openai", counter=never)
        assert found.schema == PARAMETERS


def test_a_long_request_is_shortened() -> None:
    demo = Demo("long", "Why does it fail? " + "error " * 2_000, tools=("t0",))
    full = packed(EIGHT, [], None)
    result = packed(EIGHT, [DemoHit(demo, 0.9, ""), demo_hit("d", "t1")], full.tokens + 1_500)
    assert len(result.tools) == 8
    assert [shown.id for shown in result.demos] == ["long", "d"]
    assert result.demos[0].text == demo.text[:999] + "…"
    assert "long request shortened" in [cut.step for cut in result.dropped]


@pytest.mark.parametrize("number", [250, 65])
def test_a_demonstration_that_is_too_large_does_not_take_the_place_of_others(number: int) -> None:
    """Be it too large beside the first tool, or beside the first three."""
    values = {f"key_{index}": index for index in range(number)}
    large = DemoHit(Demo("large", "r", (Call("t0", values),), ("t0",)), 0.9, "")
    small = [demo_hit("d", "t1"), demo_hit("e", "t2")]
    budget = packed(EIGHT, small, None).tokens
    result = packed(EIGHT, [large, *small], budget)
    assert [tool.id for tool in result.tools] == [found.tool.id for found in EIGHT]
    assert [demo.id for demo in result.demos] == ["d", "e"]
    assert [(cut.kind, cut.id) for cut in result.dropped] == [("demo", "large")]


def test_no_hits_take_no_tokens() -> None:
    result = packed([], [demo_hit("d", "first")], 1)
    assert (result.tokens, result.to_openai()) == (0, {"tools": [], "messages": []})


def test_inputs_are_not_changed() -> None:
    before = copy.deepcopy(PARAMETERS)
    packed([hit("first", parameters=PARAMETERS), hit("second", parameters=PARAMETERS)], [], 400)
    assert before == PARAMETERS


def test_annotations_go_but_not_the_arguments_of_their_names() -> None:
    noted = {"type": "string", "title": "T", "example": "e", "x-order": 1, "$comment": "c"}
    schema = {
        "type": "object",
        "properties": {"example": noted, "x-order": {"type": "array", "items": noted}},
        "x-internal": True,
    }
    step = TOOL_STEPS["schema annotations removed"]
    assert step(PackedTool("t", "t", "", schema)).schema == {
        "type": "object",
        "properties": {
            "example": {"type": "string"},
            "x-order": {"type": "array", "items": {"type": "string"}},
        },
    }


def test_unused_definitions_go_with_the_parameters_that_used_them() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"$ref": "#/$defs/B"}},
        "required": ["a"],
        "$defs": {"B": {"type": "string"}},
    }
    step = TOOL_STEPS["optional parameters removed"]
    assert step(PackedTool("t", "t", "", schema)).parameters == {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
    }
    assert "$defs" in step(PackedTool("t", "t", "", {**schema, "required": ["b"]})).parameters


@pytest.mark.parametrize("keyword", ["$defs", "definitions"])
def test_definitions_that_only_refer_to_each_other_go(keyword: str) -> None:
    node = {"$ref": f"#/{keyword}/a~1node"}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"order": {"$ref": f"#/{keyword}/id"}, "filter": node},
        "required": ["order"],
        keyword: {
            "id": {"$ref": f"#/{keyword}/text"},
            "text": {"type": "string"},
            "a/node": {"type": "object", "properties": {"and": {"type": "array", "items": node}}},
        },
    }
    for name in (
        "optional parameters' deeper structure removed",
        "optional parameters' inner structure removed",
        "optional parameters removed",
    ):
        made = TOOL_STEPS[name](PackedTool("t", "t", "", schema)).parameters
        assert made[keyword].keys() == {"id", "text"}
    anchored = {**schema, "properties": {"order": {"$ref": "#anchor"}}}
    made = TOOL_STEPS[name](PackedTool("t", "t", "", anchored)).parameters
    assert made[keyword].keys() == schema[keyword].keys()


@pytest.mark.parametrize(
    ("demands", "kept"),
    [
        ({}, "a"),
        ({"minProperties": 2}, "a b"),
        ({"minProperties": 9}, "a b c d e"),
        ({"anyOf": [{"required": ["c"]}, {"allOf": [{"required": ["d"]}]}]}, "a c d"),
        ({"if": {"required": ["c"]}, "then": {"required": ["e"]}}, "a c e"),
        ({"dependentRequired": {"a": ["c"], "c": ["d"], "b": ["e"]}}, "a c d"),
        ({"dependentSchemas": {"a": {"required": ["c"]}, "b": {"required": ["d"]}}}, "a c"),
        ({"dependencies": {"a": ["b"]}}, "a b"),
        ({"not": {"required": ["b", "c"]}}, "a"),
        ({"oneOf": [{"properties": {"a": {"$ref": "#/properties/d/items"}}}]}, "a d"),
        ({"not": {"properties": {"a": {"$ref": "#/properties/d/items"}}}}, "a d"),
        ({"allOf": [{"$ref": "#/$defs/Base"}], "$defs": {"Base": {"required": ["e"]}}}, "a e"),
        (
            {"allOf": [{"$ref": "#base"}], "$defs": {"B": {"$anchor": "base", "required": ["e"]}}},
            "a e",
        ),
        (
            {
                "anyOf": [{"$ref": "#/$defs/0/anyOf/1"}],
                "$defs": {"0": {"anyOf": [{"required": ["b"]}, {"required": ["c"]}]}},
            },
            "a c",
        ),
        (
            {"oneOf": [{"properties": {"b": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]},
            "a b",
        ),
    ],
)
def test_parameters_without_which_no_call_would_be_right_stay(
    demands: dict[str, Any], kept: str
) -> None:
    schema = {
        "type": "object",
        "properties": {name: {"type": "array", "items": {"minimum": 1}} for name in "abcde"},
        "required": ["a"],
        "additionalProperties": False,
        **demands,
    }
    given = PackedTool("t", "t", "", schema)
    made = TOOL_STEPS["optional parameters removed"](given)
    assert " ".join(made.schema["properties"]) == " ".join(made.parameters["properties"]) == kept
    flat = TOOL_STEPS["optional parameters' inner structure removed"](given).schema
    inner = [name for name, part in flat["properties"].items() if part["items"]]
    assert " ".join(inner) == kept


@pytest.mark.parametrize(
    ("schema", "flat"),
    [
        (
            {"anyOf": [{"type": "array", "items": {"minimum": 1}}, {"type": "null"}]},
            {"anyOf": [{"type": "array", "items": {}}, {"type": "null"}]},
        ),
        ({"$ref": "#/$defs/mode", "default": "a"}, {"enum": ["a", "b"], "default": "a"}),
        ({"anyOf": [{"$ref": "#/$defs/mode"}]}, {"anyOf": [{"enum": ["a", "b"]}]}),
        ({"$ref": "#/$defs/node"}, {"type": "object", "anyOf": [{}]}),
        (
            {"oneOf": [{"type": "object", "required": ["x"]}, {"type": "object"}]},
            {"anyOf": [{"type": "object"}, {"type": "object"}]},
        ),
        ({"$ref": "https://example.com/x"}, {}),
        (True, True),
    ],
)
def test_what_is_flat_keeps_its_type(schema: Any, flat: Any) -> None:
    parameters = {
        "type": "object",
        "properties": {"a": schema},
        "$defs": {
            "mode": {"enum": ["a", "b"], "x-note": "It is long. " * 20},
            "node": {"type": "object", "oneOf": [{"$ref": "#/$defs/node"}], "required": ["x"]},
        },
    }
    step = TOOL_STEPS["optional parameters' inner structure removed"]
    made = step(PackedTool("t", "t", "", parameters)).parameters
    assert made == {"type": "object", "properties": {"a": flat}}


def test_of_deep_structure_the_first_level_stays_the_longest() -> None:
    def lines(sku: JsonObject) -> JsonObject:
        item = {"type": "object", "properties": {"sku": sku}, "required": ["sku"]}
        return {"type": "array", "items": item}

    deep = {
        "type": "object",
        "description": "The parts of it.",
        "properties": {f"part_{n}": {"type": "string"} for n in range(20)},
        "required": ["part_0"],
    }

    def schema_of(optional: JsonObject, choice: JsonObject) -> JsonObject:
        properties = {"needed": lines(deep), "optional": optional, "choice": choice}
        return {"type": "object", "properties": properties, "required": ["needed"]}

    step = TOOL_STEPS["optional parameters' deeper structure removed"]
    whole = schema_of(lines(deep), {"oneOf": [lines(deep), {"type": "null"}]})
    flat = {"type": "object", "description": "The parts of it."}
    made = step(PackedTool("t", "t", "", whole)).schema
    assert made == schema_of(lines(flat), {"anyOf": [lines(flat), {"type": "null"}]})
    # With room for that, a tool keeps it, with all its arguments.
    budget = packed([hit("t", "Does it.", made)], [], None).tokens
    assert [tool.schema for tool in packed([hit("t", "Does it.", whole)], [], budget).tools] == [
        made
    ]


TEXT = {"type": "string", "description": "One of many. " * 5}
MANY = {f"optional_{number}": TEXT for number in range(120)}
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {**MANY, "city": TEXT},
    "required": ["city"],
}


@pytest.mark.parametrize("keyword", ["$defs", "definitions"])
@pytest.mark.parametrize("more", [{}, {"near": {"$ref": "#/{}/Args"}}])
def test_arguments_that_a_reference_leads_to_are_trimmed(keyword: str, more: Any) -> None:
    near = {name: {"$ref": schema["$ref"].format(keyword)} for name, schema in more.items()}
    arguments = {**ARGUMENTS, "properties": {**ARGUMENTS["properties"], **near}}
    schema = {"$ref": f"#/{keyword}/Args", keyword: {"Args": arguments}}
    [made] = packed([hit("a", parameters=schema)], [], 1_000).tools
    assert made.parameters == {
        "type": "object",
        "properties": {"city": TEXT},
        "required": ["city"],
    }


@pytest.mark.parametrize(
    ("schema", "trimmed"),
    [
        (
            {"type": "object", "properties": {"input": ARGUMENTS}, "required": ["input"]},
            {"input": {"city": {}}},
        ),
        (
            {
                "properties": {"rows": {"type": "array", "items": {"$ref": "#/$defs/Row"}}},
                "required": ["rows"],
                "$defs": {"Row": ARGUMENTS},
            },
            {"rows": {"city": {}}},
        ),
        (
            {
                "anyOf": [
                    ARGUMENTS,
                    {"properties": {**MANY, "place": TEXT}, "required": ["place"]},
                ]
            },
            {"city": {}, "place": {}},
        ),
        (
            {
                "properties": {
                    "pet": {
                        "oneOf": [
                            {"properties": {**MANY, "kind": {"const": kind, "default": kind}}}
                            for kind in ("cat", "dog")
                        ]
                    }
                },
                "required": ["pet"],
            },
            {"pet": {"kind": {}}},
        ),
        (
            {
                "properties": {"a": {"$ref": "#/$defs/Args/properties/optional_7"}},
                "required": ["a"],
                "allOf": [{"properties": {"b": {"$ref": "#/$defs/Args"}}, "required": ["b"]}],
                "$defs": {"Args": ARGUMENTS},
            },
            {"a": {}, "b": {"optional_7": {}, "city": {}}},
        ),
    ],
)
def test_optional_arguments_go_at_any_depth(schema: Any, trimmed: Any) -> None:
    before = copy.deepcopy(schema)
    [made] = packed([hit("a", parameters=schema)], [], 1_000).tools
    assert named(made.parameters, made.parameters) == trimmed
    assert schema == before


def named(schema: Any, root: Any) -> dict[str, Any]:
    """The names of the properties in a schema, and of those in them."""
    if "$ref" in schema:
        return named(target(root, schema["$ref"]), root)
    found = {name: named(part, root) for name, part in schema.get("properties", {}).items()}
    inner = [schema["items"]] if "items" in schema else []
    for part in [*inner, *schema.get("anyOf", []), *schema.get("oneOf", [])]:
        found |= named(part, root)
    return found


def test_a_thousand_anchors_are_followed_in_no_time() -> None:
    ways = {f"way_{number}": {"$ref": f"#{number}"} for number in range(3_000)}
    schema = {"type": "object", "properties": ways, "required": [*ways], "$defs": ways}
    begun = time.process_time()
    assert (
        TOOL_STEPS["optional parameters removed"](PackedTool("t", "t", "", schema)).schema == schema
    )
    assert time.process_time() - begun < 2


def test_a_definition_that_is_shorter_than_its_uses_stays() -> None:
    modes = [f"mode {number}" for number in range(20)]
    schema = {
        "type": "object",
        "properties": {name: {"$ref": "#/$defs/mode"} for name in "abcdef"},
        "$defs": {"mode": {"enum": modes}},
    }
    given = PackedTool("t", "t", "", schema)
    assert TOOL_STEPS["optional parameters' inner structure removed"](given) == given


def test_a_long_enumeration_goes_before_the_optional_parameters() -> None:
    events = [f"payment.{number}" for number in range(200)]
    modes = {"type": "string", "enum": ["test", "live"]}
    schema = {
        "type": "object",
        "properties": {
            "event": {"type": "string", "enum": events, "description": "When to call."},
            "mode": modes,
            "note": {"type": "string"},
        },
        "required": ["event", "mode"],
    }
    hits = [hit("listen", parameters=schema), hit("refund")]
    result = packed(hits, [], 600)
    assert [tool.id for tool in result.tools] == ["listen", "refund"]
    assert [cut.step for cut in result.dropped] == ["long enumerations removed"]
    assert result.tools[0].parameters["properties"] == {
        "event": {
            "type": "string",
            "description": "When to call.",
            "examples": [f"payment.{number}" for number in range(10)],
        },
        "mode": modes,
        "note": {"type": "string"},
    }


@pytest.mark.parametrize(
    ("text", "length", "short"),
    [
        ("Short.", 10, "Short."),
        ("One. Two. Three.", 10, "One. Two."),
        ("Without an end in sight", 10, "Without a…"),
    ],
)
def test_texts_are_cut_at_sentences_or_visibly(text: str, length: int, short: str) -> None:
    assert first_sentences(text, length) == short


LONG = "x" * 500
CUT = "x" * 119 + "…"


@pytest.mark.parametrize(
    ("value", "short"),
    [
        (LONG, CUT),
        (
            [{"sku": f"A{i}", "count": i} for i in range(50)],
            [{"sku": f"A{i}", "count": i} for i in range(4)],
        ),
        ([LONG, LONG], [CUT]),
        ([[LONG], "a"], [[CUT]]),
        ({"to": LONG, "lines": [LONG, 1], "count": 2}, {"to": CUT, "lines": [CUT], "count": 2}),
        (["a", None, True, 1.5], ["a", None, True, 1.5]),
        (None, None),
    ],
)
def test_long_values_of_demonstrations_are_cut_and_keep_their_types(value: Any, short: Any) -> None:
    demo = Demo("d", "r", (Call("t", {"a": value}),), ("t",))
    [shown] = packed([hit("t")], [DemoHit(demo, 1, "")], None).demos
    step = DEMO_STEPS["long values shortened"]
    assert step(shown).calls[0][1] == {"a": short}
    assert step(step(shown)) == step(shown)


def test_a_whole_catalog_is_counted_untrimmed() -> None:
    tools = [tool("a"), tool("b", parameters=PARAMETERS)]
    full = packed([Hit(t, 1) for t in tools], [], None)
    assert catalog_tokens(tools, counter=CHARACTERS) == full.tokens


TEXTS = st.text(max_size=60)
SCHEMAS = st.recursive(
    st.one_of(
        st.booleans(),
        st.just({}),
        st.builds(lambda d: {"type": "string", "description": d, "title": d}, TEXTS),
        st.builds(
            lambda e: {"enum": e}, st.lists(st.integers(), min_size=1, max_size=30, unique=True)
        ),
    ),
    lambda inner: st.one_of(
        st.builds(lambda i: {"type": "array", "items": i}, inner),
        st.builds(lambda a: {"anyOf": a}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda p: {"type": "object", "properties": p, "required": sorted(p)[:1]},
            st.dictionaries(TEXTS, inner, max_size=3),
        ),
    ),
    max_leaves=8,
)
OBJECTS = st.one_of(
    st.none(),
    st.builds(
        lambda p, n: {"type": "object", "properties": p, "required": sorted(p)[:n]},
        st.dictionaries(TEXTS, SCHEMAS, max_size=4),
        st.integers(0, 2),
    ),
)
ARGUMENT_VALUES = st.recursive(
    st.one_of(st.integers(), st.text(max_size=200)),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXTS, inner)),
    max_leaves=12,
)
HITS = st.lists(
    st.builds(lambda i, d, p: hit(f"tool_{i}", d, p), st.integers(0, 99), TEXTS, OBJECTS),
    max_size=5,
    unique_by=lambda h: h.tool.id,
)


@settings(max_examples=150)
@given(
    HITS,
    st.integers(0, 900),
    st.sampled_from(["openai", "anthropic", "text"]),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), ARGUMENT_VALUES), max_size=3),
)
def test_no_budget_is_ever_exceeded_and_every_schema_stays_valid(
    hits: list[Hit], budget: int, form: Format, examples: list[tuple[int, int, Any]]
) -> None:
    demos = []
    for number, (first, second, value) in enumerate(examples):
        names = [found.tool.id for found in (*hits[first : first + 1], *hits[second : second + 1])]
        calls = tuple(Call(name, {"payment": value}, value) for name in names)
        demo = Demo(f"d{number}", f"request {value}", calls, tuple(dict.fromkeys(names)), "Done.")
        demos.append(DemoHit(demo, 0.9, ""))
    try:
        result = packed(hits, demos, budget, form)
    except BudgetError:
        return
    assert result.tokens == len(result.serialized()) <= budget
    full = packed(hits, demos, None, form)
    whole = {(cut.kind, cut.id) for cut in result.dropped if cut.step == "left out"}
    assert len(result.tools) + len(result.demos) + len(whole) == len(full.tools) + len(full.demos)
    for made in result.tools:
        assert made == replayed(full, result, made.id)
        Draft202012Validator.check_schema(dict(made.parameters))
        assert required(made.parameters) == required(original(hits, made.id))
    assert all(cut.tokens_saved > 0 for cut in result.dropped)


@settings(max_examples=50)
@given(HITS, st.integers(50, 700))
def test_nothing_is_left_out_that_still_fits(hits: list[Hit], budget: int) -> None:
    try:
        result = packed(hits, [], budget)
    except BudgetError:
        return
    there = {tool.id for tool in result.tools}
    for left_out in (found.tool for found in hits if found.tool.id not in there):
        shortest = pack_alone(left_out, budget=1, form="openai", counter=CHARACTERS)
        more = replace(result, tools=(*result.tools, shortest))
        assert CHARACTERS.count(more.serialized()) > budget


NAMES = st.sampled_from("abcd")


def rules(*references: str) -> st.SearchStrategy[dict[str, Any]]:
    """Schemas with these references."""
    simple = [{}, {"type": "integer"}, {"const": 1}, {"type": "object"}, {"minimum": 1}]
    return st.recursive(
        st.sampled_from([*simple, *({"$ref": f"#/$defs/{each}"} for each in references)]),
        lambda inner: st.one_of(
            st.builds(
                lambda properties, required, more: {
                    "properties": properties,
                    "required": required,
                    **more,
                },
                st.dictionaries(NAMES, inner),
                st.lists(NAMES, unique=True, max_size=2),
                st.sampled_from([{}, {"additionalProperties": False}, {"minProperties": 2}]),
            ),
            st.builds(
                lambda keyword, cases: {keyword: cases},
                st.sampled_from(["allOf", "anyOf", "oneOf"]),
                st.lists(inner, min_size=1, max_size=3),
            ),
            st.builds(
                lambda keyword, rule: {keyword: rule},
                st.sampled_from(["not", "if", "then", "else", "items"]),
                inner,
            ),
            st.builds(lambda name, rule: {"dependentSchemas": {name: rule}}, NAMES, inner),
        ),
        max_leaves=8,
    )


VALUES = st.recursive(
    st.integers(0, 1),
    lambda inner: st.one_of(st.dictionaries(NAMES, inner), st.lists(inner, max_size=2)),
    max_leaves=6,
)


@settings(max_examples=200)
@given(
    rules("0", "0/properties/a", "1", "1/anyOf/0"),
    rules("1", "1/anyOf/0"),
    rules(),
    st.dictionaries(NAMES, VALUES),
)
def test_calls_without_what_was_trimmed_are_as_right_as_before(
    schema: JsonObject, first: JsonObject, second: JsonObject, call: JsonObject
) -> None:
    definitions = {"0": {"properties": {"a": first}}, "1": {"anyOf": [second]}}
    schema = {**schema, "$defs": definitions}
    trimmed = TOOL_STEPS["optional parameters removed"](PackedTool("t", "t", "", schema)).schema
    assume(keys(call) <= properties_in(trimmed))
    before, after = (Draft202012Validator(each).is_valid(call) for each in (schema, trimmed))
    assert before == after


def replayed(full: Packed, result: Packed, tool_id: str) -> PackedTool:
    """A tool after the cuts that a result reports."""
    made = next(tool for tool in full.tools if tool.id == tool_id)
    for cut in result.dropped:
        if (cut.kind, cut.id) == ("tool", tool_id):
            made = TOOL_STEPS[cut.step](made)
    return made


def required(parameters: JsonObject) -> dict[str, Any]:
    """The required arguments and their types."""
    properties = parameters.get("properties", {})
    return {
        name: properties[name].get("type") if isinstance(properties[name], dict) else None
        for name in parameters.get("required", [])
    }


def original(hits: list[Hit], tool_id: str) -> JsonObject:
    return next(h.tool.parameters or {} for h in hits if h.tool.id == tool_id)


def keys(value: Any) -> set[str]:
    """Of all mappings in a value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set(value if isinstance(value, dict) else ()).union(*map(keys, inner))


def properties_in(schema: JsonObject) -> set[str]:
    """The names of those in a schema, but for the parts that may be left as they are."""
    whole = {"not", "dependentSchemas"}
    parts = (part for path, part in subschemas(schema) if whole.isdisjoint(path))
    return {name for part in parts for name in part.get("properties", ())}
