"""Write and read runs in the standard TREC format, for exchange with other evaluation tools."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from toolret.errors import ToolretError
from toolret.types import Hit

__all__ = ["read_trec", "trec_lines"]

_SYSTEM = "toolret"
"""The name of the run, which ends each line."""

_MINUS_INFINITY = np.float32("-inf")
"""The number towards which a tied score is lowered."""


def trec_lines(runs: Mapping[str, Sequence[Hit]]) -> Iterator[str]:
    """Yield lines ``qid Q0 tool_id rank score toolret``, ranks from 1, ids URL-quoted.

    TREC tools sort by score rather than rank, and ties by id. Where the ranking does not follow the
    scores (a tool ranked first for its exact name), a score is therefore lowered to just below the
    previous one, in the single precision of ``trec_eval``.
    """
    for request_id, hits in runs.items():
        score = np.float32("inf")
        for rank, hit in enumerate(hits, start=1):
            score = min(np.float32(hit.score), np.nextafter(score, _MINUS_INFINITY))
            tool = quote(hit.tool.id, safe="")
            yield f"{quote(request_id, safe='')} Q0 {tool} {rank} {score:.9g} {_SYSTEM}"


def read_trec(path: Path) -> dict[str, list[str]]:
    """Read the ranked tool ids by request id, best first: by score, ties by rank.

    A tool that is listed again further down counts once, at its best place.

    Raises:
        ToolretError: If the file cannot be read as a run.
    """
    places_by_request: dict[str, list[tuple[float, int, str]]] = {}
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ToolretError(f"{path}: cannot be read as a TREC run: {reason}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            request, _, tool, rank, score, _ = line.split()
            place = (-float(score), int(rank), unquote(tool))
            if math.isnan(place[0]):
                raise ValueError("nothing is above or below it")
        except ValueError:
            raise ToolretError(
                f"{path}, line {number}: is not of the form 'qid Q0 tool_id rank score name'; "
                "--against takes what --run wrote"
            ) from None
        places_by_request.setdefault(unquote(request), []).append(place)
    return {
        request: list(dict.fromkeys(tool for _, _, tool in sorted(places)))
        for request, places in places_by_request.items()
    }
