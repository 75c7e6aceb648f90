from __future__ import annotations

from toolret.json_values import parse_json, short_repr


def test_surrogate_pairs_are_read() -> None:
    assert parse_json('{"a": "\\ud83d\\ude00"}') == {"a": "😀"}


def test_long_values_are_shown_shortened() -> None:
    assert short_repr("x" * 100) == "'" + "x" * 59 + "..."
    assert short_repr([1]) == "[1]"
