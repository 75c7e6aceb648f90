"""Rules, shared by all integrations, for what a model is offered over a conversation.

Providers cache a prompt by its beginning, which holds the tools. So tools once offered stay, in the
same order, and new ones go to the end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from toolret.json_values import short_repr
from toolret.text.names import DISCOVER

__all__ = ["DISCOVER", "PROVIDER_LIMIT", "bounded", "called_names", "grown", "refusal"]

PROVIDER_LIMIT = 128
"""How many tools OpenAI accepts in a request."""


def called_names(messages: Iterable[Any]) -> tuple[str, ...]:
    """Names of the tools that a conversation calls, in order of first use.

    Args:
        messages: Messages of Chat Completions, items of Responses, or LangChain messages; dicts or
            objects. Those of other forms count as calling nothing.
    """
    names: list[Any] = []
    for message in messages:
        if _field(message, "type") == "function_call":
            names.append(_field(message, "name"))
        calls = _field(message, "tool_calls")
        if isinstance(calls, Sequence):
            names += [_field(_field(call, "function") or call, "name") for call in calls]
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))


def grown(
    offered: Sequence[str], called: Iterable[str], selected: Iterable[str], known: Collection[str]
) -> tuple[str, ...]:
    """Return the names to offer now: those offered before, then new ones.

    Args:
        offered: What the previous turn offered, in its order.
        called: What the conversation calls: a provider may refuse a conversation with calls of
            tools that are not offered.
        selected: What was selected for this turn, best first.
        known: Tools that exist and that the caller may use; others are left out.
    """
    return tuple(n for n in dict.fromkeys([*offered, *called, *selected]) if n in known)


def bounded(
    offered: Sequence[str],
    called: Sequence[str],
    selected: Sequence[str],
    known: Collection[str],
    *,
    most: int,
) -> tuple[str, ...]:
    """``grown``, but starting over when it would hold more than ``most``.

    Then what was offered before stays only if it is called or selected now, so the prompt's
    beginning changes once instead of in every turn that follows.
    """
    names = grown(offered, called, selected, known)
    if len(names) <= most:
        return names
    wanted = {*called, *selected}
    names = grown([name for name in offered if name in wanted], called, selected, known)
    if len(names) <= most:
        return names
    # What the conversation calls takes precedence over what is merely selected.
    kept = {*grown((), called, selected, known)[:most]}
    return tuple(name for name in names if name in kept)


def refusal(name: str, offered: Collection[str] | None) -> str:
    """Message to a model that called a tool it was not offered; None means too many to list."""
    refused = f"Error: the tool {short_repr(name)} is not available now"
    if offered is None:
        return refused
    return f"{refused}. Available: {', '.join(sorted(offered)) or 'none'}"


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
