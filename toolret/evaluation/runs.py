"""Run an evaluation set through a retriever."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from toolret.errors import BudgetError, DemoError, InputError
from toolret.evaluation.metrics import mean, metric_values
from toolret.evaluation.misses import MISS_DEPTH, Miss, miss_of
from toolret.evaluation.statistics import Comparison, compare, confidence_interval
from toolret.evaluation.thresholds import (
    NeedRow,
    ScoreRow,
    calibration_error,
    need_rows,
    score_rows,
    separation,
)
from toolret.options import whole_number
from toolret.queries import Usage, as_request
from toolret.retrieval.retriever import ToolRetriever
from toolret.retrieval.selection import Selection
from toolret.rows import LabelledRequest, unique
from toolret.text.nearest import did_you_mean, nor_others
from toolret.types import Hit

__all__ = ["Report", "RunComparison", "check_requests", "evaluate"]


@dataclass(frozen=True, slots=True)
class RunComparison:
    """A comparison with another run, on the requests for which both have tools.

    Attributes:
        requests: The number of these requests, of those that have a right tool.
        metrics: The comparisons by metric; empty if there are no such requests.
    """

    requests: int
    metrics: Mapping[str, Comparison]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {
            "requests": self.requests,
            "metrics": {name: asdict(metric) for name, metric in self.metrics.items()},
        }


@dataclass(frozen=True, slots=True)
class Report:
    """Results of an evaluation.

    Attributes:
        values: Metric values, 0 to 1, by metric and request id, for requests with a right tool.
        intervals: 95 % confidence interval of the mean, by metric.
        seen: Means over the requests whose right tools all occur in demonstrations
            (interpolation). Empty if there are none.
        unseen: Means over the other requests with a right tool (extrapolation).
        auroc: Area under the ROC curve of the estimated need for a tool, as a predictor of whether
            a request has a right tool; None unless there are requests of both kinds.
        calibration_error: Expected calibration error of the scores, 0 to 1; None if no tool was
            ranked.
        by_score: Effect of a threshold on the tools' scores.
        by_need: Effect of a threshold on the requests' need for a tool.
        counts: Numbers of tools, demonstrations and requests; of requests answered with no tool,
            with and without a right tool; and of requests without a prompt because none of their
            tools fits the budget.
        tokens: Mean and largest size of the planned prompts, and whether counted exactly.
        seconds: Time by stage and in total: median and 95th percentile.
        runs: Ranked hits by request id; no entry for a request answered with no tool.
        llm: Use of an LLM for queries: its name, the strategy, calls, tokens, the number of
            requests that lack some or all of its queries, and the reasons, the commonest first,
            with the number of requests for each. Empty without an LLM.
        misses: The requests whose answer was not right, if they were asked for.
    """

    values: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, tuple[float, float]]
    seen: Mapping[str, float]
    unseen: Mapping[str, float]
    auroc: float | None
    calibration_error: float | None
    by_score: Sequence[ScoreRow]
    by_need: Sequence[NeedRow]
    counts: Mapping[str, int]
    tokens: Mapping[str, float | bool]
    seconds: Mapping[str, Mapping[str, float]]
    runs: Mapping[str, tuple[Hit, ...]]
    llm: Mapping[str, Any] = field(default_factory=dict)
    misses: Sequence[Miss] = ()

    @property
    def metrics(self) -> dict[str, float]:
        """Means over the requests that have a right tool, and the AUROC if there is one."""
        means = {name: mean(values) for name, values in self.values.items()}
        return means if self.auroc is None else means | {"AUROC": self.auroc}

    def against(
        self, gold: Mapping[str, Sequence[str]], runs: Mapping[str, Sequence[str]]
    ) -> RunComparison:
        """Compare each metric with that of another run, on the requests that both ranked tools for.

        A run does not tell a request that was answered with no tool from one that was never asked,
        so neither counts for or against it.

        Args:
            gold: Ids of the right tools by request id.
            runs: Ids of the other run's tools by request id, best first.
        """
        shared = {
            id_: tools
            for id_, tools in gold.items()
            if tools and runs.get(id_) and self.runs.get(id_)
        }
        theirs = metric_values(shared, runs)
        compared = {
            name: compare({id_: values[id_] for id_ in shared}, theirs[name])
            for name, values in self.values.items()
            if name in theirs
        }
        return RunComparison(len(shared), compared)

    def to_json(self) -> dict[str, Any]:
        """Return everything except the runs and the misses as plain JSON values."""
        return {
            "metrics": {name: round(value, 6) for name, value in self.metrics.items()},
            "intervals": {name: list(bounds) for name, bounds in self.intervals.items()},
            "seen": dict(self.seen),
            "unseen": dict(self.unseen),
            "calibration_error": self.calibration_error,
            "by_score": [asdict(row) for row in self.by_score],
            "by_need": [asdict(row) for row in self.by_need],
            "counts": dict(self.counts),
            "tokens": dict(self.tokens),
            "seconds": {stage: dict(times) for stage, times in self.seconds.items()},
            "llm": dict(self.llm),
        }


def check_requests(requests: Sequence[LabelledRequest]) -> None:
    """Check that each request can be asked.

    Raises:
        DemoError: If a conversation cannot be read; says in which file and line it stands.
    """
    for request in requests:
        try:
            as_request(request.messages or request.text)
        except InputError as error:
            raise DemoError(error.problem, place=request.origin) from error


def evaluate(
    retriever: ToolRetriever,
    requests: Sequence[LabelledRequest],
    *,
    k: int = 10,
    keep_all: bool = False,
    misses: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Run every request and measure the answers.

    Args:
        retriever: The retriever to evaluate.
        requests: The requests, with their right tools; of equal ones, one is run.
        k: The number of tools to rank per request; metrics look at no more than 10, and those that
            look at more than k are left out. They look at the ranking, whatever the retriever's
            ``max_tools``, and below its ``min_score`` too; ``Report.by_score`` tells what that
            leaves.
        keep_all: Whether to evaluate the ranking of every request, even where the answer is no
            tool.
        misses: Whether to report which requests were not answered right, with the ranks of their
            tools.
        progress: A function that is called after each request, with the text ``requests``, how many
            requests are done, and how many there are.

    Raises:
        DemoError: If a request names a tool that the index does not hold, or cannot be asked, or
            two different requests share an id.
        InputError: If ``k`` is no whole number of 1 or more.
    """
    k = whole_number("k", k)
    requests = unique(requests, error=DemoError)
    check_requests(requests)
    index = retriever.index
    unknown = [(r, tool) for r in requests for tool in r.tools if tool not in index]
    if unknown:
        request, first = unknown[0]
        raise DemoError(
            f"request {request.id!r} names the tool {first!r}, which the index does not hold"
            f"{nor_others(first, (tool for _, tool in unknown))}: correct the id, or index its "
            f"catalog{did_you_mean(first, (tool.id for tool in index))}",
            place=request.origin,
        )
    answers = _ask_all(
        retriever, requests, k=k, keep_all=keep_all, misses=misses, progress=progress
    )
    return _report(retriever, requests, answers, k=k)


@dataclass(frozen=True, slots=True)
class _Answers:
    """The answers of a retriever to a set of requests.

    Attributes:
        runs: Ranked hits by request id; no entry for a request answered with no tool.
        scored: The same and those of requests that lack a tool only for the minimum score: what
            other minimum scores would choose from.
        needs: Estimated need for a tool by request id, 0 to 1.
        tokens: Size of each prompt that fits the budget.
        seconds: Times of all requests by stage, and in total as ``all``.
        usages: Use of an LLM for each request.
        misses: Requests whose answer was not right, if they were asked for.
    """

    runs: dict[str, tuple[Hit, ...]] = field(default_factory=dict)
    scored: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    needs: dict[str, float] = field(default_factory=dict)
    tokens: list[int] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    usages: list[Usage] = field(default_factory=list)
    misses: list[Miss] = field(default_factory=list)


def _ask_all(
    retriever: ToolRetriever,
    requests: Sequence[LabelledRequest],
    *,
    k: int,
    keep_all: bool,
    misses: bool,
    progress: Callable[[str, int, int], None] | None,
) -> _Answers:
    """Select tools for every request; ``evaluate`` describes the arguments."""
    answers = _Answers()
    depth = max(k, MISS_DEPTH) if misses else k
    for done, request in enumerate(requests, start=1):
        selection, fits = _select(retriever, request, depth)
        answers.usages.append(selection.usage)
        hits, answered = selection.ranked[:k], bool(selection.tools) or keep_all
        if answered:
            answers.runs[request.id] = hits
        if answered or selection.need >= selection.need_threshold:
            answers.scored[request.id] = [(hit.tool.id, hit.score) for hit in hits]
        answers.needs[request.id] = selection.need
        if fits:
            answers.tokens.append(selection.tokens)
        if misses and (miss := miss_of(request, selection, k=k, keep_all=keep_all)):
            answers.misses.append(miss)
        for stage, taken in selection.seconds.items():
            answers.seconds.setdefault(stage, []).append(taken)
        answers.seconds.setdefault("all", []).append(sum(selection.seconds.values()))
        if progress:
            progress("requests", done, len(requests))
    return answers


def _report(
    retriever: ToolRetriever, requests: Sequence[LabelledRequest], answers: _Answers, *, k: int
) -> Report:
    """Measure the answers to the requests."""
    runs, scored, needs, index = answers.runs, answers.scored, answers.needs, retriever.index
    gold = {request.id: request.tools for request in requests}
    ranked = {id_: [hit.tool.id for hit in hits] for id_, hits in runs.items()}
    values = metric_values(gold, ranked, most=k)
    demonstrated = {tool for demo in index.demos for tool in demo.tools}
    seen = {id_ for id_, tools in gold.items() if tools and demonstrated.issuperset(tools)}
    needing = {id_ for id_, tools in gold.items() if tools}
    return Report(
        values=values,
        intervals={
            name: confidence_interval(list(by_request.values()))
            for name, by_request in values.items()
        },
        seen=_means_over(values, seen),
        unseen=_means_over(values, needing - seen),
        auroc=separation(gold, needs),
        calibration_error=calibration_error(gold, scored),
        by_score=score_rows(gold, scored),
        by_need=need_rows(gold, needs),
        counts={
            "tools": len(index),
            "demos": len(index.demos),
            "requests": len(gold),
            "answerable": len(needing),
            "answerable_without_tool": len(needing - runs.keys()),
            "unanswerable": len(gold) - len(needing),
            "unanswerable_without_tool": len(gold.keys() - needing - runs.keys()),
            "seen": len(seen),
            "over_budget": len(requests) - len(answers.tokens),
        },
        tokens={
            "mean": float(np.mean(answers.tokens or [0])),
            "most": max(answers.tokens, default=0),
            "exact": retriever.counter.exact,
        },
        seconds={
            stage: {f"p{at}": float(np.percentile(taken, at)) for at in (50, 95)}
            for stage, taken in answers.seconds.items()
        },
        runs=runs,
        llm=_llm_figures(answers.usages),
        misses=answers.misses,
    )


def _select(
    retriever: ToolRetriever, request: LabelledRequest, depth: int
) -> tuple[Selection, bool]:
    """Select tools for a request; also return whether any of them fits the budget."""
    conversation = request.messages or request.text
    try:
        return retriever.select(conversation, depth=depth), True
    except BudgetError:  # rank the tools anyway
        return retriever.select(conversation, depth=depth, token_budget=sys.maxsize), False


def _llm_figures(usages: Sequence[Usage]) -> dict[str, Any]:
    """Return ``Report.llm``."""
    if not (usages and usages[0].model):
        return {}
    read, wrote = (
        [getattr(usage, f"{way}_tokens") for usage in usages] for way in ("input", "output")
    )
    failures = Counter(usage.failure for usage in usages if usage.failure)
    return {
        "model": usages[0].model,
        "strategy": usages[0].strategy,
        "calls": sum(usage.calls for usage in usages),
        "input_tokens": None if None in read else sum(read),
        "output_tokens": None if None in wrote else sum(wrote),
        "failed": failures.total(),
        "failures": dict(failures.most_common()),
    }


def _means_over(values: Mapping[str, Mapping[str, float]], requests: set[str]) -> dict[str, float]:
    """Return the mean of each metric over some requests; empty if there are none."""
    if not requests:
        return {}
    return {
        name: mean({id_: value for id_, value in by_request.items() if id_ in requests})
        for name, by_request in values.items()
    }
