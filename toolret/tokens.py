"""Count the tokens of texts: exactly if tiktoken's table is on this machine, else erring high."""

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
    "estimate_tokens",
    "request_batches",
    "resolve_counter",
    "token_counter",
]

DEFAULT_ENCODING = "o200k_base"
"""The encoding of OpenAI's models since GPT-4o."""

_TABLES = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
"""The URL from which tiktoken fetches an encoding's table. Its cache names files by the SHA-1 of
their URLs."""

_LONGEST_RUN = 1_000
"""The most characters without a space that are counted at once: tiktoken takes quadratic time over
them, and cutting them can only raise the count."""

_UNBROKEN = re.compile(rf"\S{{{_LONGEST_RUN}}}")
"""A run of characters without a space, after which a text is cut to be counted."""

_PIECE = re.compile(r"[A-Za-z]+|[0-9]+|\n+|[^\S\n]+|[^\x00-\x7f]+|[\"{}\[\]:,]+|[^\sA-Za-z0-9]")
"""A piece of a text. Byte pair encodings hardly ever merge parts of two pieces into one token. The
punctuation between JSON's strings, such as ``":"``, is one piece, as it is usually one token."""


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts the tokens of a text.

    Attributes:
        encoding: The name of the encoding whose tokens are counted.
        exact: Whether tokens are counted exactly; otherwise they are estimated, erring high.
        count: A function that returns a text's number of tokens.

    Raises:
        TypeError: If ``count`` is not a function.
    """

    encoding: str
    exact: bool
    count: Callable[[str], int] = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        of_kind("count", self.count, Callable, "a function from a text to its number of tokens")


def resolve_counter(counter: TokenCounter | None) -> TokenCounter:
    """Return a valid counter unchanged, whatever its class; for None, the default encoding's.

    Raises:
        TypeError: If the counter lacks a function ``count``, or ``exact``.
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
    """Return the counter of an encoding, which only estimates if the encoding's table is missing.

    The table is looked for where tiktoken caches it: ``TIKTOKEN_CACHE_DIR``,
    ``DATA_GYM_CACHE_DIR``, or its folder among the temporary files. It is never downloaded.
    """
    if not _table_file(encoding).is_file():
        return TokenCounter(encoding, exact=False, count=estimate_tokens)
    import tiktoken

    table = tiktoken.get_encoding(encoding)

    def count(text: str) -> int:
        # A lone surrogate has no token.
        parts = _split_runs(replace_surrogates(text))
        return sum(len(table.encode(part, disallowed_special=())) for part in parts)

    return TokenCounter(encoding, exact=True, count=count)


def _split_runs(text: str) -> Iterator[str]:
    """Yield a text in parts, cut where too many characters stand without a space."""
    start = 0
    for run in _UNBROKEN.finditer(text):
        yield text[start : run.end()]
        start = run.end()
    yield text[start:]


def estimate_tokens(text: str) -> int:
    """Estimate a text's number of tokens, erring high, for any of OpenAI's encodings.

    For 4,721 tools and demonstrations of public sets, as JSON, the estimate is never below the true
    count of ``o200k_base`` or ``cl100k_base``, and 46 % above in the median. For 6,322 requests and
    descriptions it is 38 % above in the median, and below for 2 and 6 of them. Estimates of
    hexadecimal digests are high, too; those of random lower-case letters can be less than half.
    """
    return ceil(sum(map(_estimate_piece, _PIECE.findall(text))))


@lru_cache(maxsize=65_536)  # most pieces are words, and those recur
def _estimate_piece(piece: str) -> float:
    """Estimate the tokens of a piece: of words by length, of others by how rarely they merge.

    The numbers are tokens, or characters per token if they divide the length. They were chosen so
    that whole texts are estimated as ``estimate_tokens`` says.
    """
    length = len(piece)
    if piece.isspace():  # a single space belongs to the token of the word after it
        return 0 if piece == " " else 1 + length / 16
    if not piece.isascii():
        return sum(map(_estimate_character, piece))
    if piece.isdigit():  # encodings merge three digits at most
        return 1 + ceil(length / 3)
    if piece.islower() or piece.istitle():  # a word; longer than 14 letters, it is rare or no word
        return 1 if length <= 4 else length / (4 if length <= 14 else 2)
    if piece.isalnum():  # letters of mixed case: an acronym or a name, or base64 beyond 24 letters
        return 1 + length / (2.2 if length <= 24 else 1.3)
    # Punctuation: single marks sometimes merge with a neighbour, and up to three with each other.
    return 0.95 if length == 1 else 1.3 + 0.65 * max(0, length - 3)


def _estimate_character(character: str) -> float:
    """Estimate the tokens of a character beyond ASCII, by the bytes of its script in UTF-8."""
    code = ord(character)
    if code < 0x800:  # two bytes per letter, of which the common ones are one token
        return 1.2
    if code < 0x2000:  # three bytes per letter, each of which is a token in rare scripts
        return 1.8
    if 0x2E80 <= code < 0xA000:  # ideographs and kana: three bytes, of which some merge
        return 2.4
    return 3  # all others, such as Hangul and emoji: three or four bytes that rarely merge


def request_batches(
    texts: Iterable[str], *, longest: int, most: int, together: int, encoding: str
) -> Iterator[list[str]]:
    """Split texts into batches that a service accepts, each text cut to the length it accepts.

    Args:
        texts: The texts.
        longest: The most tokens that a text may have.
        most: The most texts that a batch may have.
        together: The most tokens that a batch may have; they are estimated.
        encoding: The name of the encoding whose tokens are counted.
    """
    batch: list[str] = []
    left = together
    for text in texts:
        tokens = estimate_tokens(text)
        if tokens > longest:
            text, tokens = _truncate(text, longest, token_counter(encoding)), longest
        if batch and (len(batch) == most or tokens > left):
            yield batch
            batch, left = [], together
        batch.append(text)
        left -= tokens
    if batch:
        yield batch


def _truncate(text: str, most: int, counter: TokenCounter) -> str:
    """Return the beginning of a text, of at most ``most`` tokens."""
    while (tokens := counter.count(text)) > most:
        text = text[: len(text) * most // tokens]
    return text


def _table_file(encoding: str) -> Path:
    """Return where tiktoken caches an encoding's table."""
    folder = (
        os.environ.get("TIKTOKEN_CACHE_DIR")
        or os.environ.get("DATA_GYM_CACHE_DIR")
        or str(Path(tempfile.gettempdir()) / "data-gym-cache")
    )
    url = _TABLES.format(encoding)
    return Path(folder) / sha1(url.encode(), usedforsecurity=False).hexdigest()
