"""``discover_tools``: the tool with which a model asks for tools that it was not offered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from langchain_core.tools import BaseTool, ToolException
from pydantic import Field

from toolret.integrations.langchain.offering import Offer, offers_of, with_agent_names
from toolret.integrations.langchain.searching import Search
from toolret.retrieval.selection import Selection
from toolret.text.names import DISCOVER

__all__ = ["DiscoverTool"]

_DESCRIPTION = (
    "Find more tools. There are many that are not listed here: call this before you say that "
    "something cannot be done. What it finds can be called from the next turn on."
)

_QUERY = "What you want to do, in one sentence; ask once for each thing."

_SCHEMA = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": _QUERY}},
    "required": ["query"],
}

_FOUND = "You can call these tools now:"
"""What the model is told before the tools that were found."""

_NOTHING = "No tool fits that. Ask in other words, or go on without."
"""What the model is told if nothing was found."""

_FAILED = "Error: the search failed. Go on with the tools that you have."
"""What the model is told, with status ``error``, if the search failed."""

_NO_QUERY = 'Error: say what you want to do: {"query": "..."}'
"""What the model is told, with status ``error``, if it did not say what to search for."""


class DiscoverTool(BaseTool):
    """Searches on a model's behalf; its message's artifact holds what was found, to be offered.

    Without a ``search`` it can be shown to a model, but not run.
    """

    name: str = DISCOVER
    description: str = _DESCRIPTION
    args_schema: Any = _SCHEMA
    response_format: Any = "content_and_artifact"
    handle_tool_error: Any = True
    search: Any = Field(default=None, exclude=True, repr=False)
    examples: bool = True

    def _run(self, /, **arguments: Any) -> tuple[str, list[Offer]]:
        return self._answer(self._search.select(_query(arguments)))

    async def _arun(self, /, **arguments: Any) -> tuple[str, list[Offer]]:
        return self._answer(await self._search.aselect(_query(arguments)))

    @property
    def _search(self) -> Search:
        assert isinstance(self.search, Search)  # noqa: S101 - only the middleware runs it
        return self.search

    def _answer(self, selection: Selection | None) -> tuple[str, list[Offer]]:
        if selection is None:
            raise ToolException(_FAILED)
        if not selection.packed.tools:
            return _NOTHING, []
        available = self._search.available
        packed = with_agent_names(selection.packed, available)
        if not self.examples:
            packed = replace(packed, demos=())
        return f"{_FOUND}\n\n{packed.to_text()}", offers_of(selection, available)


def _query(arguments: dict[str, Any]) -> str:
    query = arguments.get("query")
    if not isinstance(query, str) or not query.strip():
        raise ToolException(_NO_QUERY)
    return query.strip()
