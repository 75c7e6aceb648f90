"""Read Google-style docstrings: what a function does, and what its arguments are."""

from __future__ import annotations

import re
from collections.abc import Collection

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
    introduction: list[str] = []
    texts: dict[str, list[str]] = {}
    section, indent, current = "", -1, list[str]()
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip())
        if _ARGUMENTS_HEADING.fullmatch(line):
            section, indent, current = "arguments", -1, []
        elif _OTHER_HEADING.match(line) and (section or any(introduction)):
            section = "other"
        elif not section:
            introduction.append(line)
        elif section == "arguments" and line.strip():
            if indent < 0:
                indent = depth
            if depth == 0 < indent:  # a text without indentation ends the section
                section = "other"
                continue
            entry = _ENTRY.fullmatch(line.strip()) if depth <= indent else None
            described = _entry_names(entry, names, allow_others=allow_others) if entry else []
            if entry and described:
                current = [entry["text"] or ""]
                texts |= dict.fromkeys(described, current)
            else:
                current.append(line.strip())
    description = " ".join("\n".join(introduction).split("\n\n")).strip()
    return description, {name: " ".join(lines).strip() for name, lines in texts.items()}


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
