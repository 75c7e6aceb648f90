"""What a model is offered over the turns of a conversation: the rules that all integrations share.

Providers cache a prompt by its beginning, which holds the tools. So what was once offered stays, in
the same order, and what is new goes to the end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from toolret.jsonlines import shown
from toolret.names import DISCOVER

__all__ = ["DISCOVER", "PROVIDER_LIMIT", "bounded", "called_names", "grown", "refusal"]

PROVIDER_LIMIT = 128
"""Tools that OpenAI takes with a request."""


def called_names(messages: Iterable[Any]) -> tuple[str, ...]:
    """Names of the tools that a conversation calls, in order of first use.

    Args:
        messages: Of Chat Completions, items of Responses, or LangChain's; dicts or objects. Those
            of other forms call nothing.
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
    """The names to offer now: what was offered before, then what is new.

    Args:
        offered: What the turn before offered, in its order.
        called: What the conversation calls: a provider may refuse a conversation that calls what
            is not offered.
        selected: What was selected for this turn, best first.
        known: What there is and the caller may use; the rest is left out.
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
    """``grown``, begun anew when it would hold more than ``most``.

    Then what was offered before stays only if it is called or selected now, so that the prompt's
    beginning changes once and not with every turn that follows.
    """
    names = grown(offered, called, selected, known)
    if len(names) <= most:
        return names
    wanted = {*called, *selected}
    names = grown([name for name in offered if name in wanted], called, selected, known)
    if len(names) <= most:
        return names
    # What the conversation calls stays before what is merely selected.
    kept = {*grown((), called, selected, known)[:most]}
    return tuple(name for name in names if name in kept)


def refusal(name: str, offered: Collection[str] | None) -> str:
    """What a model is told that calls a tool which it was not offered; None: too many to list."""
    refused = f"Error: the tool {shown(name)} is not available now"
    if offered is None:
        return refused
    return f"{refused}. Available: {', '.join(sorted(offered)) or 'none'}"


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
