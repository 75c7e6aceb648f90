"""Parse YAML as JSON values, and nothing more.

Keys stay text as written (``on``, ``no``, ``200``), and the only plain scalars that are not text
are ``true``, ``false``, ``null`` and decimal numbers. So dates, country codes, ``0123`` and
``12:30``, which YAML 1.1 would convert, stay as written. Duplicate keys, aliases that expand
hugely, and tags beyond JSON's types are rejected.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

import yaml

__all__ = ["YamlError", "parse_yaml"]

_MAX_DEPTH = 200
"""Most levels of nesting, because later code is recursive; real documents stay below 40."""

_MAX_ALIASED = 1_000_000
"""Most values that aliases may expand to; a "billion laughs" document has far more."""

_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""PyYAML's parser in C where it is there, or else the one in Python."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,300})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_MERGE_KEY = "<<"
"""The key whose value's content is merged into the mapping that holds it."""

_CORE = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_CORE + name for name in ("bool", "float", "int", "null"))
_STRING_TAGS = frozenset({"!", _CORE + "str"})
_COLLECTION_TAGS = frozenset({None, "!", _CORE + "map", _CORE + "seq"})


class _Mark(Protocol):
    """A position in a YAML text, from 0, as in both of PyYAML's parsers."""

    line: int
    column: int
    index: int


class YamlError(Exception):
    """YAML that is not accepted; callers add the file's name.

    Attributes:
        problem: The problem.
        place: The line and column, or empty.
    """

    def __init__(self, problem: str, mark: _Mark | None) -> None:
        self.problem = problem
        self.place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        super().__init__(problem)


@dataclass(slots=True)
class _OpenCollection:
    """A collection being read.

    Attributes:
        value: The content so far.
        anchor: The collection's anchor, or None.
        start: Number of values read before the collection.
        key: The key whose value comes next, or None.
        merges: Whether that key is an (unquoted) merge key.
        merged: Mappings to merge in, in order.
    """

    value: dict[str, Any] | list[Any]
    anchor: str | None
    start: int
    key: str | None = None
    merges: bool = False
    merged: list[dict[str, Any]] = field(default_factory=list)


def parse_yaml(text: str) -> Any:
    """Parse a YAML text that holds a single document.

    Raises:
        YamlError: If it is not accepted.
    """
    try:
        return _Builder().build(text)
    except yaml.MarkedYAMLError as exc:
        mark: _Mark | None = exc.problem_mark
        parts = [part for part in (exc.context, exc.problem) if part]
        if mark and text.startswith("\t", mark.index):  # the parser in C does not name it
            parts = ["a tab where only spaces may stand"]
        raise YamlError(f"broken YAML: {', '.join(parts)}", mark) from exc
    except yaml.reader.ReaderError as exc:
        raise YamlError(f"broken YAML: {exc.reason} (character {exc.position + 1})", None) from exc


class _Builder:
    """Builds values from the parser's events, so that no nesting can exhaust the stack."""

    def __init__(self) -> None:
        self._documents: list[Any] = []
        self._open: list[_OpenCollection] = []
        self._anchored: dict[str, tuple[Any, int]] = {}
        self._values = 0
        self._aliased = 0

    def build(self, text: str) -> Any:
        """Return the value of a YAML text; None if it is empty."""
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.ScalarEvent):
                self._add_scalar(event)
            elif isinstance(event, yaml.AliasEvent):
                self._add_alias(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._start_collection(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end_collection(event)
            elif isinstance(event, yaml.DocumentStartEvent) and self._documents:
                raise YamlError("a second YAML document begins; give one a file", event.start_mark)
        return self._documents[0] if self._documents else None

    def _add_scalar(self, event: yaml.ScalarEvent) -> None:
        """Add a scalar, which may be a key."""
        if self._expects_key():
            self._set_key(event.value, event)
            self._open[-1].merges = event.value == _MERGE_KEY and event.implicit[0]
            if event.anchor:
                self._anchored[event.anchor] = (event.value, 1)
            return
        value: Any = event.value
        if event.tag in _PLAIN_TAGS or (event.tag is None and event.implicit[0]):
            value = _plain_scalar(event.value)
        elif event.tag is not None and event.tag not in _STRING_TAGS:
            raise YamlError(f"the tag {event.tag!r} is not read", event.start_mark)
        self._values += 1
        if event.anchor:
            self._anchored[event.anchor] = (value, 1)
        self._add(value, event)

    def _add_alias(self, event: yaml.AliasEvent) -> None:
        """Add the value that an alias stands for, which may be a key."""
        if event.anchor not in self._anchored:
            raise YamlError(
                f"the alias *{event.anchor} stands for nothing, or for itself", event.start_mark
            )
        value, size = self._anchored[event.anchor]
        self._values += size
        self._aliased += size
        if self._aliased > _MAX_ALIASED:
            raise YamlError(
                f"its aliases stand for more than {_MAX_ALIASED:,} values", event.start_mark
            )
        if self._expects_key():
            self._set_key(value, event)
        else:
            self._add(value, event)

    def _start_collection(self, event: yaml.CollectionStartEvent) -> None:
        """Open a mapping or sequence."""
        if event.tag not in _COLLECTION_TAGS:
            raise YamlError(f"the tag {event.tag!r} is not read", event.start_mark)
        if self._expects_key():
            raise YamlError("a key must be a single word or text", event.start_mark)
        if len(self._open) == _MAX_DEPTH:
            raise YamlError(f"nested deeper than {_MAX_DEPTH} levels", event.start_mark)
        value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._open.append(_OpenCollection(value, event.anchor, self._values))
        self._values += 1

    def _end_collection(self, event: yaml.CollectionEndEvent) -> None:
        """Close the innermost collection and add it; its own keys win over merged ones."""
        closed = self._open.pop()
        if isinstance(closed.value, dict):
            for source in closed.merged:
                closed.value.update({k: v for k, v in source.items() if k not in closed.value})
        if closed.anchor:
            self._anchored[closed.anchor] = (closed.value, self._values - closed.start)
        self._add(closed.value, event)

    def _expects_key(self) -> bool:
        """Whether the next value is a mapping's key."""
        return bool(
            self._open and isinstance(self._open[-1].value, dict) and self._open[-1].key is None
        )

    def _set_key(self, key: Any, event: yaml.NodeEvent) -> None:
        if not isinstance(key, str):
            raise YamlError("a key must be a single word or text", event.start_mark)
        if key in self._open[-1].value:
            raise YamlError(f"the key {key!r} stands twice in one mapping", event.start_mark)
        self._open[-1].key = key

    def _add(self, value: Any, event: yaml.Event) -> None:
        """Put a value into the innermost open collection, or make it the document."""
        if not self._open:
            self._documents.append(value)
            return
        top = self._open[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.merges:
            sources = value if isinstance(value, list) else [value]
            if not all(isinstance(source, dict) for source in sources):
                raise YamlError("what << merges must be a mapping", event.start_mark)
            top.merged += sources
            top.key, top.merges = None, False
        elif top.key is not None:
            top.value[top.key] = value
            top.key = None


def _plain_scalar(text: str) -> Any:
    """Return the JSON value of a plain (unquoted) scalar."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text
