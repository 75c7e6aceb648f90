"""A request into its clauses: the parts that may each need a tool of their own. No LLM."""

from __future__ import annotations

import re
from itertools import accumulate

from toolret.text.lexical import words
from toolret.text.values import QUOTED, unquoted

__all__ = ["split_clauses"]

_SEPARATOR = re.compile(
    r"""
      \n+                                   # lists
    | (?<=[.!?;])\s+                        # sentences
    | [\u3002\uff01\uff1f\uff1b\uff0c\u3001]  # the same and commas in Chinese and Japanese
    | ,\s+
    | \s+(?: and\ then | and\ also | and | then | also | as\ well\ as | after\ that | afterwards
           | followed\ by | plus | but | finally | before | after | so\ that | while )\s+
    """,
    re.IGNORECASE | re.VERBOSE,
)

_LEAST_TOKENS = 3
_LEAST_WORDS = 2
"""Of a clause: tokens between spaces, and words that are no stop words. Less than that is a name
or an aside ("in Rome, please"), which belongs to the clause before it."""

_MOST_CLAUSES = 10
"""Of a request: each costs an embedding and a search; no public set has requests of more needs
than about twelve, and neighbouring parts of a longer list belong together well enough."""


def split_clauses(text: str) -> tuple[str, ...]:
    """The clauses of a request, in order, each once; empty if it is one clause only."""
    clauses: list[str] = []
    pending: list[str] = []
    tokens = rare = 0
    for part in _parts(unquoted(text)):
        pending.append(part)
        tokens += len(part.split())
        rare += len(words(part))
        # Scripts without spaces are measured by their words alone.
        if rare >= _LEAST_WORDS and (tokens >= _LEAST_TOKENS or not part.isascii()):
            clauses.append(" ".join(pending))
        elif clauses:
            clauses[-1] = " ".join([clauses[-1], *pending])
        else:
            continue
        pending.clear()
        tokens = rare = 0
    clauses = list(dict.fromkeys(clauses))
    if len(clauses) > _MOST_CLAUSES:
        clauses = _joined(clauses, _MOST_CLAUSES)
    return tuple(clauses) if len(clauses) > 1 else ()


def _joined(clauses: list[str], most: int) -> list[str]:
    """No more than so many, of about as many words each: neighbours are joined."""
    sizes = [len(words(clause)) for clause in clauses]
    every = sum(sizes)
    joined: dict[int, list[str]] = {}
    for clause, size, end in zip(clauses, sizes, accumulate(sizes), strict=True):
        # Where its middle lies, so that a very long one does not swallow all others.
        joined.setdefault((2 * end - size) * most // (2 * every), []).append(clause)
    return [" ".join(some) for some in joined.values()]


def _parts(text: str) -> list[str]:
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
