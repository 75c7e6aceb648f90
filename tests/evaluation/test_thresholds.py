from __future__ import annotations

import pytest

from toolret.evaluation.thresholds import calibration_error, need_rows, score_rows, separation

GOLD = {"1": ("a", "b"), "2": ("c",), "3": ()}
ANSWERS = {
    "1": [("a", 0.9), ("x", 0.4), ("b", 0.3)],
    "2": [("c", 0.15)],
    "3": [("y", 0.25)],
}


def test_rows_by_score_show_recall_against_the_number_of_tools() -> None:
    rows = {row.threshold: row for row in score_rows(GOLD, ANSWERS)}
    assert rows[0.0].tools == pytest.approx(5 / 3)
    assert (rows[0.0].recall, rows[0.0].complete) == (1, 1)
    assert rows[0.3].tools == 1
    assert (rows[0.3].recall, rows[0.3].complete) == (0.5, 0.5)
    assert rows[0.5].complete == 0
    idle = score_rows({"3": ()}, ANSWERS)[0]
    assert (idle.tools, idle.recall, idle.complete) == (1, None, None)


def test_rows_by_need_count_answered_and_silent_requests() -> None:
    needs = {"1": 0.9, "2": 0.15, "3": 0.25}
    rows = {row.threshold: row for row in need_rows(GOLD, needs)}
    assert (rows[0.0].answered, rows[0.0].silent) == (1, 0)
    assert (rows[0.2].answered, rows[0.2].silent) == (0.5, 0)
    assert (rows[0.3].answered, rows[0.3].silent) == (0.5, 1)
    assert need_rows({"1": ("a",)}, needs)[0].silent is None
    assert need_rows({"3": ()}, needs)[0].answered is None


def test_separation_is_the_auroc_of_need() -> None:
    needs = {"1": 0.9, "2": 0.15, "3": 0.25}
    assert separation(GOLD, needs) == 0.5
    assert separation({"1": ("a",)}, needs) is None
    assert separation({**GOLD, "4": ()}, {**needs, "4": 0.0}) == 0.75


def test_calibration_error_by_hand() -> None:
    # Two of four at 0.4 are right, and the one at 0.9: (4 * 0.1 + 1 * 0.1) / 5.
    gold = {"1": ("a", "b", "z")}
    answers = {"1": [("z", 0.9), ("a", 0.4), ("b", 0.4), ("c", 0.4), ("d", 0.4)]}
    assert calibration_error(gold, answers) == pytest.approx(0.1)
    assert calibration_error(gold, {}) is None
