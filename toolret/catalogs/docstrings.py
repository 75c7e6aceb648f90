"""Read Google-style docstrings: what a function does, and what its arguments are."""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["read_docstring"]

_ARGUMENTS = re.compile(
    r"(?:(?:keyword )?arg(?:ument)?s|(?:other )?param(?:eter)?s):\s*", re.IGNORECASE
)
_OTHERS = re.compile(r"(?:Returns?|Yields?|Raises|Examples?):")
"""First words of the sections that a model need not read, unless nothing else is said."""

_ENTRY = re.compile(
    r"(?P<names>\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*"
    r"(?:\((?:[^()]|\([^()]*\))*\)\s*)?:(?:\s+(?P<text>.*))?"
)
"""The first line about an argument, or about several: ``size (int, optional): text``."""


def read_docstring(
    text: str, names: Collection[str], *, more: bool = False
) -> tuple[str, dict[str, str]]:
    """Split a docstring into the description before its first section, and the arguments' texts.

    Args:
        text: The docstring, without common indentation.
        names: The function's arguments.
        more: Whether others than these may be described, as ``**kwargs`` accepts them.

    Raises:
        ValueError: If it describes something that is no argument.
    """
    described: list[str] = []
    told: dict[str, list[str]] = {}
    section, indent, current = "", -1, list[str]()
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip())
        if _ARGUMENTS.fullmatch(line):
            section, indent, current = "arguments", -1, []
        elif _OTHERS.match(line) and (section or any(described)):
            section = "other"
        elif not section:
            described.append(line)
        elif section == "arguments" and line.strip():
            if indent < 0:
                indent = depth
            if depth == 0 < indent:  # a text without indentation ends the section
                section = "other"
                continue
            entry = _ENTRY.fullmatch(line.strip()) if depth <= indent else None
            found = _entry_names(entry, names, more=more) if entry else []
            if entry and found:
                current = [entry["text"] or ""]
                told |= dict.fromkeys(found, current)
            else:
                current.append(line.strip())
    description = " ".join("\n".join(described).split("\n\n")).strip()
    return description, {name: " ".join(lines).strip() for name, lines in told.items()}


def _entry_names(entry: re.Match[str], names: Collection[str], *, more: bool) -> list[str]:
    """Return the arguments that an entry is about; none if it is about something else."""
    found = [name.strip().lstrip("*") for name in entry["names"].split(",")]
    unknown = [name for name in found if name not in names]
    if unknown and len(found) == 1 and not more:
        raise ValueError(
            f"its docstring describes {unknown[0]!r}, which is no argument of it: correct the name"
        )
    return found if more or not unknown else []
