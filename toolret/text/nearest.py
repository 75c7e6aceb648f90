"""Ids in messages: which known one an unknown id probably means, and the first of many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

__all__ = ["did_you_mean", "first_ids", "nor_others"]

_MOST_NAMED = 5
"""The most ids that a message names of those that it is about."""


def did_you_mean(unknown: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known id; empty if none is near."""
    near = get_close_matches(unknown, known, n=1, cutoff=0.9)
    return f"; did you mean {near[0]!r}?" if near else ""


def nor_others(first: str, unknown: Iterable[str]) -> str:
    """Return `` (nor 'a' and 2 more, which others name)`` for further unknown ids; empty if none.

    With it, one run tells of all unknown ids: without, somebody who renamed ten tools would learn
    of them one by one, in ten runs.
    """
    others = [repr(id_) for id_ in dict.fromkeys(unknown) if id_ != first]
    if not others:
        return ""
    return f" (nor {first_ids(others)}, which others name)"


def first_ids(ids: Sequence[str]) -> str:
    """Return the first ids, and how many more there are: ``a, b, c, d, e and 3 more``."""
    more = len(ids) - _MOST_NAMED
    return ", ".join(ids[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
