"""Tell which library a model object comes from, without importing unused libraries."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["is_langchain", "is_of", "is_openai"]


def is_of(llm: Any, module: str, *names: str) -> bool:
    """Whether an object is an instance of a module's classes; False if that is not imported."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(llm, tuple(getattr(loaded, name) for name in names))


def is_openai(llm: Any) -> bool:
    """Whether an object is a client of the ``openai`` package."""
    return is_of(llm, "openai", "OpenAI", "AsyncOpenAI")


def is_langchain(llm: Any) -> bool:
    """Whether an object is a LangChain ``Runnable``: a chat model, or one derived from it."""
    return is_of(llm, "langchain_core.runnables", "Runnable")
