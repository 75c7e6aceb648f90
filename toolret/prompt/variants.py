"""Variants of tools and demonstrations: each item whole, and after each step that shortens it.

What they are does not depend on the request, and computing those of a large tool takes
milliseconds, most of it for counting tokens. So a tool's variants are cached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from toolret.forking import cached_property
from toolret.json_values import compact_json
from toolret.prompt.packed import Format, Item, PackedDemo, PackedTool, example
from toolret.prompt.trimming import DEMO_STEPS, TOOL_STEPS, Step
from toolret.recent import Recent
from toolret.tokens import TokenCounter

__all__ = ["Variant", "Variants", "variants_of_demo", "variants_of_tool"]

_CACHED_TOOLS = 1_024
"""How many tools' variants are cached: several times the tools that a large prompt holds. In the
mean those of an operation of Stripe's take 20 KB."""


@dataclass(frozen=True, slots=True)
class Variant(Generic[Item]):
    """An item as it is after some of the steps.

    Attributes:
        item: What is left of the item.
        tokens: The number of tokens of that, without its surroundings.
        lost: The share of the item's worth that is gone, 0 to 1.
        step: The name of the last step; empty for the whole item.
    """

    item: Item
    tokens: int
    lost: float
    step: str = ""


class Variants(Generic[Item]):
    """The variants of an item. All except the whole item are computed when they are asked for.

    Args:
        item: The whole item.
        steps: The steps that shorten it, by their names.
        form: The form whose tokens are counted.
        counter: Counts the tokens.

    Attributes:
        whole: The whole item.
        counter: The counter.
    """

    def __init__(
        self, item: Item, steps: Mapping[str, Step[Item]], form: Format, counter: TokenCounter
    ) -> None:
        self.whole: Variant[Item] = Variant(item, _size(item, form, counter), 0.0)
        self.counter = counter
        self._steps: Mapping[str, Step[Item]] = steps
        self._form: Format = form

    @cached_property
    def all(self) -> Sequence[Variant[Item]]:
        """The whole item, and the item after each of the steps that save tokens."""
        variants = [self.whole]
        for name, step in self._steps.items():
            last = variants[-1]
            item = step(last.item)
            if item != last.item:
                tokens = _size(item, self._form, self.counter)
                if tokens < last.tokens:
                    variants.append(Variant(item, tokens, last.lost + step.loss, name))
        return variants


_cached: Recent[tuple[int, Format, int], Variants[PackedTool]] = Recent(_CACHED_TOOLS)


def variants_of_tool(tool: PackedTool, form: Format, counter: TokenCounter) -> Variants[PackedTool]:
    """Return the variants of a tool; cached, for each form and counter separately."""
    # The variants hold the tool and the counter, so that nothing else can come to have their ids.
    key = (id(tool), form, id(counter))
    variants = _cached.get(key)
    if variants is None:
        variants = Variants(tool, TOOL_STEPS, form, counter)
        _cached.put(key, variants)
    return variants


def variants_of_demo(demo: PackedDemo, form: Format, counter: TokenCounter) -> Variants[PackedDemo]:
    """Return the variants of a demonstration."""
    return Variants(demo, DEMO_STEPS, form, counter)


def _size(item: PackedTool | PackedDemo, form: Format, counter: TokenCounter) -> int:
    """Count the tokens of an item by itself, without its surroundings."""
    if isinstance(item, PackedDemo):
        text = example(item, {})
        return counter.count(text if form == "text" else compact_json(text))
    if form == "text":
        return counter.count(f"{item.name}: {item.description} {compact_json(item.parameters)}")
    return counter.count(compact_json([item.name, item.description, item.parameters]))
