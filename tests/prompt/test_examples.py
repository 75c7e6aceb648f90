from __future__ import annotations

import numpy as np

from tests.conftest import demo
from toolret.prompt.examples import DemoPool, OfferedTools, choose_demos
from toolret.types import Demo


def choose(
    demos: list[Demo],
    cosines: list[float],
    offered: dict[str, float],
    *,
    alike: float = 0.0,
    most: int = 3,
    related: float = 0.0,
    forbidden: tuple[str, ...] = (),
) -> list[tuple[str, str]]:
    """Choose from demonstrations whose vectors are orthogonal to each other."""
    tool_cosines = np.full((len(offered), len(offered)), alike, np.float32)
    np.fill_diagonal(tool_cosines, 1)
    hits = choose_demos(
        DemoPool(demos, np.eye(len(demos), dtype=np.float32), np.array(cosines, np.float32)),
        OfferedTools(offered, tool_cosines),
        most=most,
        related=related,
        may_show=lambda demo: not set(forbidden) & set(demo.tools),
    )
    return [(hit.demo.id, hit.reason) for hit in hits]


def ids(hits: list[tuple[str, str]]) -> list[str]:
    return [id_ for id_, _ in hits]


def test_the_most_like_come_first_and_no_more_than_asked() -> None:
    demos = [demo("low", "", "t"), demo("high", "", "t"), demo("mid", "", "t")]
    assert ids(choose(demos, [0.2, 0.9, 0.5], {"t": 0.5}, most=2)) == ["high", "mid"]


def test_one_that_shows_a_part_of_what_is_offered_counts_by_that_part() -> None:
    demos = [demo("part", "", "t", "other"), demo("whole", "", "t"), demo("none", "", "other")]
    assert ids(choose(demos, [0.6, 0.5, 0.9], {"t": 0.8})) == ["whole", "part"]


def test_what_was_asked_of_a_forbidden_tool_is_not_shown() -> None:
    demos = [demo("both", "", "t", "secret"), demo("one", "", "t")]
    assert ids(choose(demos, [0.9, 0.1], {"t": 0.5}, forbidden=("secret",))) == ["one"]


def test_one_without_tools_teaches_nothing() -> None:
    assert choose([demo("none", "")], [0.9], {"t": 0.5}) == []


def test_what_is_about_something_else_is_left_out_unless_its_tool_is_likely() -> None:
    far = [demo("far", "", "t")]
    assert choose(far, [0.3], {"t": 0.05}, related=0.4) == []
    assert ids(choose(far, [0.3], {"t": 0.9}, related=0.4)) == ["far"]


def test_a_likely_tool_not_yet_shown_is_worth_some_distance() -> None:
    demos = [demo("a1", "", "a"), demo("a2", "", "a"), demo("b", "", "b"), demo("c", "", "c")]
    offered = {"a": 0.9, "b": 0.6, "c": 0.1}
    assert ids(choose(demos, [0.9, 0.8, 0.5, 0.2], offered, most=3)) == ["a1", "b", "a2"]


def test_tools_that_are_nearly_the_same_are_told_apart() -> None:
    demos = [demo("a1", "", "a"), demo("a2", "", "a"), demo("b", "", "b")]
    offered = {"a": 0.9, "b": 0.1}
    assert ids(choose(demos, [0.9, 0.8, 0.5], offered, most=2)) == ["a1", "a2"]
    assert choose(demos, [0.9, 0.8, 0.5], offered, alike=0.9, most=2) == [
        ("a1", "tells a from b"),
        ("b", "tells b from a"),
    ]


def test_near_copies_are_shown_once() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    demos = [demo("first", "", "t"), demo("copy", "", "t"), demo("other", "", "t")]
    cosines = np.array([0.9, 0.9, 0.5], np.float32)
    one = np.ones((1, 1), np.float32)
    hits = choose_demos(
        DemoPool(demos, vectors, cosines), OfferedTools({"t": 0.5}, one), most=3, related=0
    )
    assert [hit.demo.id for hit in hits] == ["first", "other"]
    assert [hit.reason for hit in hits] == ["shows t", "is like the request"]
    assert hits[1].similarity == 0.5
