"""Packs tools and demonstrations into a token budget.

This is a multiple-choice knapsack: of each item one variant is chosen, from the whole to the
shortest, or none. It is solved greedily (Sinha and Zoltners, 1979): cuts are made in the order of
what they cost for each token that they save. A cut costs a share of the item's worth, and a tool is
worth the more the likelier it is needed. So an unlikely tool is left out before a likely one loses
arguments.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from operator import itemgetter
from typing import Generic, Literal

from toolret.errors import BudgetError
from toolret.prompt.packed import (
    Dropped,
    Format,
    Item,
    Packed,
    PackedDemo,
    PackedTool,
    packed_demo,
    packed_tool,
)
from toolret.prompt.variants import Variant, Variants, variants_of_demo, variants_of_tool
from toolret.tokens import TokenCounter
from toolret.types import DemoHit, Hit, Tool

__all__ = ["catalog_tokens", "pack", "pack_alone"]

_LEFT_OUT = "left out"
"""The name of the last step, which leaves the item out of the prompt."""

_LEAST_WORTH = 1e-3
"""The worth of a tool, however unlikely: of two such tools the larger one is left out first."""

_DEMO_WORTH = 0.1
"""What the first demonstration is worth, as a share of the tool that it shows; the second is worth
half of that, the third a third."""


def pack(
    hits: Sequence[Hit],
    demos: Sequence[DemoHit],
    *,
    budget: int | None,
    form: Format,
    counter: TokenCounter,
) -> Packed:
    """Render hits and demonstrations, trimmed to the budget.

    Everything stays whole if it fits. Otherwise items are shortened by the steps of ``trimming`` or
    left out, in the order of what that costs for each token that it saves, as far as needed. Then
    what still fits is taken back, always what is worth the most.

    The first of the tools that fit alone always stays, and a demonstration stays only beside a tool
    that it shows.

    Args:
        hits: Tools, most relevant first.
        demos: Demonstrations, most relevant first.
        budget: The most tokens; None for no limit.
        form: The form whose tokens are counted.
        counter: Counts the tokens.

    Raises:
        BudgetError: If none of the tools fits in its shortest variant.
    """
    tools = tuple(packed_tool(hit.tool) for hit in hits)
    examples = _demos_beside(tools, [packed_demo(hit.demo) for hit in demos])
    full = Packed(form, tools, examples)
    # A prompt takes more than its items, and the sizes of tools are cached.
    if budget is None or budget >= sum(
        variants_of_tool(tool, form, counter).whole.tokens for tool in tools
    ):
        full = _with_tokens(full, counter)
        if budget is None or full.tokens <= budget:
            return full
    worths = {hit.tool.id: max(hit.score, _LEAST_WORTH) for hit in hits}
    return _Knapsack(full, worths, budget, counter).pack()


def pack_alone(
    tool: Tool, *, budget: int | None, form: Format, counter: TokenCounter
) -> PackedTool:
    """Render a tool by itself, trimmed as by ``pack``; in its shortest variant if none fits."""
    whole = packed_tool(tool)

    def serialized(item: PackedTool) -> str:
        return Packed(form, (item,), ()).serialized()

    # A token is at least one byte, so if the bytes fit, nothing has to be counted.
    if budget is None or len(serialized(whole).encode("utf-8", "replace")) <= budget:
        return whole
    for variant in variants_of_tool(whole, form, counter).all:
        if counter.count(serialized(variant.item)) <= budget:
            break
    return variant.item


def catalog_tokens(tools: Sequence[Tool], *, counter: TokenCounter) -> int:
    """Count the tokens of a whole catalog in OpenAI's form, untrimmed."""
    packed = Packed("openai", tuple(map(packed_tool, tools)), ())
    return counter.count(packed.serialized())


class _Choice(Generic[Item]):
    """An item, and which of its variants is chosen.

    A level is the position of a variant: 0 for the whole item, one more after each step, and
    ``len(variants)`` if the item is left out.

    Args:
        kind: The kind of the item.
        variants: Its variants, from the whole to the shortest.
        worth: What is lost if it is left out.

    Attributes:
        level: The level that is chosen.
    """

    def __init__(
        self, kind: Literal["tool", "demo"], variants: Variants[Item], worth: float
    ) -> None:
        self.kind = kind
        self.variants: Sequence[Variant[Item]] = variants.all
        self.worth = worth
        self.level = 0

    @property
    def item(self) -> Item | None:
        """The chosen variant of the item; None if it is left out."""
        return None if self.level == len(self.variants) else self.variants[self.level].item

    def leave_out(self) -> None:
        self.level = len(self.variants)

    def tokens(self, level: int) -> int:
        return 0 if level == len(self.variants) else self.variants[level].tokens

    def lost(self, level: int) -> float:
        return 1.0 if level == len(self.variants) else self.variants[level].lost

    def cost_per_token(self, start: int, end: int) -> float:
        """Return what a cut between two levels costs for each token that it saves."""
        cost = self.worth * (self.lost(end) - self.lost(start))
        return cost / (self.tokens(start) - self.tokens(end))

    def may_stand_beside(self, tools: set[str]) -> bool:
        """Whether it is a tool, a demonstration of one of these tools, or one without tools."""
        whole = self.variants[0].item
        return isinstance(whole, PackedTool) or not tools.isdisjoint(whole.tools) or not whole.tools

    def cuts(self, *, may_leave: bool) -> Iterator[tuple[float, int]]:
        """Yield the cuts on the way to the last level: the cost per token, and the new level.

        The cost never falls on the way: steps that are cheaper together are one cut.

        Args:
            may_leave: Whether the item may be left out.
        """
        level, last = 0, len(self.variants) if may_leave else len(self.variants) - 1
        while level < last:
            # Of cuts that cost the same, the longest.
            cost, negative = min(
                (self.cost_per_token(level, end), -end) for end in range(level + 1, last + 1)
            )
            level = -negative
            yield cost, level

    def dropped(self) -> list[Dropped]:
        """Return what was cut from the item."""
        whole = self.variants[0]
        if self.level == len(self.variants):
            return [Dropped(self.kind, whole.item.id, _LEFT_OUT, whole.tokens)]
        return [
            Dropped(self.kind, whole.item.id, after.step, before.tokens - after.tokens)
            for before, after in pairwise(self.variants[: self.level + 1])
        ]


class _Knapsack:
    """The choices that make a prompt that is too long fit its budget.

    Args:
        full: The whole prompt.
        worths: What each of its tools is worth, by their ids.
        budget: The most tokens.
        counter: Counts the tokens.

    Raises:
        BudgetError: If none of the tools fits in its shortest variant.
    """

    def __init__(
        self, full: Packed, worths: Mapping[str, float], budget: int, counter: TokenCounter
    ) -> None:
        self._full = full
        self._budget = budget
        self._counter = counter
        form = full.form
        self._tools = [
            _Choice("tool", variants_of_tool(tool, form, counter), worths[tool.id])
            for tool in full.tools
        ]
        self._demos = [
            _Choice("demo", variants_of_demo(demo, form, counter), _demo_worth(demo, rank, worths))
            for rank, demo in enumerate(full.demos, start=1)
        ]
        self._choices: list[_Choice[PackedTool] | _Choice[PackedDemo]] = [
            *self._tools,
            *self._demos,
        ]
        self._leave_out_too_large()

    def pack(self) -> Packed:
        """Make the choices, and return the prompt that they give."""
        packed = self._take_back(self._cut())
        dropped = [cut for choice in reversed(self._choices) for cut in choice.dropped()]
        return replace(packed, dropped=tuple(dropped))

    def _leave_out_too_large(self) -> None:
        """Leave out the tools that do not fit even alone in their shortest variant."""
        sizes = [
            self._counter.count(Packed(self._full.form, (tool.variants[-1].item,), ()).serialized())
            for tool in self._tools
        ]
        if min(sizes) > self._budget:
            first = self._full.tools[0].id
            raise BudgetError(
                f"a token budget of {self._budget} holds not even the tool {first!r}, which takes "
                f"{sizes[0]} tokens in its shortest form"
            )
        for tool, tokens in zip(self._tools, sizes, strict=True):
            if tokens > self._budget:
                tool.leave_out()
        self._leave_out_orphans()

    def _cut(self) -> Packed:
        """Make the cheapest cuts until the prompt fits, and return it."""
        for choice, level in self._cuts():
            if packed := self._build_if_it_fits():
                return packed
            if choice.level < level:  # a demonstration may have been left out with its tools
                choice.level = level
                self._leave_out_orphans()
        return self._build()

    def _build_if_it_fits(self) -> Packed | None:
        # The whole takes more than its items, so that it need not be counted before they fit.
        if sum(choice.tokens(choice.level) for choice in self._choices) <= self._budget:
            packed = self._build()
            return packed if packed.tokens <= self._budget else None
        return None

    def _cuts(self) -> list[tuple[_Choice[PackedTool] | _Choice[PackedDemo], int]]:
        """Return all cuts, the cheapest first: the item, and the level to which it is cut."""
        first = next(tool for tool in self._tools if tool.item)
        # Of cuts that cost the same, those of the least relevant item come first.
        cuts = [
            (cost, choice, level)
            for choice in reversed(self._choices)
            for cost, level in choice.cuts(may_leave=choice is not first)
        ]
        cuts.sort(key=itemgetter(0))
        return [(choice, level) for _, choice, level in cuts]

    def _leave_out_orphans(self) -> None:
        """Leave out the demonstrations that show none of the tools that are left."""
        remaining = self._remaining_tools()
        for demo in self._demos:
            if not demo.may_stand_beside(remaining):
                demo.leave_out()

    def _remaining_tools(self) -> set[str]:
        """Return the ids of the tools that are not left out."""
        return {tool.item.id for tool in self._tools if tool.item}

    def _take_back(self, packed: Packed) -> Packed:
        """Undo the cuts that the budget has room for, and return the prompt.

        Args:
            packed: The prompt as it is chosen now, which fits.
        """
        tried: set[tuple[int, int]] = set()
        while candidate := self._next_longer(self._budget - packed.tokens, tried):
            tried.add(candidate)
            position, level = candidate
            choice = self._choices[position]
            shorter = choice.level
            choice.level = level
            longer = self._build()
            if longer.tokens <= self._budget:
                packed = longer
            else:
                choice.level = shorter
        return packed

    def _next_longer(self, room: int, tried: Container[tuple[int, int]]) -> tuple[int, int] | None:
        """Find the longer variant that regains the most worth.

        Args:
            room: How many tokens it may take more than the chosen one.
            tried: Results that are not to be returned again.

        Returns:
            The item's position among the choices, and the level; None if nothing has room.
        """
        remaining = self._remaining_tools()
        best, most = None, 0.0
        for position, choice in enumerate(self._choices):
            for level in range(choice.level):
                gain = choice.worth * (choice.lost(choice.level) - choice.lost(level))
                if (
                    gain > most
                    and choice.tokens(level) - choice.tokens(choice.level) <= room
                    and (position, level) not in tried
                    and choice.may_stand_beside(remaining)
                ):
                    best, most = (position, level), gain
        return best

    def _build(self) -> Packed:
        """Return the prompt of the chosen variants, counted."""
        tools = tuple(tool.item for tool in self._tools if tool.item)
        demos = _demos_beside(tools, [demo.item for demo in self._demos if demo.item])
        return _with_tokens(replace(self._full, tools=tools, demos=demos), self._counter)


def _demo_worth(demo: PackedDemo, rank: int, worths: Mapping[str, float]) -> float:
    """Return what a demonstration is worth, by its rank from 1 on and the worths of tools."""
    return _DEMO_WORTH * max((worths.get(tool, 0.0) for tool in demo.tools), default=0.0) / rank


def _with_tokens(packed: Packed, counter: TokenCounter) -> Packed:
    return replace(packed, tokens=counter.count(packed.serialized()))


def _demos_beside(
    tools: Iterable[PackedTool], demos: Iterable[PackedDemo]
) -> tuple[PackedDemo, ...]:
    """Return the demonstrations without calls of other tools: they would teach refused calls.

    A demonstration that holds only such calls is removed.
    """
    names = {tool.id: tool.name for tool in tools}
    usable = []
    for demo in demos:
        known = tuple(tool for tool in demo.tools if tool in names)
        if len(known) == len(demo.tools):
            usable.append(demo)
        elif known:
            calls = tuple(call for call in demo.calls if call[0] in names.values())
            usable.append(replace(demo, tools=known, calls=calls, answer="", partial=True))
    return tuple(usable)
