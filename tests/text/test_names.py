from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import toolret.text.names
from tests.conftest import tool
from toolret.index import ToolIndex
from toolret.retrieval.retriever import ToolRetriever
from toolret.testing import HashedWordsEmbedder
from toolret.text.names import RESERVED, ids_by_name, mentioned_names, wire_name

PROVIDERS = {
    "OpenAI": re.compile(r"[a-zA-Z0-9_-]{1,64}"),
    "Anthropic": re.compile(r"[a-zA-Z0-9_-]{1,64}"),
    "Gemini": re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}"),
}

ANY = st.characters(exclude_categories=())
"""Every code point, unassigned ones and halves of surrogate pairs too."""

IDS = st.one_of(
    st.text(max_size=300),
    st.text(ANY, min_size=1, max_size=300),
    st.text(alphabet="ab._-", min_size=1, max_size=6),
    st.from_regex(r"[a-z]{1,3}(\.|__|_)[a-z0-9]{1,10}", fullmatch=True),
    st.sampled_from(sorted(RESERVED)),
    st.sampled_from(["a b", "a_b", "a.b", "a__b", "a/b", "a-b", "A_b", "\uff41_b", "a_b_", "a..b"]),
)


@pytest.mark.parametrize(
    ("tool_id", "name"),
    [
        ("cancel_order", "cancel_order"),
        ("orders.cancelOrder", "orders__cancelOrder"),
        ("a.b-c.d", "a__b-c__d"),
        ("openai.web_search", "openai__web_search"),
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
        ("x" * 300, "x" * 50 + "__"),
        ("2checkout.pay", "tool_2checkout_pay__"),
        ("-flag", "flag__"),
        ("web_search", "web_search__"),
        ("Python", "Python__"),
    ],
)
def test_other_ids_are_told_apart_by_a_digest(tool_id: str, start: str) -> None:
    assert re.fullmatch(re.escape(start) + "[0-9a-f]{12}", wire_name(tool_id))


@given(IDS)
@example("x" * 300)
@example("\ud800")
@example("_" * 300)
@example("-" * 64)
def test_every_name_is_one_that_each_provider_takes(tool_id: str) -> None:
    name = wire_name(tool_id)
    for pattern in PROVIDERS.values():
        assert pattern.fullmatch(name)
    assert name.lower() not in RESERVED


@given(st.lists(IDS, unique=True, max_size=30))
def test_names_are_unique_and_map_back_to_ids(tool_ids: list[str]) -> None:
    # Ids that look like the names of others are ids like any.
    every = list(dict.fromkeys([*tool_ids, *map(wire_name, tool_ids)]))
    ids = ids_by_name(every)
    assert [ids[wire_name(tool_id)] for tool_id in every] == every
    assert list(ids.values()) == every


def test_names_are_the_same_in_every_process() -> None:
    ids = ["orders.cancel", "查询", "x" * 300, "web_search", "GET /users/{id}", "", "a__b"]
    code = (
        "import json, sys; from toolret.text.names import wire_name; "
        "print(json.dumps([wire_name(i) for i in json.load(sys.stdin)]))"
    )
    for seed in ("1", "2"):
        printed = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(ids),
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        )
        assert json.loads(printed.stdout) == [wire_name(tool_id) for tool_id in ids]
    # And in every release: a stored conversation names them.
    assert wire_name("GET /users/{id}") == "GET_users_id__e870987d0579"


def test_an_id_that_looks_like_the_name_of_another_id_gets_a_different_name() -> None:
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
        ("请用list_users工具", {"list_users", "请用list_users工具"}),
        ("list_usersを使って", {"list_users", "list_usersを使って"}),
        ("取消_订单", {"取消_订单"}),
    ],
)
def test_identifiers_in_a_text_are_mentioned_names(text: str, said: set[str]) -> None:
    assert mentioned_names(text) == said | {text.strip().casefold()}


@pytest.mark.parametrize("text", ["rollback", '"rollback"', " `Rollback` ", "“rollback”"])
def test_a_name_that_is_a_word_may_be_quoted(text: str) -> None:
    assert "rollback" in mentioned_names(text)


def test_a_selection_maps_hostile_names_back(tmp_path: Path) -> None:
    ids = [
        "notes.find note",
        "notes.find_note",
        "notes find.note",
        "查.note",
        "note" * 75,
        "python",
    ]
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync_tools(tool(tool_id, "Find a note.") for tool_id in ids)
    retriever = ToolRetriever(index, min_recall=1, min_score=0, max_tools=10, token_budget=None)
    first, second = (retriever.select(text) for text in ("find a note", "the note of today"))
    assert set(first.names.values()) == set(ids)
    assert dict(first.names) == {wire_name(hit.tool.id): hit.tool.id for hit in first.tools}
    offered = [item["function"]["name"] for item in first.to_openai()["tools"]]
    assert [first.names[name] for name in offered] == [hit.tool.id for hit in first.tools]
    for name in first.names.keys() & second.names.keys():
        assert first.names[name] == second.names[name]


def test_of_two_tools_with_one_name_only_one_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who looks long enough finds an id with the digest of another."""
    for module in ("text.names", "prompt.packed", "ranking.columns"):
        monkeypatch.setattr(f"toolret.{module}.wire_name", lambda tool_id: tool_id.lower())
    assert toolret.text.names.ids_by_name(["Pay", "pay", "x"]) == {"pay": "Pay", "x": "x"}
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync_tools(
        [tool("Pay", "Pay a bill."), tool("pay", "Pay a bill slowly."), tool("x", "Pay.")]
    )
    retriever = ToolRetriever(index, min_recall=1, min_score=0)
    selection = retriever.select("Pay a bill.")
    assert len(selection.tools) == 2
    assert len(selection.ranked) == 3
    assert {hit.tool.id for hit in selection.tools} == set(selection.names.values())
