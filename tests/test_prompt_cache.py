"""The figures of the benchmark of prompt caches, on requests small enough to count by hand."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.prompt_cache import common_beginning, figures, table
from toolret.tokens import TokenCounter


def request(tools: str, *said: str) -> dict[str, Any]:
    return {"tools": list(tools), "messages": list(said)}


def test_what_prompts_have_in_common_with_earlier_ones() -> None:
    assert common_beginning("abc", "abd") == "ab"
    assert common_beginning("", "a") == ""
    assert common_beginning("ab", "abc") == "ab"
    characters = TokenCounter("characters", exact=True, count=len)
    # As JSON lines: "a"\n"x" is 7 characters, and each further part 4.
    requests = [request("a", "x"), request("a", "x", "y"), request("b", "x")]
    row = figures("m", "chat", requests, characters)
    assert (row.requests, row.tools, row.tokens) == (3, 1, 7 + 11 + 7)
    assert row.reused == pytest.approx((7 + 1) / 25)
    assert row.extended == 0.5
    assert "| m | chat | 3 | 0 of 9 | 1 | 25 | 32% | 17 | 50% |" in table([row], exact=True)
    assert "estimates" in table([row], exact=False)
