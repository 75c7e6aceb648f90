from __future__ import annotations

from toolret.text.visible import visible


def test_hidden_characters_are_shown_as_code_points() -> None:
    assert visible("a\x1b[31m\u202eb\n") == "a<U+001B>[31m<U+202E>b<U+000A>"
