"""LangChain: agents, retrievers, example selectors and tools.

Names are imported on first use: only the middleware needs the package ``langchain``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from toolret.errors import MissingExtraError

if TYPE_CHECKING:
    from toolret.integrations.langchain.access import Caller
    from toolret.integrations.langchain.bigtool import (
        retrieve_tools_coroutine,
        retrieve_tools_function,
    )
    from toolret.integrations.langchain.middleware import ToolRetrieverMiddleware
    from toolret.integrations.langchain.retrievers import as_retriever
    from toolret.integrations.langchain.selectors import as_example_selector
    from toolret.integrations.langchain.tools import langchain_tools

__all__ = [
    "Caller",
    "ToolRetrieverMiddleware",
    "as_example_selector",
    "as_retriever",
    "langchain_tools",
    "retrieve_tools_coroutine",
    "retrieve_tools_function",
]

_HOMES = {
    "Caller": "access",
    "ToolRetrieverMiddleware": "middleware",
    "as_example_selector": "selectors",
    "as_retriever": "retrievers",
    "langchain_tools": "tools",
    "retrieve_tools_coroutine": "bigtool",
    "retrieve_tools_function": "bigtool",
}
"""The module of each name."""


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if not TYPE_CHECKING:  # it would tell type checkers that the module has any name

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            module = import_module(f"{__name__}.{_HOMES[name]}")
        except ModuleNotFoundError as exc:
            if (exc.name or "").split(".")[0] not in ("langchain", "langgraph"):
                raise
            raise MissingExtraError(
                f"{name} needs the extra: pip install 'toolret[langchain]'"
            ) from exc
        return getattr(module, name)
