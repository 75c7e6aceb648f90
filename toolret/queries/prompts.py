"""Prompts: the package's files, or the user's own text instead."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from toolret.errors import InputError
from toolret.options import of_kind

__all__ = ["Prompt", "as_prompt", "shipped_prompt"]

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt template.

    Attributes:
        name: The file's name without extension; a shipped one ends in its version.
        text: The text, with ``{placeholder}`` for each value; other braces are literal.
    """

    name: str
    text: str

    def fill(self, **values: str | int) -> str:
        """Fill in the placeholders; braces in the values are literal."""
        return _PLACEHOLDER.sub(lambda place: str(values.get(place[1], place[0])), self.text)


@cache
def shipped_prompt(name: str) -> Prompt:
    """Load a prompt of the package, such as ``rewrite_v1``."""
    return Prompt(name, files("toolret.llm").joinpath("prompts", f"{name}.txt").read_text("utf-8"))


def as_prompt(given: str | Path | None, shipped: str, *, needs: Collection[str]) -> Prompt:
    """Return the user's prompt, or the shipped one.

    Args:
        given: Path of a file, or a text; None for the shipped prompt.
        shipped: Name of the shipped prompt.
        needs: Required placeholders.

    Raises:
        InputError: If the file cannot be read, a placeholder is missing, or it is neither.
    """
    of_kind("prompt", given, str | Path | None, "a text, or a Path of a file", error=InputError)
    if given is None:
        return shipped_prompt(shipped)
    if isinstance(given, Path):
        try:
            prompt = Prompt(given.stem, given.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise InputError(f"the prompt cannot be read: {reason}", file=given) from error
    else:
        prompt = Prompt("own", given)
    there = set(_PLACEHOLDER.findall(prompt.text))
    if missing := [name for name in needs if name not in there]:
        raise InputError(
            f"the prompt {prompt.name!r} lacks {{{missing[0]}}}: a prompt in the place of "
            f"{shipped!r} needs {', '.join(f'{{{name}}}' for name in needs)}, each where its "
            "value shall stand"
        )
    return prompt
