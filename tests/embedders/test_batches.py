"""Texts are divided into batches that need little padding."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from toolret.embedders.onnx_models import PASS_TOKENS, cheapest_batches


def divisions(count: int, most: int) -> Iterator[list[slice]]:
    """Yield all ways to divide a number of texts."""
    if count == 0:
        yield []
    for size in range(1, min(count, most) + 1):
        for before in divisions(count - size, most):
            yield [*before, slice(count - size, count)]


def cost(lengths: list[int], batches: list[slice]) -> int:
    return sum(PASS_TOKENS + len(lengths[batch]) * max(lengths[batch]) for batch in batches)


def test_short_texts_are_not_padded_to_a_long_one() -> None:
    assert cheapest_batches([8, 9, 9, 120], most=32) == [slice(0, 3), slice(3, 4)]
    assert cheapest_batches([8, 9, 10], most=32) == [slice(0, 3)]
    assert cheapest_batches([5], most=32) == [slice(0, 1)]
    assert cheapest_batches([], most=32) == []


@given(lengths=st.lists(st.integers(1, 60), max_size=8).map(sorted), most=st.integers(1, 8))
def test_no_division_is_cheaper(lengths: list[int], most: int) -> None:
    batches = cheapest_batches(lengths, most=most)
    assert [i for batch in batches for i in range(len(lengths))[batch]] == [*range(len(lengths))]
    assert all(len(lengths[batch]) <= most for batch in batches)
    assert cost(lengths, batches) == min(
        cost(lengths, division) for division in divisions(len(lengths), most)
    )
