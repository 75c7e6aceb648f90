"""Checks the retriever that an integration is given."""

from __future__ import annotations

from typing import Any

from toolret.retrieval.retriever import ToolRetriever

__all__ = ["checked_retriever"]


def checked_retriever(retriever: Any) -> ToolRetriever:
    """Return a retriever, if it is one.

    Raises:
        TypeError: If it is something else, such as an index.
    """
    if not isinstance(retriever, ToolRetriever):
        raise TypeError(
            f"a {type(retriever).__name__} chooses nothing: give a ToolRetriever, such as "
            "ToolRetriever(index)"
        )
    return retriever
