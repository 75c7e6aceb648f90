"""Query expansion: the generated queries, combined into those that the index is searched with."""

from __future__ import annotations

from collections.abc import Sequence

from toolret.types import Query

__all__ = ["expand_queries"]

_WIDENING = ("need", "tool")
"""The kinds of queries that add to the request's own words."""


def expand_queries(queries: Sequence[Query]) -> list[Query]:
    """Return the queries to search the index with: the given ones, and the expanded request.

    Needs written by an LLM say more than the request's own words, but may miss the point. If there
    are any, the first query is therefore the request expanded by all needs (after Wang et al.,
    *Query2doc*, 2023, arXiv:2303.07678), followed by the request itself and the other queries.

    Args:
        queries: The generated queries, the request itself first.
    """
    needs = [query.text for query in queries if query.kind in _WIDENING]
    if not needs:
        return list(queries)
    return [Query(" ".join([queries[0].text, *needs]), "request"), *queries]
