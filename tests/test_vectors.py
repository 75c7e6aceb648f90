from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toolret.errors import StoreError
from toolret.vectors import VectorCache, vector_key


def test_keys_tell_spaces_and_texts_apart() -> None:
    keys = {vector_key("a", "b"), vector_key("b", "a"), vector_key("ab", ""), vector_key("", "ab")}
    assert len(keys) == 4


def test_keys_are_the_same_in_every_process() -> None:
    assert vector_key("space", "text").startswith("44bb1de6")


def test_what_was_put_is_got_and_the_rest_is_absent(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "v.sqlite3")
    cache.put({"a": np.array([1, 2], np.float32), "b": np.array([3, 4], np.float32)})
    found = cache.get(["b", "missing"])
    assert {key: vector.tolist() for key, vector in found.items()} == {"b": [3, 4]}


def test_many_keys_are_asked_for_in_parts(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "v.sqlite3")
    vectors = {str(i): np.array([i], np.float32) for i in range(25_000)}
    cache.put(vectors)
    assert len(cache.get(list(vectors))) == 25_000


def test_a_cache_that_was_never_written_is_empty_and_makes_no_file(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "v.sqlite3")
    cache.keep_only(["a"])
    assert cache.get(["a"]) == {}
    assert list(tmp_path.iterdir()) == []


def test_keep_only_forgets_the_others(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "v.sqlite3")
    cache.put({key: np.zeros(2, np.float32) for key in "abc"})
    cache.keep_only(iter("bz"))
    assert set(cache.get(list("abc"))) == {"b"}


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite3"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match=r"v\.sqlite3: file is not a database"):
        VectorCache(path).get(["a"])
