"""All lint checks, with their levels and advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

__all__ = ["CHECKS", "LEVELS", "Check", "Finding", "Level"]

Level: TypeAlias = Literal["error", "warning", "note"]

LEVELS: tuple[Level, ...] = get_args(Level)
"""Most severe first. An error makes calls fail or does harm; a warning makes retrieval fail."""


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
        "error", "remove it, or do not use this source: descriptions describe, they do not command"
    ),
    "hidden-character": Check("error", "remove them: people do not see what the model reads"),
    "invalid-schema": Check("error", "correct the schema: a provider refuses the whole request"),
    "missing-description": Check("warning", "say in a sentence what it does and when to use it"),
    "short-description": Check("warning", "say in a sentence what it does and when to use it"),
    "same-description": Check("warning", "say in each what only this one does"),
    "similar-description": Check("warning", "begin each with what only this one does"),
    "missing-schema": Check("warning", "give its arguments as JSON Schema; a model has to guess"),
    "schema-defect": Check("warning", "make the schema say what is meant"),
    "rewritten-schema": Check(
        "note", "write one object in draft 2020-12, with what belongs together in words"
    ),
    "unknown-field": Check("note", "call the field as toolret does, or leave it out"),
    "similar-name": Check("note", "rename one, or say in both what sets them apart"),
    "undescribed-parameter": Check("note", "say in a few words what to give there"),
    "long-description": Check("note", "put what it does first and shorten the rest"),
    "large-schema": Check("note", "offer fewer parameters, or a simpler operation"),
}
"""All checks by name, in the order of the report."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that was found.

    Attributes:
        check: The name of the check.
        tools: The ids of the tools concerned.
        problem: What is wrong, in a few words.
        place: Where in the tool: a JSON pointer into its ``parameters``, or a field; may be empty.
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
