"""What is read out of a model's reply."""

from __future__ import annotations

import json
from typing import Any

from toolret.errors import QueryGenerationError

__all__ = ["json_object"]

_MOST_BRACES = 100
"""Places where a JSON object is looked for, so that a reply of braces costs no time."""


def json_object(reply: str, key: str) -> dict[str, Any]:
    """The JSON object in a reply, alone, in a code fence or among prose.

    The first that has ``key``, else the first at all.

    Raises:
        QueryGenerationError: If the reply holds none.
    """
    decoder = json.JSONDecoder()
    first: dict[str, Any] | None = None
    start = reply.find("{")
    tries = 0
    while start >= 0 and tries < _MOST_BRACES:
        tries += 1
        try:
            value, _ = decoder.raw_decode(reply, start)
        except (ValueError, RecursionError):  # no JSON, or a number of thousands of digits
            value = None
        if isinstance(value, dict):
            if key in value:
                return value
            first = first or value
        start = reply.find("{", start + 1)
    if first is None:
        raise QueryGenerationError(f"the reply is no JSON: {reply[:60]!r}")
    return first
