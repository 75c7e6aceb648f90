"""Search functions for ``langgraph_bigtool.create_agent``: from a query to tool ids."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from toolret.integrations.retrievers import checked_retriever
from toolret.options import whole_number
from toolret.permissions import Allow, freeze_allow
from toolret.retrieval.retriever import ToolRetriever

__all__ = ["retrieve_tools_coroutine", "retrieve_tools_function"]

_log = logging.getLogger(__name__)

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
        must have the tools by their ids in the index. It finds nothing for a query without text,
        or if the search fails, which is logged.

    Raises:
        InputError: If ``limit`` is not 1 or more, or ``allow`` is a string, a mapping or an
            iterator, or not a collection.
        TypeError: If ``retriever`` is not a ``ToolRetriever``.
    """
    checked_retriever(retriever)
    whole_number("limit", limit)
    granted = freeze_allow(allow)

    def retrieve_tools(query: str) -> list[str]:
        if not query.strip():
            return []
        try:
            return [hit.tool.id for hit in retriever.search(query, k=limit, allow=granted)]
        except Exception as error:  # noqa: BLE001 - a failed search must not end the agent's run
            kind = type(error).__name__
            _log.warning("a search failed, so it found no tool: %s: %s", kind, error)
            return []

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
