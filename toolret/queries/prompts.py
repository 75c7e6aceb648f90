"""The prompts of strategies: shipped ones, or the user's own."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from toolret.errors import InputError
from toolret.llm.shipped import prompt_text
from toolret.options import of_kind

__all__ = ["Prompt", "as_prompt", "shipped_prompt"]

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt template.

    Attributes:
        name: The file's name without extension; the name of a shipped prompt ends in its version.
        text: The text, with a ``{placeholder}`` for each value; other braces are literal.
    """

    name: str
    text: str

    def fill(self, **values: str | int) -> str:
        """Return the text with values for its placeholders; braces in the values are literal."""
        return _PLACEHOLDER.sub(lambda place: str(values.get(place[1], place[0])), self.text)


def shipped_prompt(name: str) -> Prompt:
    """Return a prompt that is shipped with the package, such as ``rewrite_v1``."""
    return Prompt(name, prompt_text(name))


def as_prompt(prompt: str | Path | None, shipped: str, *, needs: Collection[str]) -> Prompt:
    """Return the user's prompt, or the shipped one.

    Args:
        prompt: The path of a file, or a text; None for the shipped prompt.
        shipped: The name of the shipped prompt.
        needs: The names of the placeholders that a prompt must have.

    Raises:
        InputError: If the file cannot be read, a placeholder is missing, or ``prompt`` is neither a
            path nor a text.
    """
    of_kind("prompt", prompt, str | Path | None, "a text, or a Path of a file", error=InputError)
    if prompt is None:
        return shipped_prompt(shipped)
    if isinstance(prompt, Path):
        try:
            template = Prompt(prompt.stem, prompt.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise InputError(f"the prompt cannot be read: {reason}", file=prompt) from error
    else:
        template = Prompt("own", prompt)
    placeholders = set(_PLACEHOLDER.findall(template.text))
    if missing := [name for name in needs if name not in placeholders]:
        raise InputError(
            f"the prompt {template.name!r} lacks {{{missing[0]}}}: a prompt in the place of "
            f"{shipped!r} needs {', '.join(f'{{{name}}}' for name in needs)}, each where its "
            "value shall stand"
        )
    return template
