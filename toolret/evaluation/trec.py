"""Runs in the standard TREC form, for other people's evaluation tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from toolret.types import Hit

__all__ = ["trec_lines"]

_SYSTEM = "toolret"


def trec_lines(runs: Mapping[str, Sequence[Hit]]) -> Iterator[str]:
    """Lines ``qid Q0 tool_id rank score toolret``, ranks from 1, ids URL-quoted.

    TREC's tools sort by score and not by rank, so scores that the ranking did not keep in order
    (a tool that was put first for its exact name) are lowered to the one before.
    """
    for request_id, hits in runs.items():
        ceiling = float("inf")
        for rank, hit in enumerate(hits, start=1):
            ceiling = min(ceiling, hit.score)
            tool = quote(hit.tool.id, safe="")
            yield f"{quote(request_id, safe='')} Q0 {tool} {rank} {ceiling:.6f} {_SYSTEM}"
