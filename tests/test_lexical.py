from __future__ import annotations

import numpy as np
import pytest

from toolret.lexical import LexicalIndex, NameIndex, words


def test_words_are_split_stemmed_and_free_of_stop_words() -> None:
    assert words("What are the listInvoices for?") == ["list", "invoic"]


def test_scripts_without_spaces_are_read_in_pairs() -> None:
    assert words("查询天气 ok") == ["查询", "询天", "天气", "ok"]
    assert words("天") == ["天"]


def test_an_invoice_finds_list_invoices() -> None:
    scores = LexicalIndex(["list Invoices", "delete Host", "get weather"]).scores("my invoice")
    assert scores[0] > 0
    assert scores[1:].tolist() == [0, 0]


def test_rare_words_count_for_more() -> None:
    index = LexicalIndex(["send mail", "send parcel", "send fax"])
    assert index.scores("send fax").argmax() == 2
    assert index.scores("send fax")[0] < index.scores("fax")[2]


@pytest.mark.parametrize("texts", [[], ["", "the"], ["word"]])
def test_what_shares_no_word_scores_zero(texts: list[str]) -> None:
    scores = LexicalIndex(texts).scores("other")
    assert scores.dtype == np.float32
    assert scores.tolist() == [0] * len(texts)


def test_a_request_of_stop_words_scores_zero() -> None:
    assert LexicalIndex(["word"]).scores("the of").tolist() == [0]


def test_names_are_said_wholly_partly_or_not_at_all() -> None:
    names = ["cancelOrder", "listOrders", "ping"]
    shares = NameIndex(names, ["cancel Order", "list Orders", "ping"]).shares("cancel my order now")
    assert shares[0] == pytest.approx(1)
    assert 0 < shares[1] < 0.5  # "order" is the commoner of its words
    assert shares[2] == 0
