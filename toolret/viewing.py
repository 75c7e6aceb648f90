"""``IndexView``: what query generators may see of an index."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from toolret.permissions import Allow
from toolret.queries import sought
from toolret.reader import Reader
from toolret.signals import top
from toolret.types import Demo, Query, Request, Tool

__all__ = ["IndexView"]


class IndexView:
    """An index as far as one caller may use it.

    Args:
        reader: Gives the reader of the latest snapshot. It is not called before something is
            looked up, for making one can take a while.
        allow: What the caller may use; the rest is not in the index to this view.
    """

    def __init__(self, reader: Callable[[], Reader], allow: Allow) -> None:
        self._reader = reader
        self._allow = allow

    def tools(self, queries: Sequence[Query], most: int) -> Sequence[Tool]:
        """The tools that these queries find, best first; the first query is the request."""
        reader = self._reader()
        compared = reader.searcher.compare(*reader.embed(sought(queries)))
        allowed = reader.allowed(self._allow)
        ranking = reader.rank(
            Request(queries[0].text), compared, allowed, most=most, recall=1, precision=None
        )
        return [hit.tool for hit in ranking.hits]

    def demos(self, text: str, most: int) -> Sequence[tuple[Demo, Sequence[Tool]]]:
        """The demonstrations nearest to a text, each with its tools.

        None with a forbidden tool, nor with one that is not in the index, of which nobody can say
        who may see it.
        """
        reader = self._reader()
        tools, demos = reader.snapshot.tools, reader.snapshot.demos
        if not demos.items:
            return []
        may_show = reader.may_show(self._allow, reader.allowed(self._allow))
        shown = [
            place
            for place, demo in enumerate(demos.items)
            if demo.tools
            and all(tool in tools.positions for tool in demo.tools)
            and (may_show is None or may_show(demo))
        ]
        _, as_demos = reader.searcher.embed([text])
        cosines = demos.vectors[shown] @ as_demos[0]
        nearest = [demos.items[shown[place]] for place in top(cosines, most)]
        return [
            (demo, [tools.items[tools.positions[tool]] for tool in demo.tools]) for demo in nearest
        ]
