from __future__ import annotations

import numpy as np
import pytest

from tests.ranking.vectors import unit
from toolret.ranking.arrays import Floats, Ints
from toolret.ranking.kriging import krige
from toolret.ranking.word_vectors import WordRows, tf_idf


def wordless(demos: int) -> tuple[Floats, WordRows]:
    return np.zeros((1, demos), dtype=np.float32), tf_idf([[]] * demos).rows()


def apart(demos: int) -> Ints:
    """No two of the demonstrations use the same tools."""
    return np.arange(demos)


def test_copies_share_one_weight() -> None:
    one, other = unit(2, 16)
    vectors = np.stack([one] * 9 + [other])
    words, rows = wordless(10)
    asked = np.asarray(one + other, dtype=np.float32)[None]
    asked /= np.linalg.norm(asked)
    near = krige(asked, asked @ vectors.T, words, vectors, rows, apart(10))
    counts = dict(zip(near.demos[0].tolist(), near.weights[0].tolist(), strict=True))
    nine = sum(counts[copy] for copy in range(9))
    # As near as each other: nine that say the same are surer than one, but not nine times.
    assert counts[9] < nine < 1.5 * counts[9]


def test_kriging_is_kernel_ridge_regression_where_all_are_near() -> None:
    vectors, asked = unit(40, 16), unit(1, 16, seed=1)
    words, rows = wordless(40)
    near = krige(asked, asked @ vectors.T, words, vectors, rows, apart(40))
    fall = 1.5 / (1 - asked @ vectors.T).mean()
    kernel = np.exp(fall * (vectors @ vectors.T - 1)) + 0.3 * np.eye(40)
    expected = np.linalg.solve(kernel, np.exp(fall * (vectors @ asked[0] - 1)))
    found = np.zeros(40, dtype=np.float32)
    near.add_to(found[None])
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(near.means[0], expected @ vectors, atol=1e-4)


def test_the_same_words_count_where_meanings_do_not_tell() -> None:
    vectors, asked = np.tile(unit(1, 16), (2, 1)), unit(1, 16, seed=1)
    words = tf_idf([["cancel", "order"], ["track", "parcel"]])
    cosines = words.cosines([["track", "it"]])
    near = krige(asked, asked @ vectors.T, cosines, vectors, words.rows(), apart(2))
    assert near.demos[0].tolist() == [1, 0]
    assert near.weights[0, 0] > near.weights[0, 1]


def test_only_the_nearest_that_are_not_left_out_have_weights() -> None:
    vectors, asked = unit(200, 16), unit(3, 16, seed=1)
    cosines = asked @ vectors.T
    words, rows = np.zeros_like(cosines), tf_idf([[]] * 200).rows()
    gone = np.argsort(-cosines[0])[:5]
    near = krige(asked, cosines.copy(), words, vectors, rows, apart(200), gone)
    assert near.demos.shape == near.weights.shape == (3, 64)
    assert near.demos[0].tolist() == np.argsort(-cosines[0])[5:69].tolist()
    assert not np.isin(near.demos, gone).any()


def test_the_nearest_include_few_demonstrations_of_the_same_tools() -> None:
    vectors, asked = unit(200, 16), unit(1, 16, seed=1)
    cosines = asked @ vectors.T
    words, rows = wordless(200)
    order = np.argsort(-cosines[0])
    sets = np.arange(200)
    sets[order[:100]] = 200  # the nearest hundred use the same tools
    near = krige(asked, cosines, words, vectors, rows, sets)
    assert near.demos[0].tolist() == [*order[:8], *order[100:156]]
    sets[order[110:]] = 200
    near = krige(asked, cosines, words, vectors, rows, sets)
    # Where there are too few others, the nearest are looked at all the same.
    assert near.demos[0].tolist() == [*order[:8], *order[100:110], *order[8:54]]
    gone = order[:150]
    near = krige(asked, cosines, words, vectors, rows, sets, gone)
    assert near.demos[0].tolist() == order[150:].tolist()


@pytest.mark.parametrize("demos", [0, 3])
def test_without_demonstrations_there_are_no_weights(demos: int) -> None:
    vectors, asked = unit(demos, 16), unit(2, 16, seed=1)
    rows = tf_idf([[]] * demos).rows()
    cosines = asked @ vectors.T
    words = np.zeros_like(cosines)
    near = krige(asked, cosines, words, vectors, rows, apart(demos), np.arange(demos))
    assert near.demos.shape == (2, 0)
    assert near.means.tolist() == np.zeros((2, 16)).tolist()


def test_copies_of_the_query_share_all_the_weight() -> None:
    vectors = np.concatenate([np.tile(unit(1, 16), (80, 1)), unit(80, 16, seed=1)])
    words, rows = wordless(160)
    asked = vectors[:1]
    near = krige(asked, asked @ vectors.T, words, vectors, rows, np.zeros(160, np.intp))
    assert near.weights.sum() == pytest.approx(1, abs=0.05)
    assert np.abs(near.weights).max() < 0.1


def test_the_cosines_of_the_nearest_are_exact() -> None:
    vectors, asked = unit(100, 16), unit(2, 16, seed=1)
    words, rows = np.zeros((2, 100), np.float32), tf_idf([[]] * 100).rows()
    exact = asked @ vectors.T
    rough = exact + np.random.default_rng(2).uniform(-1e-3, 1e-3, (2, 100)).astype(np.float32)
    near = krige(asked, rough, words, vectors, rows, apart(100))
    expected = np.take_along_axis(exact, near.demos, axis=1)
    np.testing.assert_allclose(near.cosines, expected, atol=1e-6)


def test_another_scale_of_cosines_is_the_same() -> None:
    """A large constant part in all vectors moves cosines of -1 to 1 to 0.6 to 1."""
    vectors, asked = unit(50, 16), unit(1, 16, seed=1)
    words, rows = wordless(50)

    def with_constant(some: Floats) -> Floats:
        constant = np.full((len(some), 1), 2, dtype=np.float32)
        longer = np.concatenate([some, constant], axis=1)
        return np.asarray(longer / np.sqrt(5), dtype=np.float32)

    near = krige(asked, asked @ vectors.T, words, vectors, rows, apart(50))
    moved, others = with_constant(asked), with_constant(vectors)
    same = krige(moved, moved @ others.T, words, others, rows, apart(50))
    np.testing.assert_array_equal(near.demos, same.demos)
    np.testing.assert_allclose(near.weights, same.weights, atol=1e-3)
