"""Requests whose answer was not right: their right tools, and what was ranked first instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toolret.retrieval.selection import Selection
from toolret.rows import LabelledRequest

__all__ = ["MISS_DEPTH", "Miss", "RankedTool", "miss_lines", "miss_of"]

MISS_DEPTH = 100
"""The number of tools ranked per request to find the ranks of its right tools."""

_FIRST_SHOWN = 3
"""The number of first-ranked tools that are shown for a miss."""


@dataclass(frozen=True, slots=True)
class RankedTool:
    """A right tool of a request, with its rank.

    Attributes:
        tool: The id of the tool.
        rank: Its rank, from 1; None if it is not among the tools that were ranked.
    """

    tool: str
    rank: int | None


@dataclass(frozen=True, slots=True)
class Miss:
    """A request whose answer was not right.

    Attributes:
        request: The id of the request.
        text: The text of the request; in a conversation, the user's last message.
        wanted: The right tools; empty if no tool is right.
        first: The ids of the first-ranked tools, with their scores.
        need: The estimated probability that the request needs a tool.
        no_tool: Whether the request was answered with no tool, whatever the ranking.
    """

    request: str
    text: str
    wanted: tuple[RankedTool, ...]
    first: tuple[tuple[str, float], ...]
    need: float
    no_tool: bool

    def to_json(self) -> dict[str, Any]:
        """Return the miss as JSON values."""
        first = [{"tool": id_, "score": score} for id_, score in self.first]
        return asdict(self) | {"wanted": [asdict(tool) for tool in self.wanted], "first": first}


def miss_of(
    request: LabelledRequest, selection: Selection, *, k: int, keep_all: bool
) -> Miss | None:
    """Return what a selection missed; None if the selection is right.

    Args:
        request: The request.
        selection: The selection for the request.
        k: The number of first-ranked tools among which all right tools have to be.
        keep_all: Whether only the ranking counts, and not whether the answer was no tool.
    """
    ranks = {hit.tool.id: rank for rank, hit in enumerate(selection.ranked, start=1)}
    wanted = tuple(RankedTool(id_, ranks.get(id_)) for id_ in request.tools)
    no_tool = not (selection.tools or keep_all)
    if wanted:
        right = not no_tool and all(tool.rank and tool.rank <= k for tool in wanted)
    else:
        right = no_tool or keep_all
    if right:
        return None
    first = tuple((hit.tool.id, hit.score) for hit in selection.ranked[:_FIRST_SHOWN])
    return Miss(request.id, request.text, wanted, first, selection.need, no_tool)


def miss_lines(misses: Sequence[Miss], *, k: int, requests: int) -> Iterator[str]:
    """Yield lines for people: each missed request, its right tools, and what came first.

    Args:
        misses: The misses.
        k: The number of first-ranked tools among which all right tools have to be.
        requests: The number of all requests.
    """
    yield ""
    yield (
        f"missed: {len(misses)} of {requests} requests; a request is missed unless all "
        f"of its right tools are among the first {k}"
    )
    for miss in misses:
        yield f"{miss.request}: {' '.join(miss.text.split())}"
        wanted = ", ".join(f"{tool.tool} ({_rank_in_words(tool.rank)})" for tool in miss.wanted)
        yield f"    wanted: {wanted or 'no tool'}"
        if miss.no_tool:
            yield f"    answered with no tool: p = {miss.need:.3f} that one is needed"
        first = ", ".join(f"{id_} ({score:.2f})" for id_, score in miss.first)
        yield f"    first: {first or 'nothing'}"


def _rank_in_words(rank: int | None) -> str:
    return f"rank {rank}" if rank else "not ranked"
