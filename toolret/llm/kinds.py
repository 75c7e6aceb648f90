"""Tests of which library a model object comes from, without importing that library."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["is_instance_of", "is_langchain", "is_openai"]


def is_instance_of(llm: Any, module: str, *names: str) -> bool:
    """Whether an object is an instance of one of a module's classes.

    False if the module has not been imported, since then no object can come from it.
    """
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(llm, tuple(getattr(loaded, name) for name in names))


def is_openai(llm: Any) -> bool:
    """Whether an object is a client of the ``openai`` package."""
    return is_instance_of(llm, "openai", "OpenAI", "AsyncOpenAI")


def is_langchain(llm: Any) -> bool:
    """Whether an object is a LangChain ``Runnable``, as chat models and their wrappers are."""
    return is_instance_of(llm, "langchain_core.runnables", "Runnable")
