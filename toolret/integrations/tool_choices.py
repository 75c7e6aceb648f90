"""The tools that a ``tool_choice`` names, as LangChain and providers write it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["chosen", "name_of", "without"]

_MODES = frozenset({"any", "auto", "none", "required", "validated"})
"""Choices that name no tool."""

_KINDS = ("custom", "function", "tool")
"""Kinds of tools that are chosen by a name; others are providers' own."""


def chosen(choice: Any) -> tuple[str, ...]:
    """Return the names of the tools that the model must call, or may call; hosted ones have none.

    Args:
        choice: A tool's name, or what OpenAI, Anthropic or Bedrock take; anything else names none.
    """
    if isinstance(choice, str):
        return () if choice.lower() in _MODES else (choice,)
    return tuple(filter(None, map(name_of, _listed(choice) or [choice])))


def without(choice: Any, unsent: Collection[str]) -> Any:
    """Return a choice without the tools that are not sent; None if it names nothing else."""
    left = [each for each in _listed(choice) if name_of(each) not in unsent]
    if not left:
        return None
    inner = choice.get("allowed_tools")
    if isinstance(inner, Mapping):
        return {**choice, "allowed_tools": {**inner, "tools": left}}
    return {**choice, "tools": left}


def _listed(choice: Any) -> list[Any]:
    """The tools that an ``allowed_tools`` choice lists, in either of OpenAI's forms."""
    inner = choice.get("allowed_tools", choice) if isinstance(choice, Mapping) else None
    tools = inner.get("tools") if isinstance(inner, Mapping) else None
    return tools if isinstance(tools, list) else []


def name_of(choice: Any) -> str:
    """The name of the one tool that is chosen; empty for a hosted one."""
    if not isinstance(choice, Mapping) or choice.get("type", "tool") not in _KINDS:
        return ""
    inner = [choice[kind] for kind in _KINDS if isinstance(choice.get(kind), Mapping)]
    name = (inner or [choice])[0].get("name")
    return name if isinstance(name, str) else ""
