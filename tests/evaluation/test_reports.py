from __future__ import annotations

import pytest

from toolret.evaluation.reports import Requirement, parse_requirement


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("C@5=80", Requirement("COMP@5", 80)),
        ("COMP@10=62.5", Requirement("COMP@10", 62.5)),
        ("N@10=40", Requirement("nDCG@10", 40)),
        ("MRR=50", Requirement("MRR", 50)),
        ("AUROC=95", Requirement("AUROC", 95)),
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
    ],
)
def test_what_no_run_can_tell_is_said(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_requirement(text)


@pytest.mark.parametrize("text", ["C@5", "C@5=high", "=5", "C@5=80=90", ""])
def test_what_is_no_requirement_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="METRIC=PERCENT"):
        parse_requirement(text)
