"""Misspelt words, corrected by the words of tools."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from toolret.text import english
from toolret.text.lexical import stems
from toolret.text.spelling import find_corrections, with_corrections

TOOLS = ("cancel order", "refund order", "parcel delivery", "webhook listing", "schedule meeting")


def count_tools(plain_words: Sequence[str]) -> list[int]:
    """Count the tools above that have each word."""
    return [sum(stem in stems(tool.split()) for tool in TOOLS) for stem in stems(plain_words)]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("cancle my order", "cancel my order"),
        ("refnd the ordder now", "refund the order now"),
        ("Shedule it for me", "schedule it for me"),
        ("where is my parcle", "where is my parcel"),
        ("list the webhok of it", "list the webhook of it"),
        ("the shedules of my parcles", "the schedules of my parcels"),
        ("CANCLE MY ORDER", "cancel MY ORDER"),
        ('"cancle my order"', "cancel my order"),  # a request quoted as a whole
        ('refnd order "refnd it" of Refnd', 'refund order "refnd it" of Refnd'),
        ("a meeing: cancle-order or parcle?", "a meeting: cancel-order or parcel?"),
    ],
)
def test_one_wrong_letter_is_mended(text: str, read: str) -> None:
    assert with_corrections(text, find_corrections(text, count_tools)) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cancel the order",
        "I adore a marcel wave",  # words, each one letter from a tool's
        "write to Cancle and Parcle about it",  # names
        'say "cancle the ordder" and call cancle_order or x/parcle, cancle@shop.example',
        "the ordr is here",  # too short a word
        "kubectl and figma for it",  # near no tool's word
        "ich will die meine ordder",  # another language
    ],
)
def test_what_is_left_as_it_is(text: str) -> None:
    assert find_corrections(text, count_tools) == {}


def test_without_the_dictionarys_file_requests_are_read_as_they_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(english, "_DICTIONARY", "symspellpy/gone.txt")
    english._dictionary.cache_clear()
    try:
        assert find_corrections("cancle my order", count_tools) == {}
        assert find_corrections("refnd my order", count_tools) == {}
    finally:
        english._dictionary.cache_clear()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "gone.txt" in caplog.text
