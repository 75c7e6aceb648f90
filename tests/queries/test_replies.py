from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.llm.replies import any_replies
from toolret.errors import LLMError
from toolret.queries.replies import (
    missing_schema,
    parse_missing,
    parse_queries,
    parse_tools,
    queries_schema,
    thoughtful_schema,
    tools_schema,
)


@pytest.mark.parametrize(
    ("reply", "queries"),
    [
        ('{"queries": ["a", "b"]}', ("a", "b")),
        ('{"thoughts": "It is not paid.", "queries": ["a"]}', ("a",)),
        ('Sure!\n```json\n{"queries": ["a"]}\n```\nAnything else?', ("a",)),
        ('{"thought": {"x": 1}} {"queries": ["a"]}', ("a",)),
        ('{"queries": [" a\\n b ", "a b", "", "c"]}', ("a b", "c")),
        ('{"queries": []}', ()),
        ('{"queries": ["' + "x" * 900 + '"]}', ("x" * 500,)),
        (json.dumps({"queries": [str(i) for i in range(10_000)]}), tuple("012")),
        ('{"queries": ["bad \\ud800 half"]}', ("bad half",)),
        ('{"queries": ["退款"], "extra": 1}', ("退款",)),
        ('<think>So {"queries": ["..."]}.</think>\n{"queries": ["a"]}', ("a",)),
        ('\nSo {"queries": ["..."]}.\n</think>{"queries": ["a"]}', ("a",)),
        ('As {"queries": ["..."]}:\n{"queries": ["a"], "more": {"queries": ["b"]}}', ("a",)),
        ('{"reply": {"queries": ["a"]}}', ("a",)),
        ('{"queries": ["what </think> means"]}', ("what </think> means",)),
    ],
)
def test_replies_are_read(reply: str, queries: tuple[str, ...]) -> None:
    assert parse_queries(reply, most=3) == queries


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "no JSON"),
        ("I will not.", "no JSON: 'I will not.'"),
        ('["a"]', "no JSON"),
        ('<think>So {"queries": ["..."]}.</think> I cannot.', "no JSON: '<think>"),
        ('<think>So {"queries": ["..."]}. But', "no JSON: '<think>"),
        ('{"queries": "a"}', "queries: Input should be a valid list"),
        ('{"queries": [1]}', r"queries\.0: Input should be a valid string"),
        ('{"other": []}', "queries: Field required"),
        ('{"queries": ["a"', "no JSON"),
        ('{"queries": ' + "1" * 5_000 + "}", "no JSON"),
        ("<html>" + "{" * 100_000, "no JSON"),
    ],
)
def test_malformed_replies_are_errors(reply: str, reason: str) -> None:
    with pytest.raises(LLMError, match=reason):
        parse_queries(reply, most=3)


def test_tools_that_are_wished_for_read_as_the_catalogs_tools_do() -> None:
    wished = {
        "name": "updateShippingAddress",
        "description": "Change where an order goes.",
        "parameters": [{"name": "orderId", "description": "The order"}],
    }
    reply = json.dumps({"tools": [wished, {"name": "x", "description": ""}]})
    assert parse_tools(reply, most=4) == (
        "update Shipping Address. Change where an order goes. order Id The order",
        "x",
    )
    many = json.dumps({"tools": [wished | {"name": f"tool{i}"} for i in range(1_000)]})
    assert len(parse_tools(many, most=4)) == 4
    with pytest.raises(LLMError, match=r"tools\.0\.description: Field required"):
        parse_tools('{"tools": [{"name": "x"}]}', most=4)


def test_what_is_missing_is_read() -> None:
    assert parse_missing('{"missing": ["a"]}', most=3) == ("a",)


_TEXTS = st.text(max_size=20) | st.just("half \ud800")
_PARAMETERS = st.fixed_dictionaries({"name": _TEXTS, "description": _TEXTS})
_TOOLS = st.fixed_dictionaries(
    {"name": _TEXTS, "description": _TEXTS},
    optional={"parameters": st.lists(_PARAMETERS, max_size=3)},
)


@settings(max_examples=300)
@given(
    st.one_of(
        any_replies("queries", _TEXTS).map(lambda reply: (parse_queries, reply)),
        any_replies("missing", _TEXTS).map(lambda reply: (parse_missing, reply)),
        any_replies("tools", _TOOLS).map(lambda reply: (parse_tools, reply)),
    )
)
def test_any_reply_is_read_or_refused(case: tuple[Callable[..., Any], str]) -> None:
    parse, reply = case
    try:
        parsed = parse(reply, most=3)
    except LLMError:
        return
    assert isinstance(parsed, tuple)
    assert len(parsed) == len(set(parsed)) <= 3
    assert all(text.strip() and text.encode() for text in parsed)


@pytest.mark.parametrize(
    "schema", [queries_schema, thoughtful_schema, missing_schema, tools_schema]
)
def test_schemas_keep_the_rules_of_structured_output(schema: Callable[[], Any]) -> None:
    def check(node: dict[str, Any]) -> None:
        if node["type"] == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
            for inner in node["properties"].values():
                check(inner)
        elif node["type"] == "array":
            check(node["items"])

    check(schema())
    # Reasoning helps only what is written after it.
    assert list(thoughtful_schema()["properties"]) == ["thoughts", "queries"]
