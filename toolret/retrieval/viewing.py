"""``IndexView``: what a query generator may see of an index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np

from toolret.permissions import Allow
from toolret.queries.combining import expand_queries
from toolret.ranking.arrays import products
from toolret.retrieval.reader import Reader
from toolret.types import Demo, Query, Request, Tool

__all__ = ["IndexView"]


class IndexView:
    """The part of an index that one caller may use.

    Args:
        reader: Returns the reader of the latest snapshot. It is not called before something is
            looked up, since making a reader can take a while.
        allow: The caller's permissions. The view behaves as if the index held only what they allow.
    """

    def __init__(self, reader: Callable[[], Reader], allow: Allow) -> None:
        self._reader = reader
        self._allow = allow

    def tools(self, queries: Sequence[Query], k: int) -> Sequence[Tool]:
        """Return at most ``k`` tools, best first; the first query is the request itself."""
        reader = self._reader()
        compared = reader.comparer.compare(*reader.embed(expand_queries(queries)))
        allowed = reader.allowed(self._allow)
        ranking = reader.rank(
            Request(queries[0].text), compared, allowed, most=k, recall=1, precision=None
        )
        return [hit.tool for hit in ranking.hits]

    def demos(self, text: str, k: int) -> Sequence[tuple[Demo, Sequence[Tool]]]:
        """Return at most ``k`` demonstrations, the nearest to a text first, with their tools.

        Demonstrations without tools are left out. So are those with a tool that is forbidden, or
        that is no longer in the index, since its permissions went with it.
        """
        reader = self._reader()
        tools, demos = reader.snapshot.tools, reader.snapshot.demos
        if not demos.items:
            return []
        may_show = reader.may_show(self._allow, reader.allowed(self._allow))
        _, as_demos = reader.comparer.embed([text])
        cosines = products(as_demos, demos.vectors)[0]
        by_cosine = (demos.items[place] for place in np.argsort(-cosines, kind="stable").tolist())
        shown = (
            demo
            for demo in by_cosine
            if demo.tools
            and all(tool in tools.positions for tool in demo.tools)
            and (may_show is None or may_show(demo))
        )
        return [
            (demo, [tools.items[tools.positions[tool]] for tool in demo.tools])
            for demo in islice(shown, k)
        ]
