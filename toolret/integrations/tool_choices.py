"""Reads which tools a ``tool_choice`` names, in the forms of LangChain and of providers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["chosen_name", "chosen_names", "without_names"]

_MODES = frozenset({"any", "auto", "none", "required", "validated"})
"""Choices, as strings, that name no tool."""

_KINDS = ("custom", "function", "tool")
"""Kinds of tools that are chosen by a name; others are providers' own."""


def chosen_names(choice: Any) -> tuple[str, ...]:
    """Return the names of the tools that the model must call, or may call.

    Tools that a provider runs itself have no names.

    Args:
        choice: A tool's name, or what OpenAI, Anthropic or Bedrock take; anything else names none.
    """
    if isinstance(choice, str):
        return () if choice.lower() in _MODES else (choice,)
    return tuple(filter(None, map(chosen_name, _listed_tools(choice) or [choice])))


def without_names(choice: Any, unsent: Collection[str]) -> Any:
    """Return a choice without the tools of some names; None if it names nothing else."""
    remaining = [tool for tool in _listed_tools(choice) if chosen_name(tool) not in unsent]
    if not remaining:
        return None
    inner = choice.get("allowed_tools")
    if isinstance(inner, Mapping):
        return {**choice, "allowed_tools": {**inner, "tools": remaining}}
    return {**choice, "tools": remaining}


def _listed_tools(choice: Any) -> list[Any]:
    """Return the tools that an ``allowed_tools`` choice lists, in either of OpenAI's forms."""
    inner = choice.get("allowed_tools", choice) if isinstance(choice, Mapping) else None
    tools = inner.get("tools") if isinstance(inner, Mapping) else None
    return tools if isinstance(tools, list) else []


def chosen_name(choice: Any) -> str:
    """Return the name of the one tool that is chosen; empty for a tool that a provider runs."""
    if not isinstance(choice, Mapping) or choice.get("type", "tool") not in _KINDS:
        return ""
    inner = [choice[kind] for kind in _KINDS if isinstance(choice.get(kind), Mapping)]
    name = (inner or [choice])[0].get("name")
    return name if isinstance(name, str) else ""
