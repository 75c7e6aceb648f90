"""Which library a model is of, without loading one that is not in use."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["is_langchain", "is_of", "is_openai"]


def is_of(llm: Any, module: str, *names: str) -> bool:
    """Whether it is of one of a module's classes; it is not if the module was never loaded."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(llm, tuple(getattr(loaded, name) for name in names))


def is_openai(llm: Any) -> bool:
    """Whether it is a client of the ``openai`` package."""
    return is_of(llm, "openai", "OpenAI", "AsyncOpenAI")


def is_langchain(llm: Any) -> bool:
    """Whether it is LangChain's: a chat model, or what one was made into."""
    return is_of(llm, "langchain_core.runnables", "Runnable")
