"""Names of arguments and properties that every provider takes.

Anthropic refuses a whole request if a property of one tool is not named by 1 to 64 letters, digits,
underscores, dots and hyphens, so ``filter[status]`` and ``DateCreated<`` become other names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

__all__ = ["MAX_KEY", "PropertyKeys", "argument_name", "is_key"]

MAX_KEY = 64

_DIGEST_LENGTH = 6
"""Hexadecimal digits: of the few names of a document that must change, two hardly ever collide."""

_KEY = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_KEY}}}")
_OTHER = re.compile(r"[^A-Za-z0-9_.-]+")
_WORDS = {"<": "_lt_", ">": "_gt_", "<=": "_lte_", ">=": "_gte_", "!": "_not_", "!=": "_not_"}
"""Marks that tell parameters apart, such as ``DateCreated<`` and ``DateCreated>``."""


def is_key(name: str) -> bool:
    """Whether a name can stay as it is."""
    return bool(_KEY.fullmatch(name))


def argument_name(name: str) -> str:
    """A name as a key: ``filter[status]`` becomes ``filter_status``; different ones may meet."""
    if is_key(name):
        return name
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = _OTHER.sub(lambda run: _WORDS.get(run[0].strip(), "_"), plain)
    return plain.strip("_")[:MAX_KEY] or "argument"


class PropertyKeys:
    """The keys of properties inside the arguments of a document's tools.

    Those that had to change end in a digest, so that one key never stands for two names.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def key(self, name: str) -> str:
        """The key that stands for a property."""
        if is_key(name):
            return name
        digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
        key = f"{argument_name(name)[: MAX_KEY - _DIGEST_LENGTH - 1]}_{digest}"
        self._names[key] = name
        return key

    def name(self, key: str) -> str:
        """The name of the property that a key stands for."""
        return self._names.get(key, key)

    def changed_in(self, schema: Any) -> dict[str, str]:
        """The keys in a schema that stand for another name, and that name."""
        if not self._names:
            return {}
        return {key: self._names[key] for key in _named(schema) if key in self._names}


def _named(schema: Any) -> Iterator[str]:
    """The properties that a schema names: declares, or demands without declaring them."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            demands = value.get("dependentRequired")
            lists = [value.get("properties"), value.get("required"), demands]
            lists += demands.values() if isinstance(demands, dict) else ()
            for names in lists:
                if isinstance(names, dict | list):
                    yield from (name for name in names if isinstance(name, str))
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
