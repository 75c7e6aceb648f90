from __future__ import annotations

import numpy as np

from tests.conftest import demo
from toolret.examples import choose_demos
from toolret.types import Demo


def choose(
    demos: list[Demo], cosines: list[float], offered: list[str], most: int = 3, least: float = 0.0
) -> list[str]:
    """Demonstrations whose vectors are orthogonal but for the request's direction."""
    vectors = np.eye(len(demos), dtype=np.float32)
    hits = choose_demos(
        demos, vectors, np.array(cosines, np.float32), offered, most=most, least_similarity=least
    )
    return [hit.demo.id for hit in hits]


def test_the_most_like_come_first_and_no_more_than_asked() -> None:
    demos = [demo("low", "", "t"), demo("high", "", "t"), demo("mid", "", "t")]
    assert choose(demos, [0.2, 0.9, 0.5], ["t"], most=2) == ["high", "mid"]


def test_one_that_uses_a_tool_that_is_not_offered_is_left_out() -> None:
    demos = [demo("both", "", "t", "forbidden"), demo("one", "", "t")]
    assert choose(demos, [0.9, 0.1], ["t"]) == ["one"]


def test_one_without_tools_teaches_nothing() -> None:
    assert choose([demo("none", "")], [0.9], ["t"]) == []


def test_what_is_about_something_else_is_left_out() -> None:
    assert choose([demo("far", "", "t")], [0.3], ["t"], least=0.4) == []


def test_a_tool_not_yet_shown_is_worth_a_little_distance() -> None:
    demos = [demo("a1", "", "a"), demo("a2", "", "a"), demo("b", "", "b"), demo("c", "", "c")]
    assert choose(demos, [0.9, 0.8, 0.7, 0.2], ["a", "b", "c"], most=2) == ["a1", "b"]


def test_near_copies_are_shown_once() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    demos = [demo("first", "", "t"), demo("copy", "", "t"), demo("other", "", "t")]
    hits = choose_demos(
        demos, vectors, np.array([0.9, 0.9, 0.5], np.float32), ["t"], most=3, least_similarity=0
    )
    assert [hit.demo.id for hit in hits] == ["first", "other"]
    assert [hit.reason for hit in hits] == ["shows t", "is like the request"]
    assert hits[1].similarity == 0.5
