"""What ``langgraph_bigtool.create_agent`` takes to search with: functions from a query to ids."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from toolret.permissions import Allow
from toolret.retriever import ToolRetriever

__all__ = ["retrieve_tools_coroutine", "retrieve_tools_function"]

_DOCUMENTATION = "Retrieve tools to use, given what you want to do in one sentence."
"""What the model reads of the function."""


def retrieve_tools_function(
    retriever: ToolRetriever, *, limit: int = 2, allow: Allow = None
) -> Callable[[str], list[str]]:
    """A function from a query to tool ids, best first.

    Args:
        retriever: What searches.
        limit: How many tools to give at most.
        allow: What the caller may use.

    Returns:
        What ``create_agent(..., retrieve_tools_function=...)`` takes. Its ``tool_registry`` must
        have the tools by their ids in the index.
    """

    def retrieve_tools(query: str) -> list[str]:
        return [hit.tool.id for hit in retriever.search(query, k=limit, allow=allow)]

    retrieve_tools.__doc__ = _DOCUMENTATION
    return retrieve_tools


def retrieve_tools_coroutine(
    retriever: ToolRetriever, *, limit: int = 2, allow: Allow = None
) -> Callable[[str], Awaitable[list[str]]]:
    """``retrieve_tools_function`` for ``retrieve_tools_coroutine=...``."""
    search = retrieve_tools_function(retriever, limit=limit, allow=allow)

    async def retrieve_tools(query: str) -> list[str]:
        return await asyncio.to_thread(search, query)

    retrieve_tools.__doc__ = _DOCUMENTATION
    return retrieve_tools
