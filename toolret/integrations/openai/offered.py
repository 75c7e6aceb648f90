"""Tells which tools a conversation may call, and answers the model's own searches."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from toolret.permissions import Allow
from toolret.prompt import Packed
from toolret.retrieval.retriever import ToolRetriever

__all__ = ["Finder", "Offered"]

_log = logging.getLogger(__name__)


class Finder:
    """Answers a model's searches; never raises.

    Args:
        retriever: Selects the tools.
        allow: The user's permissions, or a predicate over tools.
    """

    def __init__(self, retriever: ToolRetriever, allow: Allow) -> None:
        self.allow: Allow = allow
        self._retriever = retriever

    def find(self, query: str) -> Packed | None:
        """Select tools for a query; None if the search failed."""
        try:
            return self._retriever.select(query, allow=self.allow).packed_as("openai")
        except Exception as error:  # noqa: BLE001 - the model is told, and the agent goes on
            _warn(error)
            return None

    async def afind(self, query: str) -> Packed | None:
        """``find`` for event loops."""
        try:
            selection = await self._retriever.aselect(query, allow=self.allow)
            return selection.packed_as("openai")
        except Exception as error:  # noqa: BLE001 - as above
            _warn(error)
            return None


class Offered(Mapping[str, str]):
    """The tools that the model may call: ids by the names that it sees.

    The caller's own tools, which the index does not hold, have their names as ids.

    Args:
        names: The ids, by name.
        finder: Answers the model's own searches.
        proxy: Whether the model calls what it found through ``call_tool``.
        tool_search: Whether the model finds others by ``tool_search``, where its API has that.
    """

    def __init__(
        self, names: Mapping[str, str], finder: Finder, *, proxy: bool, tool_search: bool
    ) -> None:
        self._names = dict(names)
        self.finder = finder
        self.proxy = proxy
        self.tool_search = tool_search

    def __getitem__(self, name: str) -> str:
        return self._names[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"Offered({self._names!r})"


def _warn(error: Exception) -> None:
    _log.warning("a search of the model's failed: %s: %s", type(error).__name__, error)
