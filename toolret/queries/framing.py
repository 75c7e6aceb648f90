"""Frame a conversation as data for a prompt: one JSON object per line, within a token budget.

No text in it can contain a line break, so none can pass for the instructions around it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolret.queries.conversation import as_request
from toolret.text.surrogates import replace_surrogates
from toolret.tokens import estimate_tokens
from toolret.turns import content_text
from toolret.types import Message, Request

__all__ = ["BUDGET", "Framed", "conversation_lines", "frame", "json_lines", "truncate"]

BUDGET = 3_000
"""The default budget of a conversation, in tokens: about twenty turns, which a small model reads in
well under a second. Tokens are always estimated, so that prompts are equal on every machine, and
cached or recorded replies match them."""

_LONGEST_MESSAGE = 2_000
"""How many characters of a message the model sees. The beginning is kept, since it names things,
with a note of how much was left out."""

_LONGEST_RESULT = 500
"""How many characters of a tool's result, or of a call's arguments, the model sees. Here too, the
beginning is kept."""

_SHORTEST = 60
"""The fewest characters to which the texts that must stay are shortened, to fit the budget."""

_LINE_ENDS = re.compile("[\x7f\x85\u2028\u2029]")
"""The characters that JSON does not escape, though some readers treat them as line ends."""


@dataclass(frozen=True, slots=True)
class Framed:
    """A conversation as JSON lines.

    Attributes:
        lines: The turns, one JSON object per line, oldest first.
        cut: A note for people of what was left out to fit the budget; empty if nothing was.
    """

    lines: str
    cut: str = ""


def frame(request: Request, *, budget: int = BUDGET) -> Framed:
    """Frame a conversation within a token budget.

    The first system message, the notes about the user and the user's last message always stay. Of
    the other messages, the oldest are dropped first. Long texts are shortened: messages to 2,000
    characters, tool results and call arguments to 500. The texts that must stay are shortened
    further if necessary.

    Args:
        request: The conversation, and notes about the user.
        budget: The budget of the lines, in tokens. Tokens are overestimated rather than
            underestimated.
    """
    messages = list(as_request(request).messages) or [{"role": "user", "content": request.text}]
    kept = _always_kept(messages)
    longest = _LONGEST_MESSAGE
    while True:
        notes = [{"about_the_user": truncate(request.notes, longest)}] if request.notes else []
        lines = {place: _as_line(_as_turn(messages[place], longest)) for place in kept}
        opening = json_lines(notes)
        left = budget - estimate_tokens(opening) - sum(map(estimate_tokens, lines.values()))
        if left >= 0 or longest <= _SHORTEST:
            break
        longest //= 2
    dropped = 0
    for place in sorted(set(range(len(messages))) - kept, reverse=True):
        line = _as_line(_as_turn(messages[place], _LONGEST_MESSAGE))
        left -= estimate_tokens(line)
        if left < 0:
            dropped = place + 1 - sum(other <= place for other in kept)
            break
        lines[place] = line
    text = "\n".join(filter(None, [opening, *(lines[place] for place in sorted(lines))]))
    cuts = [f"the oldest {dropped} of {len(messages)} messages"] if dropped else []
    cuts += [f"texts after {longest} characters"] if longest < _LONGEST_MESSAGE else []
    return Framed(text, " and ".join(cuts))


def conversation_lines(request: Request) -> str:
    """Return a conversation as lines for a prompt, within the default budget; see ``frame``."""
    return frame(request).lines


def json_lines(values: Iterable[Mapping[str, Any]]) -> str:
    """Return data as lines for a prompt: one JSON object per line, without other line breaks."""
    return "\n".join(map(_as_line, values))


def truncate(text: str, longest: int) -> str:
    """Cut a text to its first characters, with a note of how many were left out."""
    rest = len(text) - longest
    return text if rest <= 0 else f"{text[:longest]} [{rest} more characters]"


def _as_line(value: Mapping[str, Any]) -> str:
    line = json.dumps(value, ensure_ascii=False)
    line = _LINE_ENDS.sub(lambda end: f"\\u{ord(end[0]):04x}", line)
    return replace_surrogates(line)


def _always_kept(messages: Sequence[Message]) -> set[int]:
    """Return the positions of the first system message and of the user's last message."""
    roles = [message.get("role") for message in messages]
    systems = [place for place, role in enumerate(roles) if role in ("system", "developer")]
    users = [place for place, role in enumerate(roles) if role == "user"]
    return {*systems[:1], (users or [len(messages) - 1])[-1]}


def _as_turn(message: Message, longest: int) -> dict[str, Any]:
    """Return what the model sees of a message, with texts of at most ``longest`` characters."""
    role = str(message.get("role"))
    most = min(longest, _LONGEST_RESULT) if role == "tool" else longest
    text = truncate(content_text(message.get("content")), most)
    turn: dict[str, Any] = {"role": role, "text": text}
    if calls := message.get("tool_calls"):
        turn["called"] = [_call_text(**call["function"]) for call in calls]
    return turn


def _call_text(name: str, arguments: Any) -> str:
    """Return a call as ``name(arguments)``."""
    if arguments is None:
        arguments = ""
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False, default=str, skipkeys=True)
    return f"{name}({truncate(arguments, _LONGEST_RESULT)})"
