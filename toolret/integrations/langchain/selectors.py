"""The demonstrations of an index as LangChain's ``BaseExampleSelector``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.example_selectors import BaseExampleSelector

from toolret.errors import DemoError
from toolret.integrations.retrievers import checked_retriever
from toolret.json_values import compact_json, parse_json
from toolret.permissions import Allow, freeze_allow
from toolret.retrieval.retriever import ToolRetriever
from toolret.retrieval.selection import Selection
from toolret.rows import demo_from_row
from toolret.text.names import ids_by_name, wire_name
from toolret.types import Demo

__all__ = ["DemoSelector", "as_example_selector"]


def as_example_selector(
    retriever: ToolRetriever, *, input_key: str | None = None, allow: Allow = None
) -> DemoSelector:
    """Return an example selector over the demonstrations in the retriever's index.

    Args:
        retriever: Chooses the examples.
        input_key: The input variable that holds the request; by default all of them, in order of
            their names.
        allow: The caller's permissions, or a predicate over tools. An example that needs more is
            not shown.

    Raises:
        TypeError: If ``retriever`` is not a ``ToolRetriever``.
        InputError: If ``allow`` is a string, a mapping or an iterator, or not a collection.
    """
    return DemoSelector(retriever, input_key=input_key, allow=allow)


class DemoSelector(BaseExampleSelector):
    """Selects worked examples for a request; made by ``as_example_selector``.

    An example has the texts ``input``, the request; ``output``, the calls as lines and the answer;
    ``calls``, as JSON; ``tools``, names separated by commas; and ``answer``.
    """

    def __init__(
        self, retriever: ToolRetriever, *, input_key: str | None = None, allow: Allow = None
    ) -> None:
        self._retriever = checked_retriever(retriever)
        self._input_key = input_key
        self._allow = freeze_allow(allow)

    def select_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """Return at most ``max_demos`` examples, best first; none for an empty request."""
        request = self._request(input_variables)
        if not request.strip():
            return []
        return _examples(self._retriever.select(request, allow=self._allow))

    async def aselect_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """``select_examples`` for event loops."""
        request = self._request(input_variables)
        if not request.strip():
            return []
        return _examples(await self._retriever.aselect(request, allow=self._allow))

    def add_example(self, example: dict[str, Any]) -> str:
        """Add an example to the index.

        Args:
            example: ``input``, and ``calls`` or ``tools``, as ``select_examples`` returns them or
                as lists; ``answer`` if there is one.

        Returns:
            The demonstration's id.

        Raises:
            DemoError: If it lacks a text, is malformed, or names a tool that the index lacks.
        """
        demo = _demo(example, ids_by_name(tool.id for tool in self._retriever.index))
        self._retriever.index.add_demos([demo])
        return demo.id

    def _request(self, variables: Mapping[str, str]) -> str:
        if self._input_key is not None:
            return str(variables[self._input_key])
        return " ".join(str(variables[key]) for key in sorted(variables))


def _examples(selection: Selection) -> list[dict[str, Any]]:
    return [_example(hit.demo) for hit in selection.demos]


def _example(demo: Demo) -> dict[str, Any]:
    calls = [{"tool": wire_name(c.tool), "arguments": dict(c.arguments)} for c in demo.calls]
    lines = [f"{wire_name(c.tool)}({compact_json(c.arguments)})" for c in demo.calls]
    names = ", ".join(wire_name(tool) for tool in demo.tools)
    return {
        "input": demo.text,
        "output": "\n".join(filter(None, [*(lines or [names]), demo.answer])),
        "calls": compact_json(calls),
        "tools": names,
        "answer": demo.answer,
    }


def _demo(example: Mapping[str, Any], ids: Mapping[str, str]) -> Demo:
    def id_of(name: Any) -> Any:
        return ids.get(name, name) if isinstance(name, str) else name

    calls = _calls(example.get("calls") or [])
    if isinstance(calls, list):
        calls = [c | {"tool": id_of(c.get("tool"))} if isinstance(c, dict) else c for c in calls]
    tools = example.get("tools") or []
    if isinstance(tools, str):
        tools = [name.strip() for name in tools.split(",") if name.strip()]
    if isinstance(tools, list):
        tools = [id_of(name) for name in tools]
    row = {"text": example.get("input"), "calls": calls or None, "tools": tools or None}
    return demo_from_row(row | {"answer": example.get("answer") or ""}, place="example")


def _calls(value: Any) -> Any:
    """Return calls, read from JSON if they are a text."""
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value)
    except ValueError as exc:
        raise DemoError(f"the field `calls` of an example is no JSON: {exc}") from exc
