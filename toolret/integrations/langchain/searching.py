"""Searches for an agent: among what it can run, visible to its callbacks, never fatal."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.documents import Document
from langchain_core.runnables import ensure_config

from toolret.integrations.langchain.catalog import Available
from toolret.integrations.langchain.retrievers import tool_document
from toolret.permissions import Allow, JointLimit
from toolret.queries import Conversation, as_request
from toolret.retrieval.retriever import ToolRetriever
from toolret.retrieval.selection import Selection

__all__ = ["Search"]

_log = logging.getLogger(__name__)

_RUN_NAME = "toolret"
"""The name of a retriever's run in tracers."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search for one caller.

    Attributes:
        retriever: The retriever to search with.
        available: The tools that the agent can run; no others are found.
        allow: The caller's permissions.
    """

    retriever: ToolRetriever
    available: Available
    allow: Allow

    def select(self, conversation: Conversation) -> Selection | None:
        """Return what was found, or None if the search failed, which is logged."""
        try:
            request = as_request(conversation)
            manager = CallbackManager.configure(**_callbacks())
            run = manager.on_retriever_start({}, request.text, name=_RUN_NAME)
            try:
                selection = self.retriever.select(request, allow=self._allowed)
            except Exception as error:
                run.on_retriever_error(error)
                raise
            run.on_retriever_end(_documents(selection))
        except Exception as error:  # noqa: BLE001 - a failed search must not end the agent's run
            _log_failure(error)
            return None
        return selection

    async def aselect(self, conversation: Conversation) -> Selection | None:
        """``select`` for event loops."""
        try:
            request = as_request(conversation)
            manager = AsyncCallbackManager.configure(**_callbacks())
            run = await manager.on_retriever_start({}, request.text, name=_RUN_NAME)
            try:
                selection = await self.retriever.aselect(request, allow=self._allowed)
            except Exception as error:
                await run.on_retriever_error(error)
                raise
            await run.on_retriever_end(_documents(selection))
        except Exception as error:  # noqa: BLE001 - as above
            _log_failure(error)
            return None
        return selection

    @property
    def _allowed(self) -> Allow:
        """What the caller may use, limited to what the agent can run."""
        if self.available.ids is None:
            return self.allow
        return JointLimit((self.allow,), self.available.can_run)


def _callbacks() -> dict[str, Any]:
    """Return the arguments that pass on the callbacks of the current run."""
    config = ensure_config()
    return {
        "inheritable_callbacks": config.get("callbacks"),
        "inheritable_tags": config.get("tags"),
        "inheritable_metadata": config.get("metadata"),
    }


def _documents(selection: Selection) -> list[Document]:
    return [tool_document(hit) for hit in selection.tools]


def _log_failure(error: Exception) -> None:
    _log.warning(
        "retrieval failed, the agent goes on with what it was offered before: %s: %s",
        type(error).__name__,
        error,
    )
