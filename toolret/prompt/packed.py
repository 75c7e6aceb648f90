"""A prompt in one form: tools and demonstrations as they are handed over.

Tokens are counted on exactly that: the compact JSON of the whole object for OpenAI and Anthropic,
or the text. Providers render tools in their own ways, most of them shorter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from toolret.json_values import compact_json
from toolret.prompt.trimming import PackedDemo, PackedTool
from toolret.text.names import wire_name

__all__ = ["Dropped", "Format", "Packed", "example"]

Format: TypeAlias = Literal["openai", "anthropic", "text"]

_EXAMPLES_HEAD = (
    "Worked examples: earlier requests and the tool calls that answered them. Use them for how the "
    "tools are called; take the values from the conversation."
)


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
        dropped: What was cut, the least relevant item first, each in the order of its steps.
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
    """A demonstration as text, in which its tools may have other names."""
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
