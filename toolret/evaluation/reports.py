"""Reports for people, and thresholds for CI."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolret.console import count_of
from toolret.evaluation.metrics import DEPTHS
from toolret.evaluation.runs import Report, RunComparison

__all__ = [
    "Requirement",
    "commonest_failure",
    "parse_requirement",
    "report_lines",
    "unmet_requirements",
]

_LONG_NAMES = {"C": "COMP", "N": "nDCG", "H": "Hit"}
"""The names of metrics by their short forms in a requirement."""

_METRICS_AT_K = ("COMP", "R", "nDCG", "Hit")
"""The metrics that are computed at each of ``DEPTHS``, in the order of the report."""

_OTHER_METRICS = ("MRR", "AUROC")
"""The metrics that have no ``@k``, in the order of the report."""

_COMPARED_DECIMALS = 9
"""The decimals of a percentage that are compared; further ones are rounding errors of a sum."""

_SPLIT_METRICS = ("R@5", "COMP@5", "nDCG@10")
"""Metrics that are shown separately for requests with demonstrated tools; the JSON has all."""

_SHOWN_AT = {"R": 5, "nDCG": 10}
"""Metrics besides ``COMP`` that are shown, each at this k or the greatest measured one below it."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A metric and the least value that it has to reach, in percent."""

    metric: str
    least: float

    @property
    def depth(self) -> int:
        """The number of ranked tools that the metric looks at; 0 if it looks at none."""
        return DEPTHS[-1] if self.metric == "MRR" else int(self.metric.partition("@")[2] or 0)


def parse_requirement(text: str) -> Requirement:
    """Parse ``COMP@5=80`` or short ``C@5=80``; also ``R@k``, ``nDCG@k``, ``MRR``, ``AUROC``.

    Raises:
        ValueError: If it is none of these, asks for more than 100, or seems to be a fraction.
    """
    match = re.fullmatch(r"([A-Za-z]+)(@\d+)?=(\d+(?:\.\d+)?)", text)
    if not match:
        raise ValueError(f"{text!r} is not of the form METRIC=PERCENT, such as C@5=80")
    name, depth, least = match.groups()
    metric = _LONG_NAMES.get(name, name) + (depth or "")
    known = [f"{name}@{k}" for name in _METRICS_AT_K for k in DEPTHS] + list(_OTHER_METRICS)
    if metric not in known:
        raise ValueError(f"{metric} is not measured; measured are {', '.join(known)}")
    if 0 < float(least) <= 1:
        raise ValueError(
            f"{text!r} asks for {least} %, for these are percentages: write "
            f"{name}{depth or ''}={100 * float(least):g}"
        )
    if float(least) > 100:
        raise ValueError(f"{text!r} asks for more than 100 %")
    return Requirement(metric, float(least))


def unmet_requirements(report: Report, requirements: Sequence[Requirement]) -> list[str]:
    """Return a sentence for each requirement that a report does not meet."""
    problems = []
    for requirement in requirements:
        metric, least = requirement.metric, requirement.least
        if metric not in report.metrics:
            known = ", ".join(report.metrics)
            problems.append(f"{metric} was not measured; measured were: {known}")
        elif (value := round(100 * report.metrics[metric], _COMPARED_DECIMALS)) < least:
            problems.append(f"{metric} is {_format_below(value, least)}, less than {least:g}")
    return problems


def _format_below(value: float, least: float) -> str:
    """Format a value with just enough decimals to show that it is less than another."""
    texts = (f"{value:.{decimals}f}" for decimals in range(1, _COMPARED_DECIMALS + 1))
    return next(text for text in texts if float(text) < least)


def report_lines(
    report: Report, *, more: Collection[str] = (), against: RunComparison | None = None
) -> Iterator[str]:
    """Yield the report's lines; metrics are in percent.

    Args:
        report: The report.
        more: The names of metrics to show besides those that are always shown.
        against: A comparison with another run.
    """
    counts = report.counts
    yield (
        f"{count_of(counts['tools'], 'tool')}, {count_of(counts['demos'], 'demonstration')}, "
        f"{count_of(counts['requests'], 'request')}"
    )
    if against:
        yield (
            f"compared with the other run on {against.requests} of "
            f"{counts['answerable']} requests that have a right tool: those for which "
            "both runs rank tools"
        )
    yield from _metric_lines(report, more, against)
    split = [name for name in _SPLIT_METRICS if name in report.metrics]
    if report.seen and report.unseen and split:
        for kind, means, count in (
            ("all right tools demonstrated", report.seen, counts["seen"]),
            ("some not", report.unseen, counts["answerable"] - counts["seen"]),
        ):
            figures = ", ".join(f"{name} {100 * means[name]:.1f}" for name in split)
            yield f"{kind} ({count_of(count, 'request')}): {figures}"
    yield from _threshold_lines(report)
    if counts["unanswerable"]:
        yield (
            f"no tool for: {counts['unanswerable_without_tool']} of "
            f"{counts['unanswerable']} requests that need none, "
            f"{counts['answerable_without_tool']} of {counts['answerable']} that need one"
        )
    if report.llm:
        yield from _llm_lines(report.llm)
    mean, most = report.tokens["mean"], report.tokens["most"]
    about = "" if report.tokens["exact"] else " (estimates that err high)"
    yield f"prompt: {mean:.0f} tokens in the mean, the longest {most:.0f}{about}"
    if counts["over_budget"]:
        yield (
            f"no prompt: {count_of(counts['over_budget'], 'request')}, none of whose tools fits "
            "the budget"
        )
    times = report.seconds.get("all")
    if times:
        median, most_take = 1000 * times["p50"], 1000 * times["p95"]
        yield f"time: {median:.1f} ms a request in the median, 95 % take at most {most_take:.1f} ms"


def _metric_lines(
    report: Report, more: Collection[str], against: RunComparison | None
) -> Iterator[str]:
    """Yield the table of metrics: a heading if there are values, and a row for each metric."""
    if report.values:
        columns = ("difference", "95 % interval", "p") if against else ()
        yield _table_row("", "%", "95 % interval", *columns)
    for name in _metrics_to_show(report, more, against):
        cells = [""]
        if name in report.intervals:
            low, high = report.intervals[name]
            cells = [f"[{100 * low:.1f}, {100 * high:.1f}]"]
        if against and name in against.metrics:
            comparison = against.metrics[name]
            low, high = comparison.interval
            cells += [
                f"{100 * comparison.difference:+.1f}",
                f"[{100 * low:+.1f}, {100 * high:+.1f}]",
                f"{comparison.p_value:.3f}",
            ]
        yield _table_row(name, f"{100 * report.metrics[name]:.1f}", *cells)


def _table_row(name: str, value: str, *cells: str) -> str:
    """Lay out a row: a metric, its value and interval, and how it differs from another run."""
    widths = (16, 10, 16, 6)
    sides = ("<", ">", "<", ">")
    rest = "".join(
        f"  {cell:{side}{width}}" for cell, side, width in zip(cells, sides, widths, strict=False)
    )
    return f"{name:8}{value:>6}{rest}".rstrip()


def _metrics_to_show(
    report: Report, more: Collection[str], against: RunComparison | None
) -> list[str]:
    """Choose the metrics to show, in the report's order.

    Where each request has one right tool, recall says what ``COMP`` says.
    """
    compared = against.metrics if against else {}
    names = [f"COMP@{k}" for k in DEPTHS]
    for metric, most in _SHOWN_AT.items():
        at_k = [name for k in DEPTHS if k <= most and (name := f"{metric}@{k}") in report.values]
        names += at_k[-1:]
    redundant = {
        recall
        for recall, comp in ((f"R@{k}", f"COMP@{k}") for k in DEPTHS)
        if report.values.get(recall) == report.values.get(comp)
        and compared.get(recall) == compared.get(comp)
    }
    wanted = {*names, "AUROC"} - redundant | set(more)
    order = [*(f"{name}@{k}" for name in _METRICS_AT_K for k in DEPTHS), *_OTHER_METRICS]
    return [name for name in order if name in wanted and name in report.metrics]


def commonest_failure(llm: Mapping[str, Any]) -> str:
    """Return the most frequent reason of the LLM's failures, with the number of requests."""
    reason, times = max(llm["failures"].items(), key=lambda pair: pair[1])
    return f"{reason} ({count_of(times, 'request')})"


def _llm_lines(llm: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines on the use of an LLM, which is ``Report.llm``."""
    read, wrote = (
        "an unknown number of" if tokens is None else tokens
        for tokens in (llm["input_tokens"], llm["output_tokens"])
    )
    yield (
        f"queries: {llm['strategy']} by {llm['model']}: {count_of(llm['calls'], 'call')}, {read} "
        f"tokens read, {wrote} written; {count_of(llm['failed'], 'request')} without some or all "
        "of them"
    )
    if llm["failures"]:
        yield f"the LLM failed, most often: {commonest_failure(llm)}"


def _threshold_lines(report: Report) -> Iterator[str]:
    """Yield the tables of thresholds on scores and on need."""
    if report.values and report.calibration_error is not None:
        yield f"calibration error {100 * report.calibration_error:.1f}; with tools from a score on:"
        yield "  score   tools  recall  complete"
        for row in report.by_score:
            yield (
                f"  {row.threshold:5.2f}  {row.tools:6.1f}  {_percent(row.recall):>6}"
                f"  {_percent(row.complete):>8}"
            )
    if report.counts["unanswerable"]:
        yield "tools only for requests from an estimated need for them on:"
        yield "   need  answered  silent where there is no tool"
        for step in report.by_need:
            yield (
                f"  {step.threshold:5.2f}  {_percent(step.answered):>8}  {_percent(step.silent):>6}"
            )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
