"""Running an evaluation set through a retriever."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolret.errors import DemoError
from toolret.evaluation.metrics import evaluate
from toolret.retriever import ToolRetriever
from toolret.rows import LabelledRequest
from toolret.types import Hit

__all__ = ["Report", "run"]


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found.

    Attributes:
        metrics: Means over the requests that have a right tool, 0 to 1.
        counts: Tools, demonstrations, requests, and how many were answered with no tool, of
            those that have a right tool and of those that have none.
        seconds: For all requests together, and for one at the median and the 95th percentile.
        runs: Ranked hits by request id; none for a request that was answered with no tool.
    """

    metrics: Mapping[str, float]
    counts: Mapping[str, int]
    seconds: Mapping[str, float]
    runs: Mapping[str, tuple[Hit, ...]]

    def to_json(self) -> dict[str, Any]:
        """Metrics, counts and timings as plain JSON."""
        return {
            "metrics": {name: round(value, 6) for name, value in self.metrics.items()},
            "counts": dict(self.counts),
            "seconds": {name: round(value, 6) for name, value in self.seconds.items()},
        }


def run(
    retriever: ToolRetriever,
    requests: Sequence[LabelledRequest],
    *,
    k: int = 10,
    keep_all: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Ask every request and measure the answers.

    Args:
        retriever: What is evaluated.
        requests: Requests with their right tools.
        k: How many tools to rank for a request; the metrics look at 10 at most.
        keep_all: Rank tools for every request, also where the answer would be no tool.
        progress: Called after each request.

    Raises:
        DemoError: If a request names a tool that the index does not hold.
    """
    for request in requests:
        unknown = [tool for tool in request.tools if tool not in retriever.index]
        if unknown:
            raise DemoError(
                f"request {request.id!r} names the tool {unknown[0]!r}, which the index does not "
                "hold: correct the id, or index its catalog",
                place=request.origin,
            )
    runs: dict[str, tuple[Hit, ...]] = {}
    seconds: list[float] = []
    for done, request in enumerate(requests, start=1):
        started = time.perf_counter()
        hits = retriever.search(request.text, k=k, keep_all=keep_all)
        seconds.append(time.perf_counter() - started)
        if hits:
            runs[request.id] = hits
        if progress:
            progress("requests", done, len(requests))
    ranked = {id_: [hit.tool.id for hit in hits] for id_, hits in runs.items()}
    answerable = [request for request in requests if request.tools]
    return Report(
        metrics=evaluate({request.id: request.tools for request in requests}, ranked),
        counts={
            "tools": len(retriever.index),
            "demos": len(retriever.index.demos),
            "requests": len(requests),
            "answerable": len(answerable),
            "answerable_without_tool": sum(request.id not in runs for request in answerable),
            "unanswerable": len(requests) - len(answerable),
            "unanswerable_without_tool": sum(
                not request.tools and request.id not in runs for request in requests
            ),
        },
        seconds={
            "all": sum(seconds),
            "p50": _percentile(seconds, 0.50),
            "p95": _percentile(seconds, 0.95),
        },
        runs=runs,
    )


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))] if ordered else 0.0
