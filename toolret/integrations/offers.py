"""What a model is offered over a conversation: rules that several integrations need.

Providers cache a prompt by its beginning, which holds the tools. So tools once offered stay, in the
same order, and new ones go to the end. What has to leave a list that is full, each integration
decides: see ``openai.planning`` and ``langchain.offering``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from toolret.json_values import short_repr
from toolret.turns import field_of

__all__ = [
    "SEARCH_DESCRIPTION",
    "called_names",
    "names_to_offer",
    "refusal",
]

SEARCH_DESCRIPTION = (
    "Searches the catalog for tools. Search when none of the tools at hand does what is needed, "
    "once for each different thing to do."
)
"""What a model is told of the tool with which it searches."""


def called_names(messages: Iterable[Any]) -> tuple[str, ...]:
    """Return the names of the tools that a conversation calls, in order of first use.

    Args:
        messages: Messages of Chat Completions, items of Responses, or LangChain messages; dicts or
            objects. A message of another form counts as calling nothing.
    """
    names: list[Any] = []
    for message in messages:
        if field_of(message, "type") == "function_call":
            names.append(field_of(message, "name"))
        calls = field_of(message, "tool_calls")
        if isinstance(calls, Sequence):
            names += [field_of(field_of(call, "function") or call, "name") for call in calls]
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))


def names_to_offer(
    offered: Sequence[str], called: Iterable[str], selected: Iterable[str], known: Collection[str]
) -> tuple[str, ...]:
    """Return the names to offer now: those offered before, then new ones.

    Args:
        offered: Names that the previous turn offered, in its order.
        called: Names that the conversation calls: a provider may refuse a conversation with calls
            of tools that are not offered.
        selected: Names that were selected for this turn, best first.
        known: Names of tools that exist and that the caller may use; others are left out.
    """
    names = dict.fromkeys([*offered, *called, *selected])
    return tuple(name for name in names if name in known)


def refusal(name: str, offered: Collection[str] | None) -> str:
    """Return the message to a model that called a tool that it was not offered.

    Args:
        name: The name that it called.
        offered: Names that it may call, to be listed in the message; None to list none.
    """
    refused = f"Error: the tool {short_repr(name)} is not available now"
    if offered is None:
        return refused
    return f"{refused}. Available: {', '.join(sorted(offered)) or 'none'}"
