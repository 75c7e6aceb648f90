"""A prompt in one form: the tools and demonstrations in it, as they are handed over.

Tokens are counted on exactly that: the compact JSON of the whole object for OpenAI and Anthropic,
or the text. Providers render tools in their own ways, most of them shorter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from toolret.forking import cached_property
from toolret.json_values import compact_json
from toolret.recent import Recent
from toolret.schemas.accepted import accepted_form
from toolret.text.names import wire_name
from toolret.types import Demo, JsonObject, Tool

__all__ = [
    "Dropped",
    "Format",
    "Item",
    "Packed",
    "PackedDemo",
    "PackedTool",
    "example",
    "packed_demo",
    "packed_tool",
]

Format: TypeAlias = Literal["openai", "anthropic", "text"]
"""The form of a prompt: OpenAI's JSON, Anthropic's JSON, or plain text."""

_EXAMPLES_HEAD = (
    "Worked examples: earlier requests and the tool calls that answered them. Use them for how the "
    "tools are called; take the values from the conversation."
)


_CACHED_TOOLS = 4_096
"""How many packed tools are cached."""


@dataclass(frozen=True)
class PackedTool:
    """A tool as the planner will see it.

    Attributes:
        id: The tool's id.
        name: The name by which a model calls it.
        description: Its description.
        schema: The schema of its arguments. It can say which of them belong together, which
            ``parameters`` says only in words.
    """

    id: str
    name: str
    description: str
    schema: JsonObject

    @cached_property
    def parameters(self) -> JsonObject:
        """The schema in the form that providers accept."""
        return accepted_form(self.schema)


@dataclass(frozen=True, slots=True)
class PackedDemo:
    """A demonstration as the planner will see it.

    Attributes:
        id: The demonstration's id.
        tools: Ids of the tools that it uses.
        text: The request.
        calls: The calls that answered it: each tool's name, arguments and result; the result is
            None if it is left out.
        answer: The answer; empty if there is none.
        partial: Whether calls of tools that are not in the prompt were left out.
    """

    id: str
    tools: tuple[str, ...]
    text: str
    calls: tuple[tuple[str, JsonObject, Any], ...]
    answer: str
    partial: bool = False


Item = TypeVar("Item", PackedTool, PackedDemo)

_packed_tools: Recent[tuple[str, str, int], PackedTool] = Recent(_CACHED_TOOLS)


def packed_tool(tool: Tool) -> PackedTool:
    """Return a tool untrimmed; cached, because the same tools are packed again and again."""
    # A cached tool holds the parameters, so that nothing else can come to have their id.
    key = (tool.id, tool.description, id(tool.parameters))
    packed = _packed_tools.get(key)
    if packed is None:
        schema = {} if tool.parameters is None else tool.parameters
        packed = PackedTool(tool.id, wire_name(tool.id), tool.description, schema)
        _packed_tools.put(key, packed)
    return packed


def packed_demo(demo: Demo) -> PackedDemo:
    """Return a demonstration untrimmed."""
    calls = tuple((wire_name(call.tool), call.arguments, call.result) for call in demo.calls)
    return PackedDemo(demo.id, demo.tools, demo.text, calls, demo.answer)


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something that was cut to fit the budget.

    Attributes:
        kind: Whether it was cut from a tool or from a demonstration.
        id: The id of that tool or demonstration.
        step: The name of the step that cut it.
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
        form: The form of the prompt.
        tools: Its tools, the most relevant first.
        demos: Its demonstrations, the most relevant first.
        tokens: The number of tokens of the prompt in this form.
        dropped: The cuts that were made: those of the least relevant item first, and those of each
            item in the order of its steps.
    """

    form: Format
    tools: tuple[PackedTool, ...]
    demos: tuple[PackedDemo, ...]
    tokens: int = 0
    dropped: tuple[Dropped, ...] = ()

    def to_openai(self) -> dict[str, Any]:
        """Return ``{"tools": [...], "messages": [...]}``; the examples are a system message.

        OpenAI refuses an empty list of tools: leave an empty one out of the request.
        The caller may change the result: it shares nothing with other objects.
        """
        return {key: _copy(part) for key, part in self._openai().items()}

    def to_anthropic(self) -> dict[str, Any]:
        """Return ``{"tools": [...], "system": "..."}``; the examples are the system text.

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
            f"{tool.name}: {tool.description}\n  arguments: {compact_json(tool.parameters)}"
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
        texts = [example(demo, names or {}) for demo in self.demos]
        return "\n\n".join([_EXAMPLES_HEAD, *texts])

    def serialized(self) -> str:
        """Return the text whose tokens are counted; empty if there are no tools."""
        if not self.tools:
            return ""
        if self.form == "text":
            return self.to_text()
        return compact_json(self._openai() if self.form == "openai" else self._anthropic())


def example(demo: PackedDemo, names: Mapping[str, str]) -> str:
    """Return a demonstration as text.

    Args:
        demo: The demonstration.
        names: Other names to use for its tools, by their names in it.
    """
    lines = [f"Request: {demo.text}"]
    for name, arguments, result in demo.calls:
        lines.append(f"Call: {names.get(name, name)}({compact_json(arguments)})")
        if result is not None:
            lines.append(f"Result: {compact_json(result)}")
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
