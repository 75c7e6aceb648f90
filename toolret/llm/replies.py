"""Extract JSON from a model's reply."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from toolret.errors import LLMError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["json_object", "parse_reply_as"]

_MOST_BRACES = 100
"""The most positions in a reply at which a JSON object is tried to be parsed. This bounds the time
that a reply full of braces can take."""

_Reply = TypeVar("_Reply", bound="DataclassInstance")


def parse_reply_as(kind: type[_Reply], reply: str) -> _Reply:
    """Parse the JSON object in a reply as a dataclass.

    Args:
        kind: The dataclass. If a reply holds several objects, the one with the first field counts.
        reply: The reply's text.

    Raises:
        LLMError: If the reply holds no JSON object, or its values are not of the
            dataclass's types.
    """
    # Imported late, so that a search without an LLM starts sooner.
    from pydantic import TypeAdapter, ValidationError

    value = json_object(reply, fields(kind)[0].name)
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "reply"
        raise LLMError(f"malformed reply: {place}: {problem['msg']}") from error


def json_object(reply: str, key: str) -> dict[str, Any]:
    """Return the JSON object in a reply, whether it stands alone, in a code fence or within prose.

    If there are several, this is the last one that has ``key``, since drafts come first; if none
    has it, the first one. Text between ``<think>`` and ``</think>`` is ignored.

    Raises:
        LLMError: If the reply holds no JSON object.
    """
    objects = list(_objects(_without_thoughts(reply), key))
    if not objects:
        raise LLMError(f"the reply is no JSON: {reply[:60]!r}")
    return next((value for value in reversed(objects) if key in value), objects[0])


def _objects(reply: str, key: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects in a text; nested ones too, unless the outer object has the key."""
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
    """Remove the reasoning that some servers leave in, sometimes without its opening tag."""
    if reply.lstrip().startswith(("{", "```")):  # already an answer, even if it mentions a tag
        return reply
    thoughts, end, rest = reply.partition("</think>")
    if end:
        return rest
    return "" if thoughts.lstrip().startswith("<think>") else reply
