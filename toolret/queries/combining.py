"""Queries put together: what the index is compared with."""

from __future__ import annotations

from collections.abc import Sequence

from toolret.types import Query

__all__ = ["sought"]

_WIDENING = ("need", "tool")
"""Kinds of queries that tell more than the request's own words."""


def sought(queries: Sequence[Query]) -> list[Query]:
    """What the index is compared with, the whole request first.

    What an LLM says is needed tells more than the request's own words, but may miss the point. So
    the whole is then the request with all that is needed (the expansion of Wang et al.,
    *Query2doc*, 2023, arXiv:2303.07678), and the request itself is one of the parts.
    """
    needs = [query.text for query in queries if query.kind in _WIDENING]
    if not needs:
        return list(queries)
    return [Query(" ".join([queries[0].text, *needs]), "request"), *queries]
