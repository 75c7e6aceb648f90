"""What a model is offered over the turns of a conversation: the rules that all integrations share.

Providers cache a prompt by its beginning, which holds the tools. So what was once offered stays, in
the same order, and what is new goes to the end.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from toolret.jsonlines import shown
from toolret.names import DISCOVER
from toolret.permissions import Allow, is_allowed
from toolret.types import Tool

__all__ = ["DISCOVER", "PROVIDER_LIMIT", "bounded", "called_names", "closed", "grown", "refusal"]

_log = logging.getLogger(__name__)

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


def closed(allow: Allow) -> Allow:
    """Permissions, of which a test that fails forbids the tool.

    Raises:
        TypeError: If they are a text, which Python takes for a collection of letters.
    """
    if isinstance(allow, str):
        raise TypeError(f"allow is the text {allow!r}: give a collection of permissions")
    if not callable(allow):
        return allow

    def test(tool: Tool) -> bool:
        try:
            return is_allowed(tool, allow)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no yes
            _log.warning("`allow`: the test of %r failed, so it is forbidden: %r", tool.id, error)
            return False

    return test


def refusal(name: str, offered: Collection[str]) -> str:
    """What a model is told that calls a tool which it was not offered."""
    available = ", ".join(sorted(offered)) or "none"
    return f"Error: the tool {shown(name)} is not available now. Available: {available}"


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
