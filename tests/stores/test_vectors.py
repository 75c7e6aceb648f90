from __future__ import annotations

import numpy as np

from toolret.stores.vectors import checksum, pack, unpack, vector_key


def test_keys_tell_spaces_and_texts_apart() -> None:
    keys = {vector_key("a", "b"), vector_key("b", "a"), vector_key("ab", ""), vector_key("", "ab")}
    assert len(keys) == 4


def test_keys_are_the_same_in_every_process() -> None:
    assert vector_key("space", "text").startswith("44bb1de6")


def test_a_packed_vector_is_the_same_when_unpacked() -> None:
    vector = np.array([1, -2.5, 3e-30], np.float32)
    assert unpack(pack(vector)).tolist() == vector.tolist()
    assert pack(vector)[:4] == b"\x00\x00\x80\x3f"


def test_a_checksum_is_of_the_key_and_of_every_byte() -> None:
    packed = pack(np.array([1, 2], np.float32))
    flipped = {
        checksum("a", packed[:i] + bytes([packed[i] ^ 1]) + packed[i + 1 :])
        for i in range(len(packed))
    }
    assert checksum("a", packed) not in flipped | {checksum("b", packed), checksum("a", b"")}
