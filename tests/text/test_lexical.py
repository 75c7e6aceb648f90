from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from toolret.text import lexical, rendering
from toolret.text.lexical import Floats, Postings, bm25, bm25_scores, name_shares, words


def scores(texts: Sequence[str], request: str) -> Floats:
    index = bm25([words(text) for text in texts])
    found: Floats = index.scores([Counter(words(request))])[0]
    kept = Postings.from_arrays(index.arrays())
    assert kept.scores([Counter(words(request))])[0].tolist() == found.tolist()
    for _ in range(2):  # the second time, what the texts say is remembered
        unindexed = bm25_scores(Counter(words(request)), texts)
        assert unindexed == pytest.approx(found, rel=1e-6, abs=0)
    return found


def test_words_are_split_stemmed_and_free_of_stop_words() -> None:
    assert words("What are the listInvoices for?") == ["list", "invoic"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I can't tell today's rate, they'll know", ["tell", "today", "rate", "know"]),
        ("what\u2019s in the S3 bucket of Bob\u2019s", ["s", "3", "bucket", "bob"]),
        ("turn it off before you log out", ["turn", "off", "befor", "log", "out"]),
    ],
)
def test_contractions_are_no_words_and_words_of_names_are_kept(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_stop_words_are_kept_on_request() -> None:
    assert words("What are the invoices for?", keep_stop_words=True) == [
        "what",
        "are",
        "the",
        "invoic",
        "for",
    ]


def test_signs_of_vowels_belong_to_the_word() -> None:
    assert words("मौसम की जानकारी") == ["मौसम", "की", "जानकारी"]
    assert words("شُكْرًا، שָׁלוֹם") == ["شُكْرًا", "שָׁלוֹם"]


def test_a_word_is_the_same_however_it_is_written() -> None:
    composed = "Réservation à l'hôtel, naïve file 12"
    assert words(unicodedata.normalize("NFD", composed)) == words(composed)
    assert words("\uff46\uff49le \uff11\uff12") == words("\ufb01le 12") == ["file", "12"]


def test_long_runs_of_letters_and_digits_are_split_but_not_remembered() -> None:
    digest = "3fB" * 100
    remembered = lexical._split_token, rendering._split_runs
    sizes = [split.cache_info().currsize for split in remembered]
    assert words(digest) == ["3", "f", "b"] * 100
    assert [split.cache_info().currsize for split in remembered] == sizes


def test_scripts_without_spaces_are_read_in_pairs() -> None:
    assert words("查询天气 ok") == ["查询", "询天", "天气", "ok"]
    assert words("天") == ["天"]
    assert words("订明天3点的会") == ["订明", "明天", "3", "点的", "的会"]
    assert words("スター・ウォーズ") == ["スタ", "ター", "ウォ", "ォー", "ーズ"]
    assert words("查询API接口v2") == ["查询", "api", "接口", "v", "2"]


def test_an_invoice_finds_list_invoices() -> None:
    found = scores(["list Invoices", "delete Host", "get weather"], "my invoice")
    assert found[0] > 0
    assert found[1:].tolist() == [0, 0]


def test_rare_words_count_for_more() -> None:
    texts = ["send mail", "send parcel or send a long, long letter", "send fax"]
    assert scores(texts, "send fax").argmax() == 2
    assert scores(texts, "send and send a letter").argmax() == 1
    assert scores(texts, "send fax")[0] < scores(texts, "fax")[2]


@pytest.mark.parametrize("texts", [[], ["", "the"], ["word"]])
def test_texts_that_share_no_word_score_zero(texts: list[str]) -> None:
    found = scores(texts, "other")
    assert found.dtype == np.float32
    assert found.tolist() == [0] * len(texts)


def test_a_request_of_stop_words_scores_zero() -> None:
    assert scores(["word"], "the of").tolist() == [0]


def test_the_share_of_a_name_that_a_request_mentions() -> None:
    names = ["cancelOrder", "listOrders", "ping"]
    shares = name_shares(
        names, [words(text) for text in ("cancel Order", "list Orders", "ping")]
    ).scores([dict.fromkeys(words("cancel my order now"), 1)])[0]
    assert shares[0] == pytest.approx(1)
    assert 0 < shares[1] < 0.5  # "order" is the commoner of its words
    assert shares[2] == 0


def test_bm25s_logs_nothing_into_an_application_that_logs_warnings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bm25([["send", "mail"]])
    assert not caplog.records
