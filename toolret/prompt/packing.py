"""Tools and demonstrations as a prompt, packed into a token budget.

Tokens are counted on exactly what is handed over: the compact JSON of the whole object for OpenAI
and Anthropic, or the text. Providers render tools in their own ways, most of them shorter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Any, Literal, TypeAlias

from toolret.errors import BudgetError
from toolret.prompt.trimming import DEMO_STEPS, TOOL_STEPS, PackedDemo, PackedTool, packed_tool
from toolret.text.names import wire_name
from toolret.tokens import TokenCounter
from toolret.types import Demo, DemoHit, Hit, Tool

__all__ = ["Dropped", "Format", "Packed", "catalog_tokens", "pack", "pack_alone"]

Format: TypeAlias = Literal["openai", "anthropic", "text"]

_EXAMPLES_HEAD = (
    "Worked examples: earlier requests and the tool calls that answered them. Use them for how the "
    "tools are called; take the values from the conversation."
)

_Item: TypeAlias = tuple[Literal["tool", "demo"], str]
"""A tool or a demonstration, and its id."""

_WHOLE = "left out"
"""The last step: the item is left out of the prompt."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something that was cut to fit the budget.

    Attributes:
        kind: What it was cut from.
        id: The id of that tool or demonstration.
        step: What was done to it.
        tokens_saved: How many tokens shorter the item became, counted by itself.
    """

    kind: Literal["tool", "demo"]
    id: str
    step: str
    tokens_saved: int


@dataclass(frozen=True, slots=True)
class Packed:
    """A prompt in one form.

    Attributes:
        form: The form.
        tools: Most relevant first.
        demos: Most relevant first.
        tokens: Tokens of the prompt in this form.
        dropped: What was cut, in the order of cutting.
    """

    form: Format
    tools: tuple[PackedTool, ...]
    demos: tuple[PackedDemo, ...]
    tokens: int = 0
    dropped: tuple[Dropped, ...] = ()

    def to_openai(self) -> dict[str, Any]:
        """``{"tools": [...], "messages": [...]}``; the examples are a system message.

        OpenAI refuses an empty list of tools: leave an empty one out of the request.
        The caller may change the result: it shares nothing with other objects.
        """
        return {key: _copy(part) for key, part in self._openai().items()}

    def to_anthropic(self) -> dict[str, Any]:
        """``{"tools": [...], "system": "..."}``; the examples are the system text.

        The caller may change the result: it shares nothing with other objects.
        """
        return {key: _copy(part) for key, part in self._anthropic().items()}

    def _openai(self) -> dict[str, Any]:
        examples = self.examples()
        return {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": tool.parameters,
                    },
                }
                for tool in self.tools
            ],
            "messages": [{"role": "system", "content": examples}] if examples else [],
        }

    def _anthropic(self) -> dict[str, Any]:
        return {
            "tools": [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": tool.parameters,
                }
                for tool in self.tools
            ],
            "system": self.examples(),
        }

    def to_text(self) -> str:
        """Return tools and examples as text."""
        blocks = [
            f"{tool.name}: {tool.description}\n  arguments: {_compact(tool.parameters)}"
            for tool in self.tools
        ]
        tools = "Tools:\n\n" + "\n\n".join(blocks) if blocks else ""
        return "\n\n".join(part for part in (tools, self.examples()) if part)

    def examples(self, names: Mapping[str, str] | None = None) -> str:
        """Return the worked examples as text; empty if there are none.

        Args:
            names: Other names to use for the tools, by their names here.
        """
        if not self.demos:
            return ""
        texts = [_example(demo, names or {}) for demo in self.demos]
        return "\n\n".join([_EXAMPLES_HEAD, *texts])

    def serialized(self) -> str:
        """Return the text whose tokens are counted; empty if there are no tools."""
        if not self.tools:
            return ""
        if self.form == "text":
            return self.to_text()
        return _compact(self._openai() if self.form == "openai" else self._anthropic())


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
        return counter.count(_compact(_example(item, {})))
    return counter.count(_compact([item.name, item.description, item.parameters]))


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


def _example(demo: PackedDemo, names: Mapping[str, str]) -> str:
    lines = [f"Request: {demo.text}"]
    for name, arguments, result in demo.calls:
        lines.append(f"Call: {names.get(name, name)}({_compact(arguments)})")
        if result is not None:
            lines.append(f"Result: {_compact(result)}")
    if not demo.calls:
        called = (wire_name(tool) for tool in demo.tools)
        lines.append(f"Tools: {', '.join(names.get(name, name) for name in called)}")
    if demo.partial:
        lines.append("(Calls of tools that are not available now are left out.)")
    if demo.answer:
        lines.append(f"Answer: {demo.answer}")
    return "\n".join(lines)


def _copy(value: Any) -> Any:
    """Copy JSON. ``copy.deepcopy`` takes twice as long, and keeps parts shared between tools."""
    if isinstance(value, Mapping):
        return {key: _copy(part) for key, part in value.items()}
    return [_copy(part) for part in value] if isinstance(value, list | tuple) else value


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
