from __future__ import annotations

import json
from math import log2
from pathlib import Path

import numpy as np
import pytest
from ir_measures import read_trec_run

from tests.conftest import tool
from toolret.errors import DemoError, InputError, ToolretError
from toolret.evaluation import evaluate
from toolret.evaluation.metrics import completeness, mean, metric_values
from toolret.evaluation.reports import report_lines
from toolret.evaluation.trec import read_trec, trec_lines
from toolret.index import ToolIndex
from toolret.retrieval.retriever import ToolRetriever
from toolret.rows import LabelledRequest
from toolret.types import Hit


def test_completeness_wants_all_tools() -> None:
    assert completeness(["a", "b"], ["b", "x", "a"], 3) == 1
    assert completeness(["a", "b"], ["b", "x", "a"], 2) == 0


def test_metrics_agree_with_figures_by_hand() -> None:
    gold = {"1": ["a"], "2": ["a", "b"], "3": ["c"], "none": []}
    ranked = {"1": ["x", "a"], "2": ["b", "x", "a"], "none": ["x"]}
    found = {name: mean(values) for name, values in metric_values(gold, ranked).items()}
    assert found["R@1"] == pytest.approx((0 + 1 / 2 + 0) / 3)
    assert found["Hit@3"] == pytest.approx(2 / 3)
    assert found["COMP@3"] == pytest.approx(2 / 3)
    assert found["COMP@1"] == 0
    assert found["MRR"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    second = (1 + 1 / log2(4)) / (1 + 1 / log2(3))
    assert found["nDCG@3"] == pytest.approx((1 / log2(3) + second + 0) / 3)


def test_no_answerable_request_gives_no_metric() -> None:
    assert metric_values({"none": []}, {}) == {}


def test_trec_lines_keep_the_order_and_quote_ids() -> None:
    hits = (Hit(tool("a b"), 0.5), Hit(tool("c"), 0.75))
    assert list(trec_lines({"q 1": hits})) == [
        "q%201 Q0 a%20b 1 0.5 toolret",
        "q%201 Q0 c 2 0.49999997 toolret",
    ]


def test_a_trec_run_has_no_ties_for_other_tools_to_break() -> None:
    ids = ["a", "z", "m", "b", "y", "c"]
    scores = [0.0, 0.3, 4e-7, 0.1 + 0.2, 1 - 1e-12, 1.0]
    hits = tuple(Hit(tool(id_), score) for id_, score in zip(ids, scores, strict=True))
    for ranked in (hits, hits[::-1]):
        run = read_trec_run("\n".join(trec_lines({"q": ranked})))  # type: ignore[no-untyped-call]
        read = sorted(run, key=lambda line: np.float32(line.score), reverse=True)
        assert [line.doc_id for line in read] == [hit.tool.id for hit in ranked]
        assert len({np.float32(line.score) for line in read}) == len(ids)


@pytest.fixture
def retriever(index: ToolIndex) -> ToolRetriever:
    return ToolRetriever(index)


def test_a_tool_that_a_run_lists_twice_counts_once_at_its_best_place(tmp_path: Path) -> None:
    file = tmp_path / "their.run"
    ranked = ["a", "x", "x", "b", "a"]
    file.write_text("".join(f"q Q0 {id_} {n} {9 - n} s\n" for n, id_ in enumerate(ranked)))
    assert read_trec(file) == {"q": ["a", "x", "b"]}


def test_a_run_whose_scores_are_no_numbers_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "their.run"
    file.write_text("q Q0 a 1 2.0 s\nq Q0 b 2 nan s\n")
    with pytest.raises(ToolretError, match="line 2: is not of the form"):
        read_trec(file)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file or directory"), (b"q \xff", "it is not UTF-8")]
)
def test_a_run_that_cannot_be_read_is_an_error_that_says_why_once(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "their.run"
    if content:
        file.write_bytes(content)
    with pytest.raises(ToolretError) as caught:
        read_trec(file)
    assert str(caught.value) == f"{file}: cannot be read as a TREC run: {reason}"


def test_a_run_reports_metrics_counts_and_times(retriever: ToolRetriever) -> None:
    requests = [
        LabelledRequest("q1", "refund the payment", ("refund_payment",)),
        LabelledRequest("q2", "where a parcel is now", ("track_parcel",)),
        LabelledRequest("q3", "sing a song", ()),
    ]
    seen: list[int] = []
    report = evaluate(
        retriever, requests, k=4, keep_all=True, progress=lambda _, done, __: seen.append(done)
    )
    assert report.metrics["COMP@1"] == 1
    assert report.counts["requests"] == 3
    assert (report.counts["answerable"], report.counts["unanswerable"]) == (2, 1)
    assert report.counts["unanswerable_without_tool"] == 0
    assert seen == [1, 2, 3]
    assert report.seconds.keys() == {"queries", "embed", "compare", "rank", "pack", "all"}
    assert all(0 < times["p50"] <= times["p95"] for times in report.seconds.values())
    assert report.seconds["all"]["p95"] >= report.seconds["embed"]["p95"]
    assert 0 < report.tokens["mean"] <= report.tokens["most"] <= 2_000
    assert report.auroc == 1
    assert (report.counts["seen"], report.seen["COMP@1"]) == (2, 1)
    assert report.unseen == {}
    assert json.loads(json.dumps(report.to_json()))["counts"]["tools"] == 4
    retriever.min_score = 1.0
    strict = evaluate(retriever, requests)
    assert strict.counts["unanswerable_without_tool"] == 1
    assert strict.metrics["COMP@10"] == 0


def test_a_request_whose_tools_fit_no_prompt_is_measured_and_counted(
    retriever: ToolRetriever,
) -> None:
    small = ToolRetriever(retriever.index, token_budget=3)
    requests = [LabelledRequest("q1", "refund the payment", ("refund_payment",))]
    report, wanted = evaluate(small, requests), evaluate(retriever, requests)
    assert report.metrics == wanted.metrics
    assert (report.counts["over_budget"], wanted.counts["over_budget"]) == (1, 0)
    assert report.tokens["most"] == 0
    line = "no prompt: 1 request, none of whose tools fits the budget"
    assert (line in report_lines(report), line in report_lines(wanted)) == (True, False)


def test_a_request_that_names_an_unknown_tool_is_refused(retriever: ToolRetriever) -> None:
    with pytest.raises(DemoError, match="'q1' names the tool 'nothing'"):
        evaluate(retriever, [LabelledRequest("q1", "x", ("nothing",))])
    both = [
        LabelledRequest("q1", "x", ("nothing",)),
        LabelledRequest("q2", "y", ("none", "nothing")),
    ]
    with pytest.raises(DemoError, match=r"hold \(nor 'none', which others name\): correct the id"):
        evaluate(retriever, both)


def test_different_requests_with_one_id_and_impossible_depths_are_refused(
    retriever: ToolRetriever,
) -> None:
    request = LabelledRequest("q1", "refund the payment", ("refund_payment",))
    other = LabelledRequest("q1", "where a parcel is now", ("track_parcel",))
    assert evaluate(retriever, [request, request]).counts["requests"] == 1
    with pytest.raises(DemoError, match="the id 'q1' already stands for something else"):
        evaluate(retriever, [request, other])
    with pytest.raises(InputError, match="k is 0: give a whole number of 1 or more"):
        evaluate(retriever, [request], k=0)


def test_what_the_requests_do_not_tell_is_no_figure(retriever: ToolRetriever) -> None:
    idle = evaluate(retriever, [LabelledRequest("q3", "sing a song", ())], keep_all=True)
    lines = list(report_lines(idle))
    table = lines.index("   need  answered  silent where there is no tool")
    assert lines[table + 1] == "   0.00         -     0.0"
    retriever.min_score = 1.0
    silent = evaluate(retriever, [LabelledRequest("q1", "sing a song", ("refund_payment",))])
    assert silent.to_json()["calibration_error"] is None
    assert not any("calibration" in line for line in report_lines(silent))


def test_rows_by_score_do_not_depend_on_the_minimum_score(retriever: ToolRetriever) -> None:
    requests = [
        LabelledRequest("q1", "refund the payment", ("refund_payment",)),
        LabelledRequest("q3", "sing a song", ()),
    ]
    report = evaluate(retriever, requests)
    assert (report.by_score[0].recall, report.counts["unanswerable_without_tool"]) == (1, 1)
    retriever.min_score = 1.0
    strict = evaluate(retriever, requests)
    assert strict.counts["answerable_without_tool"] == 1
    assert strict.by_score == report.by_score
