from __future__ import annotations

import math

import numpy as np
import pytest

from toolret.ranking.word_vectors import WordRows, WordVectors, tf_idf

TEXTS = [["send", "mail"], ["send", "parcel", "parcel"], ["list", "hosts"], []]


def test_a_text_is_as_like_itself_as_can_be_and_others_by_their_common_words() -> None:
    found = tf_idf(TEXTS)
    assert found.cosines([TEXTS[1]])[0, 1] == pytest.approx(1)
    # "send" is in two of four texts, "mail" in one.
    send, mail = math.log1p(2), math.log1p(4)
    parcels = mail * (1 + math.log(2))
    expected = send * send / math.hypot(send, mail) / math.hypot(send, parcels)
    assert found.cosines([TEXTS[0]])[0] == pytest.approx([1, expected, 0, 0])


def test_words_that_no_text_has_are_left_out() -> None:
    found = tf_idf(TEXTS)
    more, less, none = found.cosines([["hosts", "unheard", "of"], ["hosts"], ["unheard"]])
    assert more == pytest.approx(less)
    assert none.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("texts", [[], [[]], [[], []]])
def test_texts_without_words_are_like_nothing(texts: list[list[str]]) -> None:
    found = tf_idf(texts)
    kept = WordVectors.from_arrays(found.arrays())
    assert kept.cosines([["any"]]).tolist() == [[0] * len(texts)]
    assert kept.rows().likeness(np.arange(len(texts))).tolist() == [[0] * len(texts)] * len(texts)


def test_likeness_is_the_matrix_of_cosines_and_survives_being_stored() -> None:
    found = WordVectors.from_arrays(tf_idf(TEXTS).arrays())
    rows = WordRows(**found.rows().arrays())
    some = np.array([1, 3, 0])
    expected = found.cosines([TEXTS[i] for i in some])[:, some]
    np.testing.assert_allclose(rows.likeness(some), expected, atol=1e-6)
