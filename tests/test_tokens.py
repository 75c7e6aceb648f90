from __future__ import annotations

import os
import time
from base64 import b64encode
from hashlib import md5
from pathlib import Path
from uuid import UUID

import pytest
import tiktoken
from hypothesis import example, given
from hypothesis import strategies as st

from tests.conftest import SHARED
from toolret.tokens import estimate_tokens, token_counter


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    token_counter.cache_clear()


def test_tokens_are_exact_where_the_table_is_cached() -> None:
    counter = token_counter()
    text = "Refund the last order of Alice, 退款, <|endoftext|> 🧾"
    expected = tiktoken.get_encoding("o200k_base").encode(text, disallowed_special=())
    assert counter.exact
    assert counter.count(text) == len(expected)


def test_without_the_table_tokens_are_estimated_and_no_network_is_touched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    counter = token_counter()
    assert not counter.exact
    assert counter.count("Refund the order") == estimate_tokens("Refund the order")


def test_other_folders_of_tiktoken_are_looked_in(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = os.environ["TIKTOKEN_CACHE_DIR"]
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    assert not token_counter("r50k_base").exact
    monkeypatch.setenv("DATA_GYM_CACHE_DIR", folder)
    assert token_counter("cl100k_base").exact


def test_half_a_surrogate_pair_is_counted() -> None:
    assert token_counter().count("a\ud800b") > 0


def test_a_megabyte_without_a_space_takes_no_quadratic_time() -> None:
    started = time.process_time()
    assert token_counter().count("a" * 1_000_000) == 125_000
    assert time.process_time() - started < 10


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300))
@example("\u0801" * 100)
@example("\u0180" * 100)
def test_estimates_are_never_far_below(text: str) -> None:
    exact = len(tiktoken.get_encoding("o200k_base").encode(text, disallowed_special=()))
    assert estimate_tokens(text) >= 0.6 * exact - 4


@pytest.mark.parametrize(
    "text",
    [
        "x1" * 500,
        " ".join(f"sha256 v{number} s{number}" for number in range(200)),
        " ".join(md5(bytes([number])).hexdigest() for number in range(50)),
        " ".join(str(UUID(md5(bytes([number])).hexdigest())) for number in range(50)),
        " ".join(b64encode(md5(bytes([number])).digest()).decode() for number in range(50)),
    ],
)
@pytest.mark.parametrize("encoding", ["o200k_base", "cl100k_base"])
def test_estimates_err_high_where_letters_and_digits_alternate(text: str, encoding: str) -> None:
    assert token_counter(encoding).count(text) <= estimate_tokens(text)


@pytest.mark.shared
@pytest.mark.parametrize("encoding", ["o200k_base", "cl100k_base"])
def test_estimates_err_high_on_real_tools(encoding: str) -> None:
    counter = token_counter(encoding)
    lines = (SHARED / "bfcl" / "tools.jsonl").read_text("utf-8").splitlines()
    below = [line for line in lines if estimate_tokens(line) < counter.count(line)]
    assert len(below) / len(lines) <= 0.001
    assert sum(map(estimate_tokens, lines)) / sum(map(counter.count, lines)) < 1.55
