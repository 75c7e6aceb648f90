"""All lint checks, with their levels and advice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

__all__ = ["CHECKS", "LEVELS", "Check", "Finding", "Level", "join_first"]

Level: TypeAlias = Literal["error", "warning", "note"]

LEVELS: tuple[Level, ...] = get_args(Level)
"""The levels, most severe first. An error makes calls fail or does harm; a warning makes retrieval
fail."""


@dataclass(frozen=True, slots=True)
class Check:
    """A kind of problem to look for.

    Attributes:
        level: Its severity.
        advice: What the owner of the catalog can do.
    """

    level: Level
    advice: str


CHECKS: dict[str, Check] = {
    "instruction-to-model": Check(
        "error",
        "remove the sentence, or do not use this source: a description describes, it does not "
        "command",
    ),
    "hidden-character": Check(
        "error", "remove these characters: people do not see what the model reads"
    ),
    "invalid-schema": Check(
        "error",
        "rename the property, correct the reference, or put the argument under 'properties': a "
        "provider refuses the whole request",
    ),
    "missing-description": Check(
        "warning", "describe the tool in a sentence: what it does and when to use it"
    ),
    "short-description": Check(
        "warning", "make the description a sentence: what the tool does and when to use it"
    ),
    "other-language": Check(
        "warning",
        "index with a multilingual embedder, and ignore this check: the default one reads English, "
        "and many requests would find none of these tools",
    ),
    "same-description": Check("warning", "say in each description what only this tool does"),
    "similar-description": Check("warning", "begin each description with what only this tool does"),
    "missing-schema": Check(
        "warning", "give the arguments as JSON Schema in 'parameters'; a model has to guess them"
    ),
    "schema-defect": Check(
        "warning", "change the default, the choices, 'required' or the type, so that they agree"
    ),
    "asks-for-secret": Check(
        "warning",
        "remove the argument from the document and let HttpRunner(credentials=...) send the "
        "secret: a model does not know it, and should not",
    ),
    "rewritten-schema": Check(
        "note",
        "write 'parameters' as one object in draft 2020-12, with what belongs together in words: "
        "prompts get it so, but other programs may send it as it is",
    ),
    "unknown-field": Check(
        "note", "rename the field to what toolret reads, or leave it if it is something else"
    ),
    "similar-name": Check(
        "note", "rename one of the tools, or say in both descriptions what sets them apart"
    ),
    "undescribed-parameter": Check(
        "note", "give each of these parameters a 'description' of a few words"
    ),
    "long-description": Check("note", "put what the tool does first and shorten the rest"),
    "large-schema": Check(
        "note", "remove parameters that no agent needs, or offer a simpler operation"
    ),
}
"""All checks by name, in the order of the report."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that was found.

    Attributes:
        check: The name of the check.
        tools: The ids of the tools concerned.
        problem: What is wrong, in a few words.
        place: The place in the tool: a JSON pointer into its ``parameters``, or a field's name; may
            be empty.
        similarity: Similarity of the descriptions, 0 to 1; None for other checks.
    """

    check: str
    tools: tuple[str, ...]
    problem: str
    place: str = ""
    similarity: float | None = None

    @property
    def level(self) -> Level:
        """The severity."""
        return CHECKS[self.check].level

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return {
            "check": self.check,
            "level": self.level,
            "tools": list(self.tools),
            "place": self.place,
            "problem": self.problem,
            "advice": CHECKS[self.check].advice,
            "similarity": self.similarity,
        }


def join_first(parts: Sequence[str], most: int, separator: str = ", ") -> str:
    """Return the first ``most`` parts joined; dots stand for the others."""
    return separator.join([*parts[:most], *["..."] * (len(parts) > most)])
