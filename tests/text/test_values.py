from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolret.embedders import RoleEmbedder
from toolret.embedders.unit_vectors import unit
from toolret.index import ToolIndex
from toolret.ranking.comparer import Comparer
from toolret.testing import HashedWordsEmbedder
from toolret.text.values import unquoted, without_values
from toolret.types import Tool


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("Cancel my order.", "Cancel my order."),
        ('Translate "good morning" to French', "Translate to French"),
        (
            "call it 'red one', don't wait for the dogs' walk",
            "call it , don't wait for the dogs' walk",
        ),
        ("mail bob.b+x@example.org the file /srv/a/b.csv", "mail the file"),
        ("read https://example.org/a?b=1 aloud", "read aloud"),
        ("pay $3,000 on 2024-01-05 at 10:30", "pay on at"),
        ("encode base64, copy to s3 and/or mp3", "encode base64, copy to s3 and/or mp3"),
        ('"weather", "news"', '"weather", "news"'),
        ("", ""),
    ],
)
def test_values_are_left_out_unless_no_word_remains(text: str, bare: str) -> None:
    assert without_values(text) == bare


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ('"Pay the bill."', "Pay the bill."),
        (" “Pay it” ", "Pay it"),
        ("'Pay it'", "Pay it"),
        ('"""Pay it"""', "Pay it"),
        ("```\nPay it\n```", "\nPay it\n"),
        ("'Pay Bob's bill'", "'Pay Bob's bill'"),
        ('"pay" and "close"', '"pay" and "close"'),
        ('""', '""'),
        ('"""', '"""'),
        ('"', '"'),
        ("Pay", "Pay"),
        ("", ""),
    ],
)
def test_only_a_text_that_is_quoted_as_a_whole_loses_its_marks(text: str, bare: str) -> None:
    assert unquoted(text) == bare


@given(st.text(alphabet="ab'\"`@/.:1-$ \n", max_size=60))
def test_no_request_loses_all_its_words(text: str) -> None:
    left = without_values(text)
    assert left == text or 0 < len(left) <= len(text)


@pytest.mark.parametrize("piece", ["a", "a@", "/a", "'", '"a\n', "~", "1.", "-"])
def test_long_requests_take_no_time(piece: str) -> None:
    started = time.process_time()
    without_values(piece * 50_000)
    assert time.process_time() - started < 2


def test_tools_are_searched_halfway_between_a_request_and_the_request_without_values(
    tmp_path: Path,
) -> None:
    embedder = RoleEmbedder(HashedWordsEmbedder())
    index = ToolIndex(tmp_path / "index", embedder=embedder)
    index.sync_tools(
        [
            Tool(
                "words.translate",
                namespace="words",
                name="translate",
                description="Translate a text.",
            )
        ]
    )
    request = 'Translate "cancel all invoices" to French'
    as_tools, as_demos = Comparer(index.snapshot, embedder).embed([request, "Translate this"])
    said, bare = embedder.embed([request, "Translate to French"], "tool_request")
    assert np.allclose(as_tools[0], unit((said + bare)[None])[0])
    assert np.allclose(as_demos[0], said)
    assert np.allclose(as_tools[1], as_demos[1])
    tool = index.snapshot.tools.vectors[0]
    assert as_tools[0] @ tool > as_demos[0] @ tool
    quoted, _ = Comparer(index.snapshot, embedder).embed(["'Translate 3 texts'"])
    assert np.allclose(quoted, Comparer(index.snapshot, embedder).embed(["Translate 3 texts"])[0])
