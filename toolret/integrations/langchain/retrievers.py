"""A ``ToolRetriever`` as LangChain's ``BaseRetriever``: tools as documents."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field

from toolret.integrations.retrievers import checked_retriever
from toolret.options import whole_number
from toolret.permissions import Allow, freeze_allow
from toolret.retrieval.retriever import ToolRetriever
from toolret.text.names import wire_name
from toolret.text.rendering import tool_text
from toolret.types import Hit

__all__ = ["ToolDocumentRetriever", "as_retriever", "tool_document"]


def as_retriever(
    retriever: ToolRetriever, *, k: int | None = None, allow: Allow = None
) -> ToolDocumentRetriever:
    """Return a LangChain retriever whose documents are tools, most likely needed first.

    Args:
        retriever: The retriever to search with.
        k: How many tools to return at most; by default the retriever's ``max_tools``.
        allow: The caller's permissions, or a predicate over tools. ``invoke`` also takes ``k`` and
            ``allow``, for one request.

    Raises:
        TypeError: If ``retriever`` is not a ``ToolRetriever``.
        InputError: If ``k`` is not 0 or more, or ``allow`` is a string, a mapping or an iterator,
            or not a collection.
    """
    most = checked_retriever(retriever).max_tools
    k = most if k is None else whole_number("k", k, least=0)
    return ToolDocumentRetriever(retriever=retriever, k=k, allow=freeze_allow(allow))


class ToolDocumentRetriever(BaseRetriever):
    """Retrieves tools as documents; none if no tool is needed or nothing is asked.

    ``as_retriever`` makes it.
    """

    retriever: Any = Field(exclude=True, repr=False)
    k: int = 8
    allow: Any = Field(default=None, exclude=True, repr=False)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
        k: int | None = None,
        allow: Allow = None,
    ) -> list[Document]:
        return self._documents(query, k, allow)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
        k: int | None = None,
        allow: Allow = None,
    ) -> list[Document]:
        return await asyncio.to_thread(self._documents, query, k, allow)

    def _documents(self, query: str, k: int | None, allow: Allow) -> list[Document]:
        if not query.strip():
            return []
        hits = self.retriever.search(
            query,
            k=self.k if k is None else k,
            allow=self.allow if allow is None else allow,
        )
        return [tool_document(hit) for hit in hits]


def tool_document(hit: Hit) -> Document:
    """Return a tool that was found as a document, with what a caller needs to offer it."""
    tool = hit.tool
    return Document(
        id=tool.id,
        page_content=tool_text(tool),
        metadata={
            "tool_id": tool.id,
            "name": wire_name(tool.id),
            "namespace": tool.namespace,
            "description": tool.description,
            "parameters": tool.parameters,
            "tags": list(tool.tags),
            "score": hit.score,
        },
    )
