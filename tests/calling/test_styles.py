"""The table of examples in OpenAPI 3.1.1, section "Style Examples", and what it leaves open."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolret.calling.styles import form_pairs, header_text, path_text, plain_value

ARRAY = ["blue", "black", "brown"]
OBJECT = {"R": 100, "G": 200, "B": 150}


@pytest.mark.parametrize(
    ("style", "explode", "empty", "string", "array", "object_"),
    [
        (
            "matrix",
            False,
            ";color",
            ";color=blue",
            ";color=blue,black,brown",
            ";color=R,100,G,200,B,150",
        ),
        (
            "matrix",
            True,
            ";color",
            ";color=blue",
            ";color=blue;color=black;color=brown",
            ";R=100;G=200;B=150",
        ),
        ("label", False, ".", ".blue", ".blue,black,brown", ".R,100,G,200,B,150"),
        ("label", True, ".", ".blue", ".blue.black.brown", ".R=100.G=200.B=150"),
        ("simple", False, "", "blue", "blue,black,brown", "R,100,G,200,B,150"),
        ("simple", True, "", "blue", "blue,black,brown", "R=100,G=200,B=150"),
    ],
)
def test_values_in_a_path(
    style: str, explode: bool, empty: str, string: str, array: str, object_: str
) -> None:
    written = [
        path_text("color", value, style=style, explode=explode)
        for value in ("", "blue", ARRAY, OBJECT)
    ]
    assert written == [empty, string, array, object_]


@pytest.mark.parametrize(
    ("style", "explode", "array", "object_"),
    [
        ("form", False, "color=blue,black,brown", "color=R,100,G,200,B,150"),
        ("form", True, "color=blue&color=black&color=brown", "R=100&G=200&B=150"),
        ("spaceDelimited", False, "color=blue%20black%20brown", None),
        ("pipeDelimited", False, "color=blue%7Cblack%7Cbrown", None),
        ("tabDelimited", False, "color=blue%09black%09brown", None),
        (
            "deepObject",
            True,
            "color%5B0%5D=blue&color%5B1%5D=black&color%5B2%5D=brown",
            "color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150",
        ),
    ],
)
def test_values_in_a_query(style: str, explode: bool, array: str, object_: str | None) -> None:
    def written(value: Any) -> str:
        pairs = form_pairs("color", value, style=style, explode=explode)
        return "&".join(f"{name}={text}" for name, text in pairs)

    assert written("blue") == "color=blue"
    assert written("") == "color="
    assert written(ARRAY) == array
    if object_:
        assert written(OBJECT) == object_


def test_values_in_a_header() -> None:
    assert header_text(ARRAY) == "blue,black,brown"
    assert header_text(OBJECT) == "R,100,G,200,B,150"
    assert header_text(OBJECT, explode=True) == "R=100,G=200,B=150"
    assert header_text("a b") == "a b"


def test_values_nested_deeper_than_a_style_allows() -> None:
    assert form_pairs("a", {"b": {"c": [1]}}, style="deepObject") == [
        ("a%5Bb%5D%5Bc%5D%5B0%5D", "1")
    ]
    assert form_pairs("a", [{"b": 1}]) == [("a", "%7B%22b%22%3A1%7D")]
    assert [plain_value(v) for v in (True, None, 1.5, 10**20, "é")] == [
        "true",
        "",
        "1.5",
        "100000000000000000000",
        "é",
    ]


def test_reserved_characters_may_stand_but_not_those_that_end_a_value() -> None:
    assert form_pairs("a", "x/y?z&b=c#d+e", reserved=True) == [("a", "x/y?z%26b%3Dc%23d%2Be")]
    assert form_pairs("a", "x/y") == [("a", "x%2Fy")]


@given(st.text(), st.text(min_size=1), st.booleans(), st.booleans())
def test_any_text_comes_back_from_a_query(
    value: str, name: str, explode: bool, reserved: bool
) -> None:
    pairs = form_pairs(name, value, explode=explode, reserved=reserved)
    query = "&".join(f"{key}={text}" for key, text in pairs)
    assert parse_qsl(query, keep_blank_values=True) == [(name, value)]


@given(st.text())
def test_any_text_stays_one_part_of_a_path(value: str) -> None:
    written = path_text("x", value)
    assert not set(written) & set("/?#;,%") - {"%"}
    assert unquote(written) == value
