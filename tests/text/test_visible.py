from __future__ import annotations

from toolret.text.visible import visible


def test_what_is_shown_is_safe_for_a_terminal() -> None:
    assert visible("a\x1b[31m\u202eb\n") == "a<U+001B>[31m<U+202E>b<U+000A>"
