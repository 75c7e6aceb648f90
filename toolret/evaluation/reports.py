"""Reports for people, and thresholds for CI."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolret.console import counted
from toolret.evaluation.metrics import DEPTHS
from toolret.evaluation.runs import Against, Report

__all__ = ["Requirement", "commonest_failure", "missed", "parse_requirement", "report_lines"]

_SHORT = {"C": "COMP", "N": "nDCG", "H": "Hit"}
_AT_DEPTHS = ("COMP", "R", "nDCG", "Hit")
_WHOLE = ("MRR", "AUROC")
_MOST = 100

_DIGITS = 9
"""Decimals of a percentage to compare; further ones are rounding errors of a sum."""

_SPLIT_METRICS = ("R@5", "COMP@5", "nDCG@10")
"""Metrics shown separately for requests with demonstrated tools; the JSON has all."""

_SHOWN_AT = {"R": 5, "nDCG": 10}
"""Metrics besides ``COMP`` that are shown, each at this depth or the greatest one below it."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A metric and its least value, 0 to 100."""

    metric: str
    least: float

    @property
    def depth(self) -> int:
        """How many ranked tools the metric looks at; 0 if none."""
        return DEPTHS[-1] if self.metric == "MRR" else int(self.metric.partition("@")[2] or 0)


def parse_requirement(text: str) -> Requirement:
    """Parse ``COMP@5=80`` or short ``C@5=80``; also ``R@k``, ``nDCG@k``, ``MRR``, ``AUROC``.

    Raises:
        ValueError: If it is none of these, asks for more than 100, or seems to be a fraction.
    """
    found = re.fullmatch(r"([A-Za-z]+)(@\d+)?=(\d+(?:\.\d+)?)", text)
    if not found:
        raise ValueError(f"{text!r} is not of the form METRIC=PERCENT, such as C@5=80")
    name, depth, least = found.groups()
    metric = _SHORT.get(name, name) + (depth or "")
    known = [f"{name}@{k}" for name in _AT_DEPTHS for k in DEPTHS] + list(_WHOLE)
    if metric not in known:
        raise ValueError(f"{metric} is not measured; measured are {', '.join(known)}")
    if 0 < float(least) <= 1:
        raise ValueError(
            f"{text!r} asks for {least} %, for these are percentages: write "
            f"{name}{depth or ''}={100 * float(least):g}"
        )
    if float(least) > _MOST:
        raise ValueError(f"{text!r} asks for more than 100 %")
    return Requirement(metric, float(least))


def missed(report: Report, requirements: Sequence[Requirement]) -> list[str]:
    """Describe each requirement that the report does not meet, in one sentence."""
    problems = []
    for wanted in requirements:
        if wanted.metric not in report.metrics:
            known = ", ".join(report.metrics)
            problems.append(f"{wanted.metric} was not measured; measured were: {known}")
        elif (value := round(100 * report.metrics[wanted.metric], _DIGITS)) < wanted.least:
            shown = _lesser(value, wanted.least)
            problems.append(f"{wanted.metric} is {shown}, less than {wanted.least:g}")
    return problems


def _lesser(value: float, least: float) -> str:
    """Format a value with just enough digits to show that it is less."""
    shown = (f"{value:.{digits}f}" for digits in range(1, _DIGITS + 1))
    return next(text for text in shown if float(text) < least)


def report_lines(
    report: Report, *, more: Collection[str] = (), against: Against | None = None
) -> Iterator[str]:
    """Yield the report's lines; metrics are in percent.

    Args:
        report: The report, whose JSON has all metrics.
        more: Metrics to show besides those that are always shown.
        against: A comparison with another run.
    """
    counts = report.counts
    yield (
        f"{counted(counts['tools'], 'tool')}, {counted(counts['demos'], 'demonstration')}, "
        f"{counted(counts['requests'], 'request')}"
    )
    if against:
        yield (
            f"compared with the other run on {against.requests} of "
            f"{counts['answerable']} requests that have a right tool: those for which "
            "both runs rank tools"
        )
    if report.values:
        columns = ("difference", "95 % interval", "p") if against else ()
        yield _columns("", "%", "95 % interval", *columns)
    for name in _shown(report, more):
        cells = ["", *[""] * 3 * bool(against)]
        if name in report.intervals:
            low, high = report.intervals[name]
            cells[0] = f"[{100 * low:.1f}, {100 * high:.1f}]"
        if against and name in against.metrics:
            found = against.metrics[name]
            low, high = found.interval
            cells[1:] = [
                f"{100 * found.difference:+.1f}",
                f"[{100 * low:+.1f}, {100 * high:+.1f}]",
                f"{found.p_value:.3f}",
            ]
        yield _columns(name, f"{100 * report.metrics[name]:.1f}", *cells)
    split = [name for name in _SPLIT_METRICS if name in report.metrics]
    if report.seen and report.unseen and split:
        for kind, means, count in (
            ("all right tools demonstrated", report.seen, counts["seen"]),
            ("some not", report.unseen, counts["answerable"] - counts["seen"]),
        ):
            figures = ", ".join(f"{name} {100 * means[name]:.1f}" for name in split)
            yield f"{kind} ({counted(count, 'request')}): {figures}"
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
            f"no prompt: {counted(counts['over_budget'], 'request')}, none of whose tools fits "
            "the budget"
        )
    times = report.seconds.get("all")
    if times:
        median, most_take = 1000 * times["p50"], 1000 * times["p95"]
        yield f"time: {median:.1f} ms a request in the median, 95 % take at most {most_take:.1f} ms"


def _columns(name: str, value: str, *cells: str) -> str:
    """Lay out a row: a metric, its value and interval, and how it differs from another run."""
    widths = (16, 10, 16, 6)
    sides = ("<", ">", "<", ">")
    rest = "".join(
        f"  {cell:{side}{width}}" for cell, side, width in zip(cells, sides, widths, strict=False)
    )
    return f"{name:8}{value:>6}{rest}".rstrip()


def _shown(report: Report, more: Collection[str]) -> list[str]:
    """Choose the metrics to show, in the report's order.

    Where each request has one right tool, recall says what ``COMP`` says.
    """
    names = [f"COMP@{k}" for k in DEPTHS]
    for metric, most in _SHOWN_AT.items():
        found = [name for k in DEPTHS if k <= most and (name := f"{metric}@{k}") in report.values]
        names += found[-1:]
    same = {
        f"R@{k}" for k in DEPTHS if report.values.get(f"R@{k}") == report.values.get(f"COMP@{k}")
    }
    wanted = {*names, "AUROC"} - same | set(more)
    order = [*(f"{name}@{k}" for name in _AT_DEPTHS for k in DEPTHS), *_WHOLE]
    return [name for name in order if name in wanted and name in report.metrics]


def commonest_failure(llm: Mapping[str, Any]) -> str:
    """Return the reason for which the LLM failed most often, and how often that was."""
    reason, times = max(llm["failures"].items(), key=lambda pair: pair[1])
    return f"{reason} ({counted(times, 'request')})"


def _llm_lines(llm: Mapping[str, Any]) -> Iterator[str]:
    read, wrote = (
        "an unknown number of" if tokens is None else tokens
        for tokens in (llm["input_tokens"], llm["output_tokens"])
    )
    yield (
        f"queries: {llm['strategy']} by {llm['model']}: {counted(llm['calls'], 'call')}, {read} "
        f"tokens read, {wrote} written; {counted(llm['failed'], 'request')} without some or all "
        "of them"
    )
    if llm["failures"]:
        yield f"the LLM failed, most often: {commonest_failure(llm)}"


def _threshold_lines(report: Report) -> Iterator[str]:
    if report.values:
        yield f"calibration error {100 * report.calibration_error:.1f}; with tools from a score on:"
        yield "  score   tools  recall  complete"
        for row in report.by_score:
            yield (
                f"  {row.threshold:5.2f}  {row.tools:6.1f}  {100 * row.recall:6.1f}"
                f"  {100 * row.complete:8.1f}"
            )
    if report.counts["unanswerable"]:
        yield "tools only for requests from an estimated need for them on:"
        yield "   need  answered  silent where there is no tool"
        for step in report.by_need:
            yield (
                f"  {step.threshold:5.2f}  {100 * step.answered:8.1f}"
                f"  {100 * (step.silent or 0):6.1f}"
            )
