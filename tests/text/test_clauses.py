from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolret.text.clauses import split_clauses


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Cancel my order.", ()),
        ("", ()),
        (
            "Cancel the last order and refund the payment",
            ("Cancel the last order", "refund the payment"),
        ),
        (
            "Book a flight to Rome. Then find a hotel there, near the station",
            ("Book a flight to Rome", "Then find a hotel there", "near the station"),
        ),
        ("- list open invoices\n- send a reminder", ("- list open invoices", "- send a reminder")),
        (
            'Send "sorry, we are late and tired" to Bob and close the ticket',
            ('Send "sorry, we are late and tired" to Bob', "close the ticket"),
        ),
        ("Change the price to 1,000.50 EUR, please", ()),
        ("帮我查询订单状态\uff0c然后取消这个订单", ("帮我查询订单状态", "然后取消这个订单")),
        ("do it now and do it now", ()),
        (
            '"Cancel the last order and refund the payment."',
            ("Cancel the last order", "refund the payment"),
        ),
        (
            "First, I lost an order. Could you fetch it? Second, pay the last bill",
            ("I lost an order Could you fetch it?", "pay the last bill"),
        ),
        (
            "Find a hotel\nFinally, pay for the second, the cheaper one",
            ("Find a hotel", "pay for the second", "the cheaper one"),
        ),
        ("First, cancel the last order and pay", ()),
    ],
)
def test_requests_are_split_where_a_new_need_may_begin(text: str, clauses: tuple[str, ...]) -> None:
    assert split_clauses(text) == clauses


def test_long_lists_are_merged_into_ten_clauses_of_similar_word_counts() -> None:
    text = "\n".join(f"do the task number {i}" for i in range(20))
    clauses = split_clauses(text)
    assert len(clauses) == 10
    assert clauses[0] == "do the task number 0 do the task number 1"
    uneven = [f"do the task number {i}" for i in range(12)]
    uneven[3] = " ".join(f"word{i}" for i in range(40))
    joined = split_clauses("\n".join(uneven))
    assert 2 <= len(joined) <= 10
    assert uneven[3] in joined
    assert " ".join(joined) == " ".join(uneven)


@pytest.mark.parametrize("text", ["and " * 250_000, '"' * 1_000_000, "a, " * 300_000, "x" * 10**6])
def test_a_megabyte_is_split_in_linear_time(text: str) -> None:
    started = time.process_time()
    assert len(split_clauses(text)) <= 10
    assert time.process_time() - started < 20


@given(st.text(max_size=300))
def test_clauses_are_distinct_and_never_a_single_one(text: str) -> None:
    clauses = split_clauses(text)
    assert len(clauses) != 1
    assert len(set(clauses)) == len(clauses)
    assert all(clause.strip() for clause in clauses)


def test_next_week_is_a_time_and_does_not_separate_clauses() -> None:
    assert split_clauses("cancel my meeting with Dana and book my holiday for next week") == (
        "cancel my meeting with Dana",
        "book my holiday for next week",
    )
