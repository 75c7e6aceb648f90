"""Read Google-style docstrings: what a function does, and what its arguments are."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

__all__ = ["read_docstring"]

_ARGUMENTS_HEADING = re.compile(
    r"(?:(?:keyword )?arg(?:ument)?s|(?:other )?param(?:eter)?s):\s*", re.IGNORECASE
)
"""The first line of a section about arguments."""

_OTHER_HEADING = re.compile(r"(?:Returns?|Yields?|Raises|Examples?):")
"""The first word of a section that a model need not read, unless it is all that there is."""

_ENTRY = re.compile(
    r"(?P<names>\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*"
    r"(?:\((?:[^()]|\([^()]*\))*\)\s*)?:(?:\s+(?P<text>.*))?"
)
"""The first line of an entry about one or several arguments: ``size (int, optional): text``."""


def read_docstring(
    text: str, names: Collection[str], *, allow_others: bool = False
) -> tuple[str, dict[str, str]]:
    """Split a docstring into the description before its first section, and the arguments' texts.

    Args:
        text: The docstring, without common indentation.
        names: The function's arguments.
        allow_others: Whether other arguments may be described, as ``**kwargs`` accepts them.

    Raises:
        ValueError: If it describes something that is no argument.
    """
    introduction, sections = _split_sections(text)
    texts: dict[str, str] = {}
    for lines in sections:
        texts |= _argument_texts(lines, names, allow_others=allow_others)
    return " ".join("\n".join(introduction).split("\n\n")).strip(), texts


def _split_sections(text: str) -> tuple[list[str], list[list[str]]]:
    """Return the lines before the first section, and those of each section about arguments."""
    introduction: list[str] = []
    sections: list[list[str]] = []
    current: list[str] | None = introduction  # None in a section that is not read
    for line in text.splitlines():
        if _ARGUMENTS_HEADING.fullmatch(line):
            current = []
            sections.append(current)
        elif _OTHER_HEADING.match(line) and (current is not introduction or any(introduction)):
            current = None
        elif current is introduction:
            introduction.append(line)
        elif current is not None and line.strip():
            if current and _indent(line) == 0 < _indent(current[0]):
                current = None  # a text without indentation ends the section
            else:
                current.append(line)
    return introduction, sections


def _argument_texts(
    lines: Sequence[str], names: Collection[str], *, allow_others: bool
) -> dict[str, str]:
    """Return the texts about arguments in the lines of a section; see ``read_docstring``."""
    texts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        is_start = _indent(line) <= _indent(lines[0])
        entry = _ENTRY.fullmatch(line.strip()) if is_start else None
        described = _entry_names(entry, names, allow_others=allow_others) if entry else []
        if entry and described:
            current = [entry["text"] or ""]
            texts |= dict.fromkeys(described, current)
        else:
            current.append(line.strip())
    return {name: " ".join(parts).strip() for name, parts in texts.items()}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _entry_names(entry: re.Match[str], names: Collection[str], *, allow_others: bool) -> list[str]:
    """Return the arguments that an entry is about; none if it is about something else.

    Raises:
        ValueError: If it is about a single name that is no argument.
    """
    described = [name.strip().lstrip("*") for name in entry["names"].split(",")]
    unknown = [name for name in described if name not in names]
    if unknown and len(described) == 1 and not allow_others:
        raise ValueError(
            f"its docstring describes {unknown[0]!r}, which is no argument of it: correct the name"
        )
    return described if allow_others or not unknown else []
