from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from toolret.catalogs import yaml_values
from toolret.catalogs.yaml_values import YamlError, parse_yaml


def _is_no_number(text: str) -> bool:
    """PyYAML follows YAML 1.1 and leaves ``1E5`` unquoted, a string there and a number in 1.2."""
    try:
        float(text)
    except ValueError:
        return True
    return False


_texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=15).filter(
    _is_no_number
)
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(-1e6, 1e6, allow_nan=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=10,
)


@given(_values)
def test_what_pyyaml_writes_is_read_back(value: Any) -> None:
    assert parse_yaml(yaml.safe_dump(value, allow_unicode=True)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[no, NO, off, on, yes, y]", ["no", "NO", "off", "on", "yes", "y"]),
        ("[true, False, null, ~, NULL]", [True, False, None, None, None]),
        (
            "[2020-01-01, 12:30:45, 0123, 1_000, 0x1f]",
            ["2020-01-01", "12:30:45", "0123", "1_000", "0x1f"],
        ),
        ("[1, -2, 2.5, .5, 1e3, 1.]", [1, -2, 2.5, 0.5, 1000.0, 1.0]),
        ("[.nan, .inf, 1e999, 1.2.3]", [".nan", ".inf", "1e999", "1.2.3"]),
        ("['1', \"true\", !!str 5, !!int '5', ! x]", ["1", "true", "5", 5, "x"]),
        (
            "on: 1\n200: {no: x}\n1.10: y\nnull: z",
            {"on": 1, "200": {"no": "x"}, "1.10": "y", "null": "z"},
        ),
        ("a:\nb: ''", {"a": None, "b": ""}),
        ("", None),
    ],
)
def test_yaml_is_read_as_json_values(text: str, value: Any) -> None:
    assert parse_yaml(text) == value


def test_aliases_and_merge_keys_stand_for_what_they_name() -> None:
    text = """
    base: &base {a: 1, b: 2}
    list: &list [*base, &word hello]
    again: *list
    word: {*word : *word}
    one: {<<: *base, b: 3}
    two: {b: 4, <<: [{a: 5}, *base], c: 6}
    &key name: *key
    """
    base = {"a": 1, "b": 2}
    assert parse_yaml(text) == {
        "base": base,
        "list": [base, "hello"],
        "again": [base, "hello"],
        "word": {"hello": "hello"},
        "one": {"a": 1, "b": 3},
        "two": {"a": 5, "b": 4, "c": 6},
        "name": "name",
    }


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1", "the key 'a' stands twice in one mapping"),
        ("a: [1,\nb", "line 3, column 1", "broken YAML: while parsing a flow sequence"),
        ("a: @b", "line 1, column 4", "broken YAML: while scanning for the next token"),
        ("a: é\r\n\tb: 1", "line 2, column 1", "broken YAML: a tab where only spaces may stand"),
        ("a:\n\tb: 1", "line 2, column 1", "broken YAML: a tab where only spaces may stand"),
        ("a: \x00", "", "broken YAML: control characters are not allowed (character 4)"),
        ("--- 1\n--- 2", "line 2, column 1", "a second YAML document begins; give one a file"),
        ("a: !foo b", "line 1, column 4", "the tag '!foo' is not read"),
        ("!!set {a}", "line 1, column 1", "the tag 'tag:yaml.org,2002:set' is not read"),
        ("? [a]\n: b", "line 1, column 3", "a key must be a single word or text"),
        ("a: &x [1]\n*x : b", "line 2, column 1", "a key must be a single word or text"),
        ("a: *x", "line 1, column 4", "the alias *x stands for nothing, or for itself"),
        ("&x [*x]", "line 1, column 5", "the alias *x stands for nothing, or for itself"),
        ("<<: 5", "line 1, column 5", "what << merges must be a mapping"),
        ("[" * 201, "line 1, column 201", "nested deeper than 200 levels"),
    ],
)
def test_bad_yaml_is_an_error_with_its_place(text: str, place: str, problem: str) -> None:
    with pytest.raises(YamlError) as caught:
        parse_yaml(text)
    assert caught.value.place == place
    assert caught.value.problem.startswith(problem)


def test_a_hundred_thousand_brackets_are_refused_not_a_crash() -> None:
    with pytest.raises(YamlError, match="nested deeper"):
        parse_yaml("[" * 100_000 + "]" * 100_000)


def test_a_billion_laughs_are_refused_at_once() -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(YamlError, match="its aliases stand for more than 1,000,000 values"):
        parse_yaml("\n".join(lines))


def test_the_pure_python_parser_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &x {no: 1, b: [on, 0123, 'q']}\nc: {<<: *x}\n"
    with_c = parse_yaml(text)
    monkeypatch.setattr(yaml_values, "_LOADER", yaml.BaseLoader)
    assert parse_yaml(text) == with_c
    with pytest.raises(YamlError) as caught:
        parse_yaml("a: 1\na: 2")
    assert caught.value.place == "line 2, column 1"


def test_a_quoted_key_merges_nothing() -> None:
    text = """a: {"<<": {b: 1}, '<<=': 2}\nc: {"<<": 5, d: 6}\n"""
    assert parse_yaml(text) == {"a": {"<<": {"b": 1}, "<<=": 2}, "c": {"<<": 5, "d": 6}}
