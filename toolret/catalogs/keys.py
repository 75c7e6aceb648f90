"""Make names of arguments and properties that every provider accepts.

Anthropic rejects a whole request if one tool has a property whose name is not 1 to 64 letters,
digits, underscores, dots and hyphens, so ``filter[status]`` and ``DateCreated<`` are renamed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

__all__ = ["MAX_KEY", "PropertyKeys", "argument_name", "is_key", "with_name"]

MAX_KEY = 64
"""Most characters of a name that every provider accepts."""

_DIGEST_LENGTH = 6
"""Hexadecimal digits of a digest: enough to make collisions among a document's few renamed names
unlikely."""

_KEY = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_KEY}}}")
"""A name that every provider accepts."""

_INVALID_RUN = re.compile(r"[^A-Za-z0-9_.-]+")
"""Characters that no provider has to accept."""

_SYMBOLS = {"<": "_lt_", ">": "_gt_", "<=": "_lte_", ">=": "_gte_", "!": "_not_", "!=": "_not_"}
"""Replacements of the symbols by which parameters such as ``DateCreated<`` and ``DateCreated>``
differ."""


def is_key(name: str) -> bool:
    """Whether every provider accepts a name as it is."""
    return bool(_KEY.fullmatch(name))


def argument_name(name: str) -> str:
    """Return a key for a name: ``filter_status`` for ``filter[status]``; keys may collide."""
    if is_key(name):
        return name
    plain = _INVALID_RUN.sub(lambda run: _SYMBOLS.get(run[0].strip(), "_"), _without_accents(name))
    return plain.strip("_")[:MAX_KEY] or "argument"


def with_name(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a property's schema, whose description begins with the name if no key can spell it.

    Keys have the letters of English only: without the name, nothing would say what ``город`` or
    ``城市`` is.
    """
    if is_key(name) or not any(c.isalnum() and not c.isascii() for c in _without_accents(name)):
        return schema
    text = schema.get("description", "")
    if name in text:
        return schema
    return {**schema, "description": f"{name}: {text}" if text else name}


def _without_accents(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name)
    return "".join(c for c in plain if not unicodedata.combining(c))


class PropertyKeys:
    """Keys for the nested properties of a document's tools.

    Changed ones end in a digest, so that a key never stands for two names.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def key(self, name: str) -> str:
        """Return the key for a property's name, and remember it if it had to change."""
        if is_key(name):
            return name
        digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
        key = f"{argument_name(name)[: MAX_KEY - _DIGEST_LENGTH - 1]}_{digest}"
        self._names[key] = name
        return key

    def name(self, key: str) -> str:
        """Return the original name of a key."""
        return self._names.get(key, key)

    def changed_in(self, schema: Any) -> dict[str, str]:
        """Return a schema's changed keys, with their original names."""
        if not self._names:
            return {}
        return {key: self._names[key] for key in _property_names(schema) if key in self._names}


def _property_names(schema: Any) -> Iterator[str]:
    """Yield the property names in a schema, declared or only required."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            dependent = value.get("dependentRequired")
            holders = [value.get("properties"), value.get("required"), dependent]
            holders += dependent.values() if isinstance(dependent, dict) else ()
            for names in holders:
                if isinstance(names, dict | list):
                    yield from (name for name in names if isinstance(name, str))
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
