"""Everything that toolret raises on purpose.

::

    ToolretError
    ├── InputError                  a given file, row or value cannot be used (a ValueError)
    │   ├── CatalogError            it is a tool catalog
    │   ├── DemoError               it is a demonstration or an evaluation request
    │   └── ReplayError             it is a recording of an LLM's replies, or lacks one of them
    ├── StoreError                  the index on disk (or its server) cannot be used
    │   ├── EmbedderMismatchError   it was built with another embedder
    │   └── StoreLockedError        another writer holds it, or finished first
    ├── EmbedderError               a model that runs here is missing, damaged or failed
    ├── LLMError                    an LLM gave no usable reply (``select`` never raises it)
    ├── BudgetError                 the token budget holds none of the chosen tools
    ├── CallError                   a tool cannot be called like this, or no answer came
    └── MissingExtraError           an optional dependency is not installed

A message says what was wrong, shows the value, and names the way out. An argument of the wrong type
is a ``TypeError``, as everywhere in Python.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "BudgetError",
    "CallError",
    "CatalogError",
    "DemoError",
    "EmbedderError",
    "EmbedderMismatchError",
    "InputError",
    "LLMError",
    "MissingExtraError",
    "ReplayError",
    "StoreError",
    "StoreLockedError",
    "ToolretError",
    "message_of",
]


class ToolretError(Exception):
    """The root: ``except ToolretError`` catches all that toolret raises on purpose, but for types.

    An argument of the wrong type is a ``TypeError``.
    """


class InputError(ToolretError, ValueError):
    """The given input cannot be used.

    Attributes:
        file: The file that the input came from, or None if it came from memory.
        place: The position in the file, such as ``line 12`` or ``/paths/~1users/get``; may be
            empty.
        problem: A description of what is wrong there, and of what to do about it.
    """

    def __init__(self, problem: str, *, file: str | Path | None = None, place: str = "") -> None:
        self.problem = problem
        self.file = None if file is None else str(file)
        self.place = place
        super().__init__(": ".join(part for part in (self.file, place, problem) if part))


class CatalogError(InputError):
    """A tool catalog cannot be used."""


class DemoError(InputError):
    """A demonstration or an evaluation request cannot be used."""


class ReplayError(InputError):
    """A recording of an LLM's replies cannot be used, or lacks what is asked of it.

    It is not an ``LLMError``: a replay that went on without the replies would measure something
    other than what was recorded.
    """


class StoreError(ToolretError):
    """The index cannot be opened, read or written."""


class EmbedderMismatchError(StoreError):
    """The index holds another embedder's vectors; vectors of two embedders are never mixed."""


class StoreLockedError(StoreError):
    """Another writer holds the index, or finished first; nothing was changed."""


class EmbedderError(ToolretError):
    """A model that runs here, an embedder or a cross-encoder, cannot be found, loaded or used."""


class LLMError(ToolretError):
    """An LLM gave no usable reply, or is not one that toolret knows.

    A selection goes on without what the LLM was to write, and says so in its ``note``.

    Attributes:
        calls: Number of failed calls.
        input_tokens: Number of tokens that these calls read; None if the LLM does not say.
        output_tokens: Number of tokens that these calls wrote; None if the LLM does not say.
    """

    calls: int = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0


class BudgetError(ToolretError):
    """The token budget is too small for any of the chosen tools in its most trimmed form."""


class CallError(ToolretError):
    """A tool cannot be called with these arguments, or no answer came.

    The message is shown to models.
    """


class MissingExtraError(ToolretError):
    """An optional dependency is not installed; the message names the extra."""


def message_of(error: BaseException) -> str:
    """Return the message of an error of foreign code, empty if the error cannot tell it."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - anyone's ``__str__`` may raise anything
        return ""
