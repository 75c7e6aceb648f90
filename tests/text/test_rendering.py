from __future__ import annotations

import pytest

from tests.conftest import tool
from toolret.text.rendering import (
    VIEW_WEIGHTS,
    searched_text,
    split_identifier,
    tool_text,
    tool_views,
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("listInvoices", "list Invoices"),
        ("list_invoices", "list invoices"),
        ("HTTPServer2Start", "HTTP Server 2 Start"),
        ("GET /v1/users/{id}", "GET v 1 users id"),
        ("查询天气", "查询天气"),
        ("étéNoël", "été Noël"),
        ("!!", "!!"),
        ("", ""),
    ],
)
def test_identifiers_are_split_into_words(name: str, words: str) -> None:
    assert split_identifier(name) == words


def test_a_tool_reads_namespace_name_description_parameters() -> None:
    parameters = {
        "type": "object",
        "properties": {
            "orderId": {"type": "string", "description": "Which order."},
            "force": True,
            "note": {"type": "string", "description": ["no text"]},
        },
    }
    shown = tool("cancelOrder", "Stops an order.", namespace="orders", parameters=parameters)
    assert tool_text(shown) == (
        "orders. cancel Order. Stops an order. order Id Which order. force. note"
    )


def test_tags_are_read_except_those_about_behaviour() -> None:
    tags = ("Image-to-Text", "orders", "read-only", "deprecated", "order_status")
    shown = tool("scan", "Reads a label.", namespace="Orders", tags=tags)
    assert tool_text(shown) == "Orders. scan. Reads a label. Image to Text. order status"
    assert searched_text(shown) == tool_text(shown)


def test_words_are_looked_for_in_nested_arguments_and_in_values() -> None:
    parameters = {
        "type": "object",
        "properties": {
            "unit": {"type": "string", "enum": ["celsius", "kelvin", 3, None]},
            "stops": {
                "type": "array",
                "description": "Where to halt.",
                "items": {
                    "type": "object",
                    "properties": {"stationCode": {"description": "Its code.", "example": "LHR"}},
                },
            },
            "how": {"anyOf": [{"const": "fast"}, {"type": "null"}], "default": {"mode": "slow"}},
            "any": True,
            "properties": {"type": "string", "examples": ["blue", ["red"]]},
        },
    }
    shown = tool("travel", "Plans a trip.", parameters=parameters)
    said = "travel. Plans a trip. unit. stops Where to halt. how. any. properties"
    assert tool_text(shown) == said
    assert searched_text(shown) == f"{said}. celsius kelvin. blue. fast. station Code Its code. LHR"


def test_argument_texts_that_are_too_long_do_not_displace_others() -> None:
    currencies = [f"currency{i:03}" for i in range(100)]
    properties = {
        "currency": {"enum": currencies},
        "unit": {"enum": ["celsius"]},
        "colour": {"enum": ["cyan " * 55]},
        "mode": {"enum": ["fast", "slower"]},
        "size": {"enum": ["a size that does not fit any more"]},
    }
    shown = tool("t", parameters={"properties": properties})
    more = searched_text(shown).removeprefix(tool_text(shown))
    assert more == f". celsius. {'cyan ' * 55}. fast slower"


def test_schemas_deeper_than_python_calls_are_searched() -> None:
    schema: dict[str, object] = {"description": "the bottom"}
    for _ in range(5_000):
        schema = {"items": schema}
    deep = tool("deep", parameters={"properties": {"a": schema}})
    assert searched_text(deep) == "deep. a. the bottom"


def test_many_long_parameter_descriptions_are_cut_to_one_length() -> None:
    def said(*lengths: int) -> list[int]:
        texts = {f"p{i}": {"description": "word " * (n // 5)} for i, n in enumerate(lengths)}
        parts = tool_text(tool("t", parameters={"properties": texts})).split(". ")[1:]
        return [len(part.partition(" ")[2].removeprefix(f"{i} ")) for i, part in enumerate(parts)]

    assert said(1_000, 100, 300) == [999, 99, 299]
    # What the short one does not need, the long ones share.
    assert said(1_000, 100, 5_000) == [699, 99, 699]
    assert sum(said(*[500] * 40)) <= 1_500


def test_a_long_parameter_description_without_spaces_is_cut_anywhere() -> None:
    properties = {"a": {"description": "查询" * 1_000}, "b": {"description": "word " * 300}}
    text = tool_text(tool("t", parameters={"properties": properties}))
    assert text == f"t. a {'查询' * 375}. b {'word ' * 149}word"


def test_empty_parts_of_a_tool_are_left_out_of_its_text() -> None:
    assert tool_text(tool("ping")) == "ping"
    assert tool_text(tool("ping", parameters={"properties": None})) == "ping"
    assert tool_text(tool("...", id="dots")) == "..."
    assert tool_text(tool(" ", id="blank")) == "blank"


def test_the_views_of_a_tool_are_lines_and_the_first_is_its_whole_text() -> None:
    parameters = {"properties": {"orderId": {"type": "string"}}}
    shown = tool("cancelOrder", "Stops\nan  order.", namespace="shop", parameters=parameters)
    views = tool_views(shown)
    assert views.split("\n") == [
        "shop. cancel Order. Stops an order. order Id",
        "Stops an order.",
    ]
    assert len(VIEW_WEIGHTS) == len(tool_views(tool("ping")).split("\n"))
    assert tool_views(tool("ping")) == "ping\n"
