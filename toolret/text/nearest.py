"""Parts of error messages about unknown ids: the known id that was probably meant, and others."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean", "nor_others"]

_MOST_NAMED = 5
"""The most further unknown ids that a message names."""


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
    more = f" and {len(others) - _MOST_NAMED:,} more" if len(others) > _MOST_NAMED else ""
    return f" (nor {', '.join(others[:_MOST_NAMED])}{more}, which others name)"
