"""Write tools as text, for the embedder and for the lexical index."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from toolret.schemas.accepted import accepted_form
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
"""Version of the texts that are embedded, which is part of a vector's identity: raise it when
``tool_views`` writes most tools differently, or when ``VIEW_WEIGHTS`` change. The text itself is
part of the identity too: if only a few tools read differently, the next sync embeds just those,
whereas raising the version embeds all tools again."""

VIEW_WEIGHTS = (1.0, 0.35)
"""Weight in a tool's vector of each of its views: its whole text, and its description alone, which
name and parameters blur."""

_VALUES = ("enum", "const", "default", "example", "examples")
"""Keywords of JSON Schema that list values of an argument; their values contain no schemas."""

_PARAMETERS_TEXT = 1_500
"""The most characters of all a tool's parameter descriptions together: APIs with dozens of
parameters have thousands, among which what the tool does would be lost."""

_MORE_TEXT = 300
"""The most characters of a tool's argument values and nested arguments: published APIs have
thousands, most of which say nothing about what a tool does. Between 200 and 600 it makes little
difference."""

LONGEST_REMEMBERED = 64
"""The most characters of a word whose parts are cached. Longer words of requests, such as keys and
digests, do not come again, and would fill the memory."""

MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0963\u0970-\u0dff"
"""Ranges of accents and vowel signs that are separate characters: those of any letter, and those of
Hebrew, Arabic and the scripts of India, with letters among them. Python's ``\\w`` excludes them."""

_RUN = re.compile(rf"(?:[^\W\d_]|[{MARKS}])+|\d+")
"""A run of letters of any script, or of digits."""


def split_identifier(name: str) -> str:
    """Return the words of an identifier: ``listInvoices_v2`` becomes ``list Invoices v 2``."""
    return _split_runs(name) if len(name) <= LONGEST_REMEMBERED else _split_runs.__wrapped__(name)


@lru_cache(maxsize=65_536)  # the same words are read again and again
def _split_runs(name: str) -> str:
    """Return what ``split_identifier`` returns."""
    return " ".join(word for run in _RUN.findall(name) for word in _split_case(run)) or name


def _split_case(run: str) -> Iterator[str]:
    """Yield the words that capitals delimit: ``HTTPServer`` is ``HTTP``, ``Server``."""
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
    """Return a tool as text: its namespace, name, description, tags and parameters.

    What tells tools apart comes first, since embedding models read only so far. A tool for which
    nothing remains, such as one that is called ``...``, has its name or id as its text.
    """
    parts = [split_identifier(tool.namespace), split_identifier(tool.name), tool.description]
    parts += _tag_texts(tool)
    parts += [f"{split_identifier(name)} {text}".strip() for name, text in _parameter_texts(tool)]
    text = ". ".join(part.strip().rstrip(".") for part in parts if part.strip())
    return text or tool.name.strip() or tool.id


def searched_text(tool: Tool) -> str:
    """Return the text that a request's words are looked for in: ``tool_text`` and more.

    The rest, which would blur an embedding, is the values that arguments may have, and the names
    and descriptions of nested arguments.
    """
    left = _MORE_TEXT
    parts = [tool_text(tool)]
    for text in _argument_texts(tool.parameters):
        if len(text) <= left:
            left -= len(text)
            parts.append(text)
    return ". ".join(parts)


def tool_views(tool: Tool) -> str:
    """Return a tool's text to embed, one line per view; the last is empty without a description."""
    return "\n".join(" ".join(view.split()) for view in (tool_text(tool), tool.description))


def _tag_texts(tool: Tool) -> list[str]:
    """Return the tags about a tool's purpose, except one that repeats its namespace."""
    texts = [split_identifier(tag) for tag in tool.tags if tag not in BEHAVIOUR_TAGS]
    namespace = split_identifier(tool.namespace).casefold()
    return [text for text in texts if text.casefold() != namespace]


def _parameter_texts(tool: Tool) -> Iterator[tuple[str, str]]:
    """Yield the name of each parameter and its description, cut so that all are short enough."""
    schema = tool.parameters or {}
    properties: Any = schema.get("properties") or accepted_form(schema)["properties"]
    if not isinstance(properties, Mapping):
        return
    texts = {str(name): _description(schema) for name, schema in properties.items()}
    longest = _length_limit([len(text) for text in texts.values()], _PARAMETERS_TEXT)
    for name, text in texts.items():
        cut = text[:longest]
        # In a script without spaces, any character may be the last.
        yield name, text if cut == text else cut.rpartition(" ")[0] or cut


def _argument_texts(parameters: Any) -> Iterator[str]:
    """Yield, level by level, a schema's texts that ``tool_text`` does not have.

    These are the values that arguments may have, and the names and descriptions of nested ones.
    """
    level: list[tuple[str, Any]] = [("", parameters)]
    known = 2  # levels whose names and descriptions are in ``tool_text``
    while level:
        inner: list[tuple[str, Any]] = []
        for name, schema in level:
            texts = [] if known > 0 else [split_identifier(name), _description(schema)]
            if isinstance(schema, Mapping):
                texts += _value_texts(schema)
                inner += _inner_schemas(schema)
            if text := " ".join(filter(None, texts)):
                yield text
        level = inner
        known -= 1


def _inner_schemas(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the schemas directly within a schema, each with its name if it is a property's."""
    for keyword, value in schema.items():
        if keyword == "properties" and isinstance(value, Mapping):
            yield from ((str(name), inner) for name, inner in value.items())
        elif isinstance(value, Mapping) and keyword not in _VALUES:
            yield "", value
        elif isinstance(value, list) and keyword not in _VALUES:
            yield from (("", item) for item in value if isinstance(item, Mapping))


def _value_texts(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the values that an argument may have, as far as they are texts in its schema."""
    for keyword in _VALUES:
        value = schema.get(keyword)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield item


def _description(schema: Any) -> str:
    """Return the description in a schema, in one line; empty if there is none."""
    text = schema.get("description") if isinstance(schema, Mapping) else None
    return " ".join(text.split()) if isinstance(text, str) else ""


def _length_limit(lengths: Sequence[int], most: int) -> int:
    """Return the length to cut longer texts to, so that all lengths add up to ``most`` at most."""
    left = most
    for done, length in enumerate(sorted(lengths)):
        if length > (share := left // (len(lengths) - done)):
            return share
        left -= length
    return most
