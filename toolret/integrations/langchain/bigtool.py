"""Search functions for ``langgraph_bigtool.create_agent``: from a query to tool ids."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from toolret.permissions import Allow
from toolret.retriever import ToolRetriever

__all__ = ["retrieve_tools_coroutine", "retrieve_tools_function"]

_DOCUMENTATION = "Retrieve tools to use, given what you want to do in one sentence."
"""The function's description for the model."""


def retrieve_tools_function(
    retriever: ToolRetriever, *, limit: int = 2, allow: Allow = None
) -> Callable[[str], list[str]]:
    """Return a function from a query to tool ids, best first.

    Args:
        retriever: The retriever to search with.
        limit: How many tools to return at most.
        allow: The caller's permissions, or a predicate over tools.

    Returns:
        The argument for ``create_agent(..., retrieve_tools_function=...)``, whose ``tool_registry``
        must have the tools by their ids in the index.
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
