from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import tool
from toolret.prompt import Format, Packed, pack
from toolret.prompt.packed import PackedTool, packed_tool
from toolret.prompt.trimming import TOOL_STEPS, Step
from toolret.prompt.variants import Variants, variants_of_tool
from toolret.tokens import TokenCounter
from toolret.types import Hit


def counter_of(count: Callable[[str], int]) -> TokenCounter:
    """Return a counter; all have one name and are equal."""
    return TokenCounter("characters", exact=True, count=count)


CHARACTERS = counter_of(len)
NOTED = {"type": "string", "description": "Which of them. " * 20, "title": "Which"}


def tools(number: int) -> list[Hit]:
    parameters: dict[str, Any] = {"type": "object", "properties": {"a": NOTED, "b": NOTED}}
    return [Hit(tool(f"t{n}", "Does it.", parameters=parameters), 0.5) for n in range(number)]


def test_what_a_tool_can_become_is_counted_once() -> None:
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return len(text)

    hits, counter = tools(8), counter_of(count)

    def packed(budget: int) -> Packed:
        counted.clear()
        return pack(hits, [], budget=budget, form="openai", counter=counter)

    first = packed(1_000)
    assert len(counted) > 8 * len(variants_of_tool(first.tools[0], "openai", counter).all)
    assert packed(1_000) == first
    # Each tool alone in its shortest variant, and prompts about as long as the budget.
    assert all('{"tools":[' in text and len(text) < 2_000 for text in counted)
    packed(2_000)
    assert all('{"tools":[' in text and len(text) < 3_000 for text in counted)


def test_each_counter_and_form_has_sizes_of_its_own() -> None:
    hits = tools(3)
    double = counter_of(lambda text: 2 * len(text))
    forms: list[Format] = ["openai", "anthropic", "text"]
    for form in forms:
        made = pack(hits, [], budget=1_000, form=form, counter=CHARACTERS)
        twice = pack(hits, [], budget=2_000, form=form, counter=double)
        assert (twice.tools, twice.tokens) == (made.tools, 2 * made.tokens)
        item = packed_tool(hits[0].tool)
        sizes, doubled = (
            [variant.tokens for variant in variants_of_tool(item, form, counter).all]
            for counter in (CHARACTERS, double)
        )
        assert doubled == [2 * size for size in sizes]


def test_an_item_is_not_shortened_before_its_variants_are_asked_for() -> None:
    steps: dict[str, Step[PackedTool]] = {"never": Step(lambda _: pytest.fail("nobody asked"), 0.1)}
    item = packed_tool(tool("a", "Does it."))
    assert Variants(item, steps, "openai", CHARACTERS).whole.item is item


def test_the_sizes_of_variants_fall() -> None:
    variants = variants_of_tool(packed_tool(tools(1)[0].tool), "openai", CHARACTERS).all
    assert [variant.step for variant in variants] == [
        "",
        *(step for step in TOOL_STEPS if step in {variant.step for variant in variants}),
    ]
    sizes = [variant.tokens for variant in variants]
    assert sizes == sorted({*sizes}, reverse=True)
