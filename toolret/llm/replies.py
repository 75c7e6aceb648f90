"""Extract JSON from a model's reply."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from toolret.errors import QueryGenerationError

__all__ = ["json_object"]

_MOST_BRACES = 100
"""Most positions tried for a JSON object, which bounds the time for a reply full of braces."""


def json_object(reply: str, key: str) -> dict[str, Any]:
    """Find the JSON object in a reply: alone, in a code fence or within prose.

    Returns the last object that has ``key``, since drafts come first, or else the first object.
    Text between ``<think>`` and ``</think>`` is ignored.

    Raises:
        QueryGenerationError: If the reply holds none.
    """
    objects = list(_objects(_without_thoughts(reply), key))
    if not objects:
        raise QueryGenerationError(f"the reply is no JSON: {reply[:60]!r}")
    return next((found for found in reversed(objects) if key in found), objects[0])


def _objects(reply: str, key: str) -> Iterator[dict[str, Any]]:
    """Yield the objects in a text; nested ones too, unless their container has the key."""
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
    """Drop the reasoning that some servers leave in, sometimes without its opening tag."""
    if reply.lstrip().startswith(("{", "```")):  # already an answer, even if it mentions a tag
        return reply
    thoughts, end, rest = reply.partition("</think>")
    if end:
        return rest
    return "" if thoughts.lstrip().startswith("<think>") else reply
