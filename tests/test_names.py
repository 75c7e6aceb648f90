from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolret.names import said_names, wire_name

VALID = re.compile(r"[a-zA-Z0-9_-]{1,64}")

IDS = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="ab._-", min_size=1, max_size=6),
    st.from_regex(r"[a-z]{1,3}(\.|__|_)[a-z0-9]{1,10}", fullmatch=True),
)


@pytest.mark.parametrize(
    ("tool_id", "name"),
    [
        ("cancel_order", "cancel_order"),
        ("orders.cancelOrder", "orders__cancelOrder"),
        ("a.b-c.d", "a__b-c__d"),
    ],
)
def test_plain_ids_keep_their_words(tool_id: str, name: str) -> None:
    assert wire_name(tool_id) == name


@pytest.mark.parametrize(
    ("tool_id", "start"),
    [
        ("GET /users/{id}", "GET_users_id__"),
        ("orders__cancel", "orders_cancel__"),
        ("查询", "tool__"),
        ("", "tool__"),
        ("x" * 300, "x" * 52 + "__"),
    ],
)
def test_other_ids_are_told_apart_by_a_digest(tool_id: str, start: str) -> None:
    assert re.fullmatch(re.escape(start) + "[0-9a-f]{10}", wire_name(tool_id))


@given(IDS)
def test_every_name_is_valid_and_stable(tool_id: str) -> None:
    assert VALID.fullmatch(wire_name(tool_id))
    assert wire_name(tool_id) == wire_name(tool_id)


@given(IDS, IDS)
def test_different_ids_have_different_names(first: str, second: str) -> None:
    assert first == second or wire_name(first) != wire_name(second)


def test_an_id_made_to_look_like_another_ids_name_has_another() -> None:
    assert wire_name(wire_name("GET /x")) != wire_name("GET /x")
    digest = wire_name("GET /x").rpartition("__")[2]
    assert wire_name(f"GET_x.{digest}") != wire_name("GET /x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run listInvoices or list_invoices.", {"listinvoices", "list_invoices"}),
        ("GET orders/{id} by orders.cancelOrder!", {"orders.cancelorder"}),
        ("Please stop it now", set()),
        ("the HTTP API", set()),
    ],
)
def test_identifiers_are_names_that_a_text_says(text: str, said: set[str]) -> None:
    assert said_names(text) == said | {text.strip().casefold()}
