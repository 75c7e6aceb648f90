"""What is read out of a model's reply."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from toolret.errors import QueryGenerationError

__all__ = ["json_object"]

_MOST_BRACES = 100
"""Places where a JSON object is looked for, so that a reply of braces costs no time."""


def json_object(reply: str, key: str) -> dict[str, Any]:
    """The JSON object in a reply, alone, in a code fence or among prose.

    The last that has ``key``, for drafts come before it, else the first at all. What stands between
    ``<think>`` and ``</think>`` is passed over.

    Raises:
        QueryGenerationError: If the reply holds none.
    """
    objects = list(_objects(_without_thoughts(reply), key))
    if not objects:
        raise QueryGenerationError(f"the reply is no JSON: {reply[:60]!r}")
    return next((found for found in reversed(objects) if key in found), objects[0])


def _objects(reply: str, key: str) -> Iterator[dict[str, Any]]:
    """The objects in a text; what stands within one, unless that has the key."""
    decoder = json.JSONDecoder()
    start = reply.find("{")
    for _ in range(_MOST_BRACES):
        if start < 0:
            return
        end = start + 1
        with suppress(ValueError, RecursionError):  # no JSON, or a number of thousands of digits
            value, after = decoder.raw_decode(reply, start)
            yield value
            end = after if key in value else end
        start = reply.find("{", end)


def _without_thoughts(reply: str) -> str:
    """What follows the thoughts that some servers leave in; some leave out where they begin."""
    if reply.lstrip().startswith(("{", "```")):  # an answer, whatever its texts hold
        return reply
    thoughts, end, rest = reply.partition("</think>")
    if end:
        return rest
    return "" if thoughts.lstrip().startswith("<think>") else reply
