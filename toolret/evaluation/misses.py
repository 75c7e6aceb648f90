"""Requests whose answer was not right: what was wanted, and what came in its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toolret.retrieval.selection import Selection
from toolret.rows import LabelledRequest

__all__ = ["LOOKED_AT", "Miss", "Wanted", "miss_lines", "miss_of"]

LOOKED_AT = 100
"""How many tools to rank to say at which rank a wanted one is."""

_FIRST = 3
"""How many of the tools that came first to show."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A right tool, and its rank from 1; None if it is not among those that were ranked."""

    tool: str
    rank: int | None


@dataclass(frozen=True, slots=True)
class Miss:
    """A request whose answer was not right.

    Attributes:
        request: Its id.
        text: What the user asked last.
        wanted: Its right tools; empty if no tool is right.
        first: The tools that came first, with their scores.
        need: The estimated probability that it needs a tool.
        no_tool: Whether it was answered with no tool, whatever the ranking.
    """

    request: str
    text: str
    wanted: tuple[Wanted, ...]
    first: tuple[tuple[str, float], ...]
    need: float
    no_tool: bool

    def to_json(self) -> dict[str, Any]:
        """Return the miss as JSON values."""
        first = [{"tool": tool, "score": score} for tool, score in self.first]
        return asdict(self) | {"wanted": [asdict(each) for each in self.wanted], "first": first}


def miss_of(
    request: LabelledRequest, selection: Selection, *, k: int, keep_all: bool
) -> Miss | None:
    """Return what a selection missed; None if it is right.

    Args:
        request: The request.
        selection: What was selected for it.
        k: All right tools have to be among the first ``k``.
        keep_all: Whether only the ranking counts, and not whether it was answered with no tool.
    """
    ranks = {hit.tool.id: rank for rank, hit in enumerate(selection.ranked, start=1)}
    wanted = tuple(Wanted(tool, ranks.get(tool)) for tool in request.tools)
    no_tool = not (selection.tools or keep_all)
    if wanted:
        right = not no_tool and all(each.rank and each.rank <= k for each in wanted)
    else:
        right = no_tool or keep_all
    if right:
        return None
    first = tuple((hit.tool.id, hit.score) for hit in selection.ranked[:_FIRST])
    return Miss(request.id, request.text, wanted, first, selection.need, no_tool)


def miss_lines(misses: Sequence[Miss], *, k: int, requests: int) -> Iterator[str]:
    """Yield lines for people: each missed request, its right tools, and what came first.

    Args:
        misses: The misses.
        k: Among how many tools all right ones have to be.
        requests: The number of all requests.
    """
    yield ""
    yield (
        f"missed: {len(misses)} of {requests} requests; a request is missed unless all "
        f"of its right tools are among the first {k}"
    )
    for miss in misses:
        yield f"{miss.request}: {' '.join(miss.text.split())}"
        wanted = ", ".join(f"{each.tool} ({_place(each.rank)})" for each in miss.wanted)
        yield f"    wanted: {wanted or 'no tool'}"
        if miss.no_tool:
            yield f"    answered with no tool: p = {miss.need:.3f} that one is needed"
        first = ", ".join(f"{tool} ({score:.2f})" for tool, score in miss.first)
        yield f"    first: {first or 'nothing'}"


def _place(rank: int | None) -> str:
    return f"rank {rank}" if rank else "not ranked"
