"""Tools and demonstrations packed into a token budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from typing import Literal, TypeAlias

from toolret.errors import BudgetError
from toolret.prompt.packed import Dropped, Format, Packed, compact, example
from toolret.prompt.trimming import DEMO_STEPS, TOOL_STEPS, PackedDemo, PackedTool, packed_tool
from toolret.text.names import wire_name
from toolret.tokens import TokenCounter
from toolret.types import Demo, DemoHit, Hit, Tool

__all__ = ["catalog_tokens", "pack", "pack_alone"]

_Item: TypeAlias = tuple[Literal["tool", "demo"], str]
"""A tool or a demonstration, and its id."""

_WHOLE = "left out"
"""The last step: the item is left out of the prompt."""


def pack(
    hits: Sequence[Hit],
    demos: Sequence[DemoHit],
    *,
    budget: int | None,
    form: Format,
    counter: TokenCounter,
) -> Packed:
    """Render hits and demonstrations, trimmed to the budget.

    Everything stays whole if it fits. Otherwise each step of ``trimming`` is applied from the least
    relevant item to the most relevant, as far as needed. Items that do not fit in their shortest
    form are left out: first tools that do not fit even alone, then demonstrations that do not fit
    beside the tools that would outlast them, then from the least relevant on, tools and
    demonstrations in proportion. A demonstration never outlasts its tools. A larger budget never
    keeps fewer tools, unless it is the first that holds one of them alone, or a demonstration.

    Args:
        hits: Tools, most relevant first.
        demos: Demonstrations, most relevant first.
        budget: The most tokens; None for no limit.
        form: The form whose tokens are counted.
        counter: Counts the tokens.

    Raises:
        BudgetError: If none of the tools fits in its shortest form.
    """
    full = Packed(
        form,
        tuple(packed_tool(hit.tool) for hit in hits),
        tuple(_packed_demo(hit.demo) for hit in demos),
    )
    full = _counted(_without_orphans(full), counter)
    if budget is None or full.tokens <= budget:
        return full
    trimmed = _trim(full, budget, counter)
    if trimmed.tokens <= budget:
        return trimmed
    return _trim(_leave_out(full, trimmed, budget, counter), budget, counter)


def pack_alone(
    tool: Tool, *, budget: int | None, form: Format, counter: TokenCounter
) -> PackedTool:
    """Render a tool by itself, trimmed as by ``pack``; in its shortest form if none fits."""
    full = Packed(form, (packed_tool(tool),), ())
    # A token is at least one byte, so if the bytes fit, nothing has to be counted.
    if budget is None or len(full.serialized().encode("utf-8", "replace")) <= budget:
        return full.tools[0]
    return _trim(_counted(full, counter), budget, counter).tools[0]


def catalog_tokens(tools: Sequence[Tool], *, counter: TokenCounter) -> int:
    """Count the tokens of a whole catalog in OpenAI's form, untrimmed."""
    packed = Packed("openai", tuple(map(packed_tool, tools)), ())
    return counter.count(packed.serialized())


def _counted(packed: Packed, counter: TokenCounter) -> Packed:
    return replace(packed, tokens=counter.count(packed.serialized()))


def _leave_out(full: Packed, shortest: Packed, budget: int, counter: TokenCounter) -> Packed:
    """Leave out the items that do not fit even in shortest form; return the others in full."""
    short_tools = {tool.id: tool for tool in shortest.tools}
    alone = {
        tool.id: counter.count(replace(shortest, tools=(tool,), demos=()).serialized())
        for tool in shortest.tools
    }
    fitting = tuple(tool for tool in full.tools if alone[tool.id] <= budget)
    if not fitting:
        first = full.tools[0].id
        raise BudgetError(
            f"a token budget of {budget} holds not even the tool {first!r}, which takes "
            f"{alone[first]} tokens in its shortest form"
        )
    order = list(_leaving(replace(full, tools=fitting)))
    short = replace(shortest, tools=tuple(short_tools[tool.id] for tool in fitting))
    leaving = chain(
        (("tool", id_) for id_, tokens in alone.items() if tokens > budget),
        _too_large(_without_orphans(short), order, budget, counter),
        order,
    )
    dropped: list[Dropped] = []
    kept = full
    while True:
        # Demonstrations depend on which tools are left.
        short = replace(
            kept,
            tools=tuple(short_tools[tool.id] for tool in kept.tools),
            demos=tuple(_shortest(demo, counter) for demo in kept.demos),
        )
        if counter.count(short.serialized()) <= budget:
            return _counted(replace(kept, dropped=tuple(dropped)), counter)
        item = next(leaving)
        rest = _without_orphans(
            replace(
                kept,
                tools=tuple(tool for tool in kept.tools if ("tool", tool.id) != item),
                demos=tuple(demo for demo in kept.demos if ("demo", demo.id) != item),
            )
        )
        there = {demo.id for demo in rest.demos}
        dropped += [_left_out("demo", d, counter) for d in kept.demos if d.id not in there]
        dropped += [_left_out("tool", t, counter) for t in kept.tools if t not in rest.tools]
        kept = rest


def _too_large(
    short: Packed, order: Sequence[_Item], budget: int, counter: TokenCounter
) -> list[_Item]:
    """The demonstrations that would not fit even after all that leaves before them is gone."""
    tools = {tool.id: tool for tool in short.tools}
    demos = {demo.id: demo for demo in short.demos}
    outlasting = [short.tools[0]]
    large: list[_Item] = []
    for kind, id_ in reversed(order):
        if kind == "tool":
            outlasting.append(tools[id_])
        elif demo := demos.get(id_):
            beside = replace(short, tools=tuple(outlasting), demos=(demo,))
            if counter.count(beside.serialized()) > budget:
                large.append((kind, id_))
    return large[::-1]


def _leaving(full: Packed) -> Iterator[_Item]:
    """Kind and id of everything except the first tool, in the order of being left out.

    Both lists shrink from their ends at the same rate, so that the planner keeps examples of the
    tools that it keeps; a single demonstration goes after half of the tools.
    """
    tools, demos = len(full.tools), max(2, len(full.demos))
    ends: list[tuple[float, int, Literal["tool", "demo"], str]] = []
    ends += [(rank / tools, 0, "tool", tool.id) for rank, tool in enumerate(full.tools) if rank]
    ends += [((rank + 1) / demos, 1, "demo", demo.id) for rank, demo in enumerate(full.demos)]
    ends.sort(key=lambda end: end[:2], reverse=True)
    return ((kind, id_) for _, _, kind, id_ in ends)


def _trim(kept: Packed, budget: int, counter: TokenCounter) -> Packed:
    """Apply steps until the prompt fits or no step is left."""
    dropped, tokens = list(kept.dropped), kept.tokens
    tools, demos = list(kept.tools), list(kept.demos)
    sizes: dict[tuple[str, int], int] = {}
    # Tokens merge across the borders of items, so the sum of savings is only approximate: the whole
    # prompt is counted once the sum says that it fits.
    about = tokens
    for kind, name, position in _cuts(len(tools), len(demos)):
        if tokens <= budget:
            break
        before: PackedTool | PackedDemo
        after: PackedTool | PackedDemo
        if kind == "tool":
            before, after = tools[position], TOOL_STEPS[name](tools[position])
        else:
            before, after = demos[position], DEMO_STEPS[name](demos[position])
        if after == before:
            continue
        size = sizes.get((kind, position)) or _size(before, counter)
        shorter = _size(after, counter)
        sizes[kind, position] = min(size, shorter)
        if shorter >= size:
            continue
        if isinstance(after, PackedTool):
            tools[position] = after
        else:
            demos[position] = after
        dropped.append(Dropped(kind, after.id, name, size - shorter))
        about -= size - shorter
        if about <= budget:
            packed = replace(kept, tools=tuple(tools), demos=tuple(demos))
            about = tokens = counter.count(packed.serialized())
    trimmed = replace(kept, tools=tuple(tools), demos=tuple(demos), dropped=tuple(dropped))
    # If it fits, its tokens are those counted last.
    return replace(trimmed, tokens=tokens) if tokens <= budget else _counted(trimmed, counter)


def _cuts(tools: int, demos: int) -> Iterator[tuple[Literal["tool", "demo"], str, int]]:
    """All cuts in order: a step for tools, then one for demonstrations, last items first."""
    for tool_step, demo_step in zip_longest(TOOL_STEPS, DEMO_STEPS):
        for position in reversed(range(tools)):
            yield "tool", tool_step, position
        for position in reversed(range(demos)) if demo_step else ():
            yield "demo", demo_step, position


def _shortest(demo: PackedDemo, counter: TokenCounter) -> PackedDemo:
    """Apply all steps that save tokens, as ``_trim`` does."""
    size = _size(demo, counter)
    for step in DEMO_STEPS.values():
        after = step(demo)
        if after != demo and (shorter := _size(after, counter)) < size:
            demo, size = after, shorter
    return demo


def _left_out(
    kind: Literal["tool", "demo"], item: PackedTool | PackedDemo, counter: TokenCounter
) -> Dropped:
    return Dropped(kind, item.id, _WHOLE, _size(item, counter))


def _size(item: PackedTool | PackedDemo, counter: TokenCounter) -> int:
    """Count the tokens of an item by itself, without its surroundings."""
    if isinstance(item, PackedDemo):
        return counter.count(compact(example(item, {})))
    return counter.count(compact([item.name, item.description, item.parameters]))


def _without_orphans(packed: Packed) -> Packed:
    """Remove calls of tools that are not in the prompt: they would teach refused calls.

    A demonstration that holds only such calls is removed.
    """
    there = {tool.id: tool.name for tool in packed.tools}
    demos = []
    for demo in packed.demos:
        tools = tuple(tool for tool in demo.tools if tool in there)
        if len(tools) == len(demo.tools):
            demos.append(demo)
        elif tools:
            calls = tuple(call for call in demo.calls if call[0] in there.values())
            demos.append(replace(demo, tools=tools, calls=calls, answer="", partial=True))
    return replace(packed, demos=tuple(demos))


def _packed_demo(demo: Demo) -> PackedDemo:
    calls = tuple((wire_name(call.tool), call.arguments, call.result) for call in demo.calls)
    return PackedDemo(demo.id, demo.tools, demo.text, calls, demo.answer)
