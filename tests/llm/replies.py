"""A strategy of what a model may reply where it is asked for a list as JSON."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

__all__ = ["any_replies"]

_JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 40) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def any_replies(key: str, items: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """Return texts of any kind, and JSON that has the list under its key, or nearly so."""
    lists = st.lists(items, max_size=8) | st.lists(items | _JUNK, max_size=4) | _JUNK
    answers = lists.map(lambda value: json.dumps({key: value}))
    prose = st.text(max_size=200)
    return prose | answers | st.builds("{}{}{}".format, prose, answers, prose)
