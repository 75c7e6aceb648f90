"""How a tool reads as text: for the embedder, and for the lexical index."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from toolret.schemas.accepted import accepted
from toolret.types import BEHAVIOUR_TAGS, Tool

__all__ = [
    "LONGEST_REMEMBERED",
    "MARKS",
    "RENDERER_VERSION",
    "VIEW_WEIGHTS",
    "searched_text",
    "split_identifier",
    "tool_text",
    "tool_views",
]

RENDERER_VERSION = "3"
"""Part of the identity of a vector: raise it when ``tool_views`` writes most tools differently, or
when ``VIEW_WEIGHTS`` change. The text is part of it too: where a few read differently, the next
sync embeds those anew, and raising it would have all embedded anew."""

VIEW_WEIGHTS = (1.0, 0.35)
"""What each view of a tool counts in its vector: all that is said of it, and what it does, which
its name and parameters blur."""

_VALUES = ("enum", "const", "default", "example", "examples")
"""Keywords of JSON Schema that say what an argument may be; there are no schemas in them."""

_PARAMETERS_TEXT = 1_500
"""Characters of the descriptions of all a tool's parameters: APIs with dozens of parameters say
thousands, among which what the tool does would be lost."""

_MORE_TEXT = 300
"""Characters of values and of nested arguments: published APIs have thousands, most of which say
nothing of what a tool does. Between 200 and 600 it makes little difference."""

LONGEST_REMEMBERED = 64
"""Characters of what is split once for all. Requests hold longer ones, such as keys and digests,
which do not come again, and would fill the memory."""

MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0963\u0970-\u0dff"
"""Accents and vowel signs that are characters of their own: any letter's, and those of Hebrew,
Arabic and the scripts of India, with letters of theirs. To Python they end a word."""

_RUN = re.compile(rf"(?:[^\W\d_]|[{MARKS}])+|\d+")
"""Letters of any script, or digits."""


def split_identifier(name: str) -> str:
    """The words of an identifier: ``listInvoices_v2`` becomes ``list Invoices v 2``."""
    return _split(name) if len(name) <= LONGEST_REMEMBERED else _split.__wrapped__(name)


@lru_cache(maxsize=65_536)  # the same words are read again and again
def _split(name: str) -> str:
    return " ".join(word for run in _RUN.findall(name) for word in _split_case(run)) or name


def _split_case(run: str) -> Iterator[str]:
    """Words that only their capitals tell apart: ``HTTPServer`` is ``HTTP``, ``Server``."""
    start = 0
    for i in range(1, len(run)):
        begins_word = run[i].isupper() and run[i - 1].islower()
        ends_acronym = run[i].islower() and run[i - 1].isupper() and i - 1 > start
        if begins_word or ends_acronym:
            end = i if begins_word else i - 1
            yield run[start:end]
            start = end
    yield run[start:]


def tool_text(tool: Tool) -> str:
    """A tool as one line of text: where it belongs, its name, what it does, tags, parameters.

    What tells tools apart comes first, since embedding models read only so far. A tool of which
    that leaves nothing, such as one that is called ``...``, reads as its name or id.
    """
    parts = [split_identifier(tool.namespace), split_identifier(tool.name), tool.description]
    parts += _tag_texts(tool)
    parts += [f"{split_identifier(name)} {text}".strip() for name, text in _parameter_texts(tool)]
    said = ". ".join(part.strip().rstrip(".") for part in parts if part.strip())
    return said or tool.name.strip() or tool.id


def searched_text(tool: Tool) -> str:
    """What the words of a request are looked for in: ``tool_text``, and more of the arguments.

    That is what they may be, and the arguments in them; an embedding would be blurred by it.
    """
    left = _MORE_TEXT
    parts = [tool_text(tool)]
    for text in _more(tool.parameters):
        if len(text) <= left:
            left -= len(text)
            parts.append(text)
    return ". ".join(parts)


def tool_views(tool: Tool) -> str:
    """A tool as its embedding reads it: its views, each a line; empty without a description."""
    return "\n".join(" ".join(view.split()) for view in (tool_text(tool), tool.description))


def _tag_texts(tool: Tool) -> list[str]:
    """The tags that say what a tool is about, but for one that its namespace says."""
    texts = [split_identifier(tag) for tag in tool.tags if tag not in BEHAVIOUR_TAGS]
    namespace = split_identifier(tool.namespace).casefold()
    return [text for text in texts if text.casefold() != namespace]


def _parameter_texts(tool: Tool) -> Iterator[tuple[str, str]]:
    schema = tool.parameters or {}
    properties: Any = schema.get("properties") or accepted(schema)["properties"]
    if not isinstance(properties, Mapping):
        return
    texts = {str(name): _description(schema) for name, schema in properties.items()}
    longest = _longest([len(text) for text in texts.values()], _PARAMETERS_TEXT)
    for name, text in texts.items():
        cut = text[:longest]
        # In a script without spaces, any character may be the last.
        yield name, text if cut == text else cut.rpartition(" ")[0] or cut


def _more(parameters: Any) -> Iterator[str]:
    """What a schema says beside its own properties' names and descriptions, level by level."""
    level: list[tuple[str, Any]] = [("", parameters)]
    known = 2  # levels of which the names and descriptions are said
    while level:
        inner: list[tuple[str, Any]] = []
        for name, schema in level:
            said = [] if known > 0 else [split_identifier(name), _description(schema)]
            if isinstance(schema, Mapping):
                said += _values(schema)
                inner += _inner(schema)
            if text := " ".join(filter(None, said)):
                yield text
        level = inner
        known -= 1


def _inner(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas in a schema, with their names if they are properties."""
    for keyword, value in schema.items():
        if keyword == "properties" and isinstance(value, Mapping):
            yield from ((str(name), inner) for name, inner in value.items())
        elif isinstance(value, Mapping) and keyword not in _VALUES:
            yield "", value
        elif isinstance(value, list) and keyword not in _VALUES:
            yield from (("", each) for each in value if isinstance(each, Mapping))


def _values(schema: Mapping[str, Any]) -> Iterator[str]:
    """The texts that an argument may be, as far as its schema says so."""
    for keyword in _VALUES:
        value = schema.get(keyword)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str):
                yield each


def _description(schema: Any) -> str:
    text = schema.get("description") if isinstance(schema, Mapping) else None
    return " ".join(text.split()) if isinstance(text, str) else ""


def _longest(lengths: Sequence[int], most: int) -> int:
    """The length to which the longer ones must be cut for all to add up to no more than that."""
    left = most
    for done, length in enumerate(sorted(lengths)):
        if length > (share := left // (len(lengths) - done)):
            return share
        left -= length
    return most
