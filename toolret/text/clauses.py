"""Split a request into its clauses, the parts that may each need their own tool, without an LLM."""

from __future__ import annotations

import re
from itertools import accumulate

from toolret.text.lexical import words
from toolret.text.values import QUOTED, unquoted

__all__ = ["split_clauses"]

_SEPARATOR = re.compile(
    r"""
      (?: ^ | \n+ | (?<=[.!?;])\s+ )        # words that order the parts and say no more
        (?: (?: first | second | third | fourth | fifth | last | final )(?:ly)? | next | then | also
          | later | additionally | afterwards? | after\ that | besides | furthermore | moreover
          | in\ addition | meanwhile ),\s+
    | \n+                                   # lists
    | (?<=[.!?;])\s+                        # sentences
    | [\u3002\uff01\uff1f\uff1b\uff0c\u3001]  # the same and commas in Chinese and Japanese
    | ,\s+
    | \s+(?: and\ then | and\ also | and | then | also | as\ well\ as | after\ that | afterwards
           | followed\ by | plus | but | finally | before | after | so\ that | while )\s+
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What may separate two clauses: punctuation, line breaks, and words that join clauses."""

_LEAST_TOKENS = 3
"""The least number of tokens between spaces in a clause: fewer are a name or an aside ("in Rome,
please"), which belongs to the clause before it."""

_LEAST_WORDS = 2
"""The least number of words in a clause that are no stop words, for the same reason."""

_MOST_CLAUSES = 10
"""The largest number of clauses of a request. Each costs an embedding and a search; no public set
has requests of more than about twelve needs, and neighbouring parts of a longer list belong
together well enough."""


def split_clauses(text: str) -> tuple[str, ...]:
    """Return the clauses of a request, in order, each once; none if it is a single clause."""
    clauses: list[str] = []
    pending: list[str] = []
    token_count = word_count = 0
    for part in _parts(unquoted(text)):
        pending.append(part)
        token_count += len(part.split())
        word_count += len(words(part))
        # Scripts without spaces are measured by their words alone.
        if word_count >= _LEAST_WORDS and (token_count >= _LEAST_TOKENS or not part.isascii()):
            clauses.append(" ".join(pending))
        elif clauses:
            clauses[-1] = " ".join([clauses[-1], *pending])
        else:
            continue
        pending.clear()
        token_count = word_count = 0
    clauses = list(dict.fromkeys(clauses))
    if len(clauses) > _MOST_CLAUSES:
        clauses = _merge(clauses, _MOST_CLAUSES)
    return tuple(clauses) if len(clauses) > 1 else ()


def _merge(clauses: list[str], most: int) -> list[str]:
    """Join neighbouring clauses into ``most`` groups at most, of about equal word counts."""
    sizes = [len(words(clause)) for clause in clauses]
    total = sum(sizes)
    groups: dict[int, list[str]] = {}
    for clause, size, end in zip(clauses, sizes, accumulate(sizes), strict=True):
        # A clause goes where its middle lies, so that a very long one does not swallow all others.
        groups.setdefault((2 * end - size) * most // (2 * total), []).append(clause)
    return [" ".join(group) for group in groups.values()]


def _parts(text: str) -> list[str]:
    """Return the parts of a text between separators, except those within quotations."""
    parts = []
    start = 0
    quotations = [match.span() for match in QUOTED.finditer(text)]
    passed = 0
    for separator in _SEPARATOR.finditer(text):
        while passed < len(quotations) and quotations[passed][1] <= separator.start():
            passed += 1
        if passed < len(quotations) and quotations[passed][0] < separator.start():
            continue
        parts.append(text[start : separator.start()])
        start = separator.end()
    parts.append(text[start:])
    return [stripped for part in parts if (stripped := part.strip(" \t,.;"))]
