from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from toolret.evaluation.metrics import mean
from toolret.evaluation.reports import Requirement, parse_requirement, unmet_requirements


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("C@5=80", Requirement("COMP@5", 80)),
        ("COMP@10=62.5", Requirement("COMP@10", 62.5)),
        ("N@10=40", Requirement("nDCG@10", 40)),
        ("MRR=50", Requirement("MRR", 50)),
        ("AUROC=95", Requirement("AUROC", 95)),
        ("R@5=0", Requirement("R@5", 0)),
    ],
)
def test_requirements_are_read(text: str, wanted: Requirement) -> None:
    assert parse_requirement(text) == wanted


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("X=3", "X is not measured; measured are COMP@1"),
        ("COMP@4=3", "COMP@4 is not measured"),
        ("C@5=101", "'C@5=101' asks for more than 100 %"),
        ("C@5=0.8", "'C@5=0.8' asks for 0.8 %, for these are percentages: write C@5=80"),
        ("MRR=1", "asks for 1 %, for these are percentages: write MRR=100"),
    ],
)
def test_requirements_that_cannot_be_read_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_requirement(text)


@pytest.mark.parametrize("text", ["C@5", "C@5=high", "=5", "C@5=80=90", ""])
def test_malformed_requirements_are_reported(text: str) -> None:
    with pytest.raises(ValueError, match="METRIC=PERCENT"):
        parse_requirement(text)


def _report(value: float) -> Any:
    return SimpleNamespace(metrics={"COMP@5": value})


@pytest.mark.parametrize("right", [28, 29, 55, 57, 58, 82])
def test_a_figure_that_is_just_met_is_met(right: int) -> None:
    share = mean({str(number): float(number < right) for number in range(100)})
    assert unmet_requirements(_report(share), [Requirement("COMP@5", right)]) == []


@pytest.mark.parametrize(
    ("value", "shown"), [(0.7, "70.0"), (0.7997, "79.97"), (0.7999999, "79.99999")]
)
def test_a_figure_that_is_missed_is_shown_to_be_less(value: float, shown: str) -> None:
    problem = f"COMP@5 is {shown}, less than 80"
    assert unmet_requirements(_report(value), [Requirement("COMP@5", 80)]) == [problem]
