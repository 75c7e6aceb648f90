"""Tools and demonstrations packed into a token budget.

This is a multiple-choice knapsack: of each item one form is chosen, from the whole to the shortest,
or none. It is solved greedily (Sinha and Zoltners, 1979): cuts are made in the order of what they
cost for each token that they save. A cut costs a share of the item's worth, and a tool is worth the
more the likelier it is needed. So an unlikely tool is left out before a likely one loses arguments.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import itemgetter
from typing import Generic, Literal, TypeVar

from toolret.errors import BudgetError
from toolret.json_values import compact_json
from toolret.prompt.packed import Dropped, Format, Packed, example
from toolret.prompt.trimming import (
    DEMO_STEPS,
    TOOL_STEPS,
    PackedDemo,
    PackedTool,
    Step,
    packed_tool,
)
from toolret.text.names import wire_name
from toolret.tokens import TokenCounter
from toolret.types import Demo, DemoHit, Hit, Tool

__all__ = ["catalog_tokens", "pack", "pack_alone"]

_Item = TypeVar("_Item", PackedTool, PackedDemo)

_LEFT_OUT = "left out"
"""The last step: the item is left out of the prompt."""

_LEAST_WORTH = 1e-3
"""Of a tool, however unlikely: of two such tools the larger one leaves first."""

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
        BudgetError: If none of the tools fits in its shortest form.
    """
    tools = tuple(packed_tool(hit.tool) for hit in hits)
    examples = _shown([_packed_demo(hit.demo) for hit in demos], tools)
    full = _counted(Packed(form, tools, examples), counter)
    if budget is None or full.tokens <= budget:
        return full
    worths = {hit.tool.id: max(hit.score, _LEAST_WORTH) for hit in hits}
    return _Knapsack(full, worths, budget, counter).packed()


def pack_alone(
    tool: Tool, *, budget: int | None, form: Format, counter: TokenCounter
) -> PackedTool:
    """Render a tool by itself, trimmed as by ``pack``; in its shortest form if none fits."""
    whole = packed_tool(tool)

    def alone(item: PackedTool) -> str:
        return Packed(form, (item,), ()).serialized()

    # A token is at least one byte, so if the bytes fit, nothing has to be counted.
    if budget is None or len(alone(whole).encode("utf-8", "replace")) <= budget:
        return whole
    forms = [each.item for each in _forms(whole, TOOL_STEPS, counter)]
    return next((each for each in forms if counter.count(alone(each)) <= budget), forms[-1])


def catalog_tokens(tools: Sequence[Tool], *, counter: TokenCounter) -> int:
    """Count the tokens of a whole catalog in OpenAI's form, untrimmed."""
    packed = Packed("openai", tuple(map(packed_tool, tools)), ())
    return counter.count(packed.serialized())


@dataclass(frozen=True, slots=True)
class _Form(Generic[_Item]):
    """An item after some steps.

    Attributes:
        item: What is left of it.
        tokens: The tokens of that, without its surroundings.
        lost: The share of the item's worth that is gone, 0 to 1.
        step: The last step; empty for the whole item.
    """

    item: _Item
    tokens: int
    lost: float
    step: str = ""


def _forms(
    item: _Item, steps: Mapping[str, Step[_Item]], counter: TokenCounter
) -> list[_Form[_Item]]:
    """The item whole, and after each of the steps that save tokens."""
    forms: list[_Form[_Item]] = [_Form(item, _size(item, counter), 0.0)]
    for name, step in steps.items():
        last = forms[-1]
        shorter = step(last.item)
        if shorter != last.item and (tokens := _size(shorter, counter)) < last.tokens:
            forms.append(_Form(shorter, tokens, last.lost + step.loss, name))
    return forms


class _Choice(Generic[_Item]):
    """An item, and which of its forms is chosen.

    Args:
        kind: What kind of item it is.
        forms: From the whole to the shortest.
        worth: What is lost if it is left out.

    Attributes:
        chosen: The place of the chosen form among them; the place after the last if it is left out.
    """

    def __init__(
        self, kind: Literal["tool", "demo"], forms: Sequence[_Form[_Item]], worth: float
    ) -> None:
        self.kind = kind
        self.forms: Sequence[_Form[_Item]] = forms
        self.worth = worth
        self.chosen = 0

    @property
    def item(self) -> _Item | None:
        """The chosen form; None if the item is left out."""
        return None if self.chosen == len(self.forms) else self.forms[self.chosen].item

    def leave_out(self) -> None:
        self.chosen = len(self.forms)

    def tokens(self, place: int) -> int:
        return 0 if place == len(self.forms) else self.forms[place].tokens

    def lost(self, place: int) -> float:
        return 1.0 if place == len(self.forms) else self.forms[place].lost

    def may_stand_beside(self, tools: set[str]) -> bool:
        """Whether it is a tool, or shows one of some tools, or none at all."""
        whole = self.forms[0].item
        return isinstance(whole, PackedTool) or not tools.isdisjoint(whole.tools) or not whole.tools

    def cuts(self, *, may_leave: bool) -> Iterator[tuple[float, int]]:
        """The cuts on the way to the shortest form: what each costs a token, and where it leads.

        The cost never falls on the way: what is cheaper together is one cut.
        """
        places = len(self.forms) + may_leave
        at = 0
        while at + 1 < places:
            cost, place = min(
                (
                    self.worth
                    * (self.lost(to) - self.lost(at))
                    / (self.tokens(at) - self.tokens(to)),
                    -to,
                )
                for to in range(at + 1, places)
            )
            at = -place
            yield cost, at

    def dropped(self) -> list[Dropped]:
        """What was cut."""
        whole = self.forms[0]
        if self.chosen == len(self.forms):
            return [Dropped(self.kind, whole.item.id, _LEFT_OUT, whole.tokens)]
        return [
            Dropped(self.kind, whole.item.id, after.step, before.tokens - after.tokens)
            for before, after in pairwise(self.forms[: self.chosen + 1])
        ]


class _Knapsack:
    """The choices of a prompt that is too long.

    Args:
        full: The whole prompt, counted.
        worths: Of its tools, by their ids.
        budget: The most tokens.
        counter: Counts the tokens.

    Raises:
        BudgetError: If none of the tools fits in its shortest form.
    """

    def __init__(
        self, full: Packed, worths: Mapping[str, float], budget: int, counter: TokenCounter
    ) -> None:
        self._full = full
        self._budget = budget
        self._counter = counter
        self._tools = [
            _Choice("tool", _forms(tool, TOOL_STEPS, counter), worths[tool.id])
            for tool in full.tools
        ]
        self._demos = [
            _Choice(
                "demo",
                _forms(demo, DEMO_STEPS, counter),
                _DEMO_WORTH
                * max((worths.get(tool, 0.0) for tool in demo.tools), default=0.0)
                / rank,
            )
            for rank, demo in enumerate(full.demos, start=1)
        ]
        self._choices: list[_Choice[PackedTool] | _Choice[PackedDemo]] = [
            *self._tools,
            *self._demos,
        ]
        self._leave_out_too_large()

    def packed(self) -> Packed:
        """The prompt within the budget."""
        packed = self._filled(self._cut())
        dropped = [cut for choice in reversed(self._choices) for cut in choice.dropped()]
        return replace(packed, dropped=tuple(dropped))

    def _leave_out_too_large(self) -> None:
        """Leave out the tools that do not fit even alone in their shortest form."""
        alone = [
            self._counter.count(Packed(self._full.form, (tool.forms[-1].item,), ()).serialized())
            for tool in self._tools
        ]
        if min(alone) > self._budget:
            first = self._full.tools[0].id
            raise BudgetError(
                f"a token budget of {self._budget} holds not even the tool {first!r}, which takes "
                f"{alone[0]} tokens in its shortest form"
            )
        for tool, tokens in zip(self._tools, alone, strict=True):
            if tokens > self._budget:
                tool.leave_out()
        self._leave_out_orphans()

    def _cut(self) -> Packed:
        """Make the cheapest cuts until the prompt fits."""
        first = next(tool for tool in self._tools if tool.item)
        cuts = [
            (cost, choice, place)
            for choice in reversed(
                self._choices
            )  # of those that cost the same, the least relevant first
            for cost, place in choice.cuts(may_leave=choice is not first)
        ]
        cuts.sort(key=itemgetter(0))
        packed = self._built()
        for _, choice, place in cuts:
            if packed.tokens <= self._budget:
                return packed
            if choice.chosen < place:
                choice.chosen = place
                self._leave_out_orphans()
            # The whole takes more than its items, so that it need not be counted before they fit.
            if sum(each.tokens(each.chosen) for each in self._choices) <= self._budget:
                packed = self._built()
        return self._built()

    def _leave_out_orphans(self) -> None:
        """Leave out the demonstrations that show none of the tools that are left."""
        there = {tool.item.id for tool in self._tools if tool.item}
        for demo in self._demos:
            if not demo.may_stand_beside(there):
                demo.leave_out()

    def _filled(self, packed: Packed) -> Packed:
        """Take back what still fits, always what is worth the most."""
        tried: set[tuple[int, int]] = set()
        while step := self._next_longer(self._budget - packed.tokens, tried):
            tried.add(step)
            number, place = step
            choice = self._choices[number]
            before, choice.chosen = choice.chosen, place
            longer = self._built()
            if longer.tokens <= self._budget:
                packed = longer
            else:
                choice.chosen = before
        return packed

    def _next_longer(self, room: int, tried: Container[tuple[int, int]]) -> tuple[int, int] | None:
        """The item, and its longer form, that gains the most of those that need no more room."""
        there = {tool.item.id for tool in self._tools if tool.item}
        best, most = None, 0.0
        for number, choice in enumerate(self._choices):
            for place in range(choice.chosen):
                gain = choice.worth * (choice.lost(choice.chosen) - choice.lost(place))
                if (
                    gain > most
                    and choice.tokens(place) - choice.tokens(choice.chosen) <= room
                    and (number, place) not in tried
                    and choice.may_stand_beside(there)
                ):
                    best, most = (number, place), gain
        return best

    def _built(self) -> Packed:
        tools = tuple(tool.item for tool in self._tools if tool.item)
        demos = _shown([demo.item for demo in self._demos if demo.item], tools)
        return _counted(replace(self._full, tools=tools, demos=demos), self._counter)


def _counted(packed: Packed, counter: TokenCounter) -> Packed:
    return replace(packed, tokens=counter.count(packed.serialized()))


def _size(item: PackedTool | PackedDemo, counter: TokenCounter) -> int:
    """Count the tokens of an item by itself, without its surroundings."""
    if isinstance(item, PackedDemo):
        return counter.count(compact_json(example(item, {})))
    return counter.count(compact_json([item.name, item.description, item.parameters]))


def _shown(demos: Iterable[PackedDemo], tools: Iterable[PackedTool]) -> tuple[PackedDemo, ...]:
    """The demonstrations without calls of other tools: they would teach refused calls.

    A demonstration that holds only such calls is removed.
    """
    there = {tool.id: tool.name for tool in tools}
    shown = []
    for demo in demos:
        known = tuple(tool for tool in demo.tools if tool in there)
        if len(known) == len(demo.tools):
            shown.append(demo)
        elif known:
            calls = tuple(call for call in demo.calls if call[0] in there.values())
            shown.append(replace(demo, tools=known, calls=calls, answer="", partial=True))
    return tuple(shown)


def _packed_demo(demo: Demo) -> PackedDemo:
    calls = tuple((wire_name(call.tool), call.arguments, call.result) for call in demo.calls)
    return PackedDemo(demo.id, demo.tools, demo.text, calls, demo.answer)
