"""Counting tokens: exactly if tiktoken's table is on this machine, else erring high."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from hashlib import sha1
from math import ceil
from pathlib import Path

from toolret.options import of_kind
from toolret.text.surrogates import replace_surrogates

__all__ = [
    "DEFAULT_ENCODING",
    "TokenCounter",
    "batches",
    "checked_counter",
    "estimate_tokens",
    "token_counter",
]

DEFAULT_ENCODING = "o200k_base"
"""The encoding of OpenAI's models since GPT-4o."""

_TABLES = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
"""The URL that tiktoken fetches a table from; its cache names files by the URL's SHA-1."""

_LONGEST_RUN = 1_000
"""How many characters without a space are counted at once: tiktoken takes quadratic time over them,
and cutting them can only raise the count."""

_UNBROKEN = re.compile(rf"\S{{{_LONGEST_RUN}}}")

_PIECE = re.compile(r"[A-Za-z]+|[0-9]+|\n+|[^\S\n]+|[^\x00-\x7f]+|[\"{}\[\]:,]+|[^\sA-Za-z0-9]")
"""Pieces that byte pair encodings roughly never merge. The punctuation between JSON's strings, such
as ``":"``, is usually one token."""


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts the tokens of a text.

    Attributes:
        encoding: The name of the encoding whose tokens are counted.
        exact: Whether they are counted exactly; otherwise they are an estimate that errs high.
        count: Returns a text's number of tokens.

    Raises:
        TypeError: If ``count`` is no function.
    """

    encoding: str
    exact: bool
    count: Callable[[str], int] = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        of_kind("count", self.count, Callable, "a function from a text to its number of tokens")


def checked_counter(counter: TokenCounter | None) -> TokenCounter:
    """Return a counter as it is, whatever its class; for None, the default encoding's.

    Raises:
        TypeError: If it does not count, or does not say how exactly.
    """
    if counter is None:
        return token_counter()
    if not callable(getattr(counter, "count", None)) or not hasattr(counter, "exact"):
        raise TypeError(
            f"counter is {counter!r}: give a TokenCounter, such as "
            "TokenCounter('my-encoding', exact=True, count=count)"
        )
    return counter


@cache
def token_counter(encoding: str = DEFAULT_ENCODING) -> TokenCounter:
    """Return the counter for an encoding; never downloads a table.

    The table is looked for where tiktoken caches it: ``TIKTOKEN_CACHE_DIR``,
    ``DATA_GYM_CACHE_DIR``, or its folder among the temporary files.
    """
    if not _table(encoding).is_file():
        return TokenCounter(encoding, exact=False, count=estimate_tokens)
    import tiktoken

    table = tiktoken.get_encoding(encoding)

    def count(text: str) -> int:
        # Half a surrogate pair has no token.
        parts = _parts(replace_surrogates(text))
        return sum(len(table.encode(part, disallowed_special=())) for part in parts)

    return TokenCounter(encoding, exact=True, count=count)


def _parts(text: str) -> Iterator[str]:
    start = 0
    for run in _UNBROKEN.finditer(text):
        yield text[start : run.end()]
        start = run.end()
    yield text[start:]


def estimate_tokens(text: str) -> int:
    """Estimate a text's tokens, erring high, for any of OpenAI's encodings.

    For 4,721 tools and demonstrations of public sets, as JSON, the estimate is never below the true
    count of ``o200k_base`` or ``cl100k_base``, and 46 % above in the median; for 6,322 requests and
    descriptions it is 38 % above in the median, and below for 2 and 6 of them. Hexadecimal digests
    err high, too; random lower-case letters can come out at less than half.
    """
    return ceil(sum(map(_estimate_piece, _PIECE.findall(text))))


@lru_cache(maxsize=65_536)  # most pieces are words, and those recur
def _estimate_piece(piece: str) -> float:
    """Estimate one piece: words by length, the rest by how rarely its characters merge."""
    length = len(piece)
    if piece.isspace():
        return 0 if piece == " " else 1 + length / 16
    if not piece.isascii():
        return sum(map(_estimate_character, piece))
    if piece.isdigit():
        return 1 + ceil(length / 3)
    if piece.islower() or piece.istitle():
        return 1 if length <= 4 else length / (4 if length <= 14 else 2)
    if piece.isalnum():
        return 1 + length / (2.2 if length <= 24 else 1.3)
    return 0.95 if length == 1 else 1.3 + 0.65 * max(0, length - 3)


def _estimate_character(character: str) -> float:
    code = ord(character)
    if code < 0x800:  # alphabets with two bytes per letter
        return 1.2
    if code < 0x2000:  # with three bytes, each of which is a token in rare scripts
        return 1.8
    if 0x2E80 <= code < 0xA000:  # ideographs and kana
        return 2.4
    return 3


def batches(
    texts: Iterable[str], *, longest: int, most: int, together: int, encoding: str
) -> Iterator[list[str]]:
    """Split texts into batches that a service accepts, each text cut to the length it accepts.

    Args:
        texts: The texts.
        longest: The most tokens of a text.
        most: The most texts of a batch.
        together: The most tokens of a batch, by the estimate.
        encoding: The encoding whose tokens are meant.
    """
    batch: list[str] = []
    left = together
    for text in texts:
        tokens = estimate_tokens(text)
        if tokens > longest:
            text, tokens = _cut(text, longest, token_counter(encoding)), longest
        if batch and (len(batch) == most or tokens > left):
            yield batch
            batch, left = [], together
        batch.append(text)
        left -= tokens
    if batch:
        yield batch


def _cut(text: str, most: int, counter: TokenCounter) -> str:
    while (tokens := counter.count(text)) > most:
        text = text[: len(text) * most // tokens]
    return text


def _table(encoding: str) -> Path:
    folder = (
        os.environ.get("TIKTOKEN_CACHE_DIR")
        or os.environ.get("DATA_GYM_CACHE_DIR")
        or str(Path(tempfile.gettempdir()) / "data-gym-cache")
    )
    url = _TABLES.format(encoding)
    return Path(folder) / sha1(url.encode(), usedforsecurity=False).hexdigest()
