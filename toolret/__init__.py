"""toolret gives LLM agents the right few tools and worked examples, inside a token budget.

``ToolIndex`` keeps the tools that ``load_tools`` reads, ``ToolRetriever`` chooses among them, and a
``Toolbox`` runs them. Adapters to agent frameworks are in ``toolret.integrations``: ``langchain``,
``openai``, ``anthropic`` and ``mcp``. Stand-ins for tests are in ``toolret.testing``.

Public names are loaded when they are first used, so that ``import toolret`` costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolret.calling import HttpRunner, Runner, SecurityScheme, Toolbox, ToolResult
    from toolret.catalogs import Catalog, load_tools
    from toolret.embedders import (
        LLM_EMBEDDER_INSTRUCTIONS,
        Embedder,
        Instructions,
        OpenAIEmbedder,
        RoleEmbedder,
        SentenceTransformerEmbedder,
    )
    from toolret.errors import (
        BudgetError,
        CallError,
        CatalogError,
        DemoError,
        EmbedderError,
        EmbedderMismatchError,
        InputError,
        LLMError,
        MissingExtraError,
        ReplayError,
        StoreError,
        StoreLockedError,
        ToolretError,
    )
    from toolret.index import SyncReport, ToolIndex
    from toolret.permissions import Allow
    from toolret.queries import (
        Clauses,
        Combine,
        FewShot,
        GeneratedQueries,
        Hypothesize,
        QueryGenerator,
        Refine,
        Rewrite,
        Strategy,
        StrategyQueryGenerator,
        Think,
        Usage,
        Verbatim,
        as_request,
    )
    from toolret.recording import RecordReport, redacting
    from toolret.retrieval.reranking import CrossEncoderReranker, LLMReranker, Reranker, Reranking
    from toolret.retrieval.retriever import ToolRetriever
    from toolret.retrieval.selection import Selection
    from toolret.rows import LabelledRequest, load_demos, load_requests
    from toolret.tokens import TokenCounter
    from toolret.types import Call, Demo, DemoHit, Evidence, Hit, JsonObject, Query, Request, Tool

__version__ = "0.1.0"

# This must be set before anything imports onnxruntime, which would otherwise write usage data into
# the user's cache, report them, and keep forked processes from ending.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_NAMES_BY_MODULE = {
    "calling": ("HttpRunner", "Runner", "SecurityScheme", "ToolResult", "Toolbox"),
    "catalogs": ("Catalog", "load_tools"),
    "embedders": (
        "LLM_EMBEDDER_INSTRUCTIONS",
        "Embedder",
        "Instructions",
        "OpenAIEmbedder",
        "RoleEmbedder",
        "SentenceTransformerEmbedder",
    ),
    "errors": (
        "BudgetError",
        "CallError",
        "CatalogError",
        "DemoError",
        "EmbedderError",
        "EmbedderMismatchError",
        "InputError",
        "LLMError",
        "MissingExtraError",
        "ReplayError",
        "StoreError",
        "StoreLockedError",
        "ToolretError",
    ),
    "index": ("SyncReport", "ToolIndex"),
    "permissions": ("Allow",),
    "queries": (
        "Clauses",
        "Combine",
        "FewShot",
        "GeneratedQueries",
        "Hypothesize",
        "QueryGenerator",
        "Refine",
        "Rewrite",
        "Strategy",
        "StrategyQueryGenerator",
        "Think",
        "Usage",
        "Verbatim",
        "as_request",
    ),
    "recording": ("RecordReport", "redacting"),
    "retrieval.reranking": ("CrossEncoderReranker", "LLMReranker", "Reranker", "Reranking"),
    "retrieval.retriever": ("ToolRetriever",),
    "retrieval.selection": ("Selection",),
    "rows": ("LabelledRequest", "load_demos", "load_requests"),
    "tokens": ("TokenCounter",),
    "types": (
        "Call",
        "Demo",
        "DemoHit",
        "Evidence",
        "Hit",
        "JsonObject",
        "Query",
        "Request",
        "Tool",
    ),
}
"""The public names by the module that they are loaded from."""

_MODULE_OF = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names}
"""The module of each public name."""

__all__ = [
    "LLM_EMBEDDER_INSTRUCTIONS",
    "Allow",
    "BudgetError",
    "Call",
    "CallError",
    "Catalog",
    "CatalogError",
    "Clauses",
    "Combine",
    "CrossEncoderReranker",
    "Demo",
    "DemoError",
    "DemoHit",
    "Embedder",
    "EmbedderError",
    "EmbedderMismatchError",
    "Evidence",
    "FewShot",
    "GeneratedQueries",
    "Hit",
    "HttpRunner",
    "Hypothesize",
    "InputError",
    "Instructions",
    "JsonObject",
    "LLMError",
    "LLMReranker",
    "LabelledRequest",
    "MissingExtraError",
    "OpenAIEmbedder",
    "Query",
    "QueryGenerator",
    "RecordReport",
    "Refine",
    "ReplayError",
    "Request",
    "Reranker",
    "Reranking",
    "Rewrite",
    "RoleEmbedder",
    "Runner",
    "SecurityScheme",
    "Selection",
    "SentenceTransformerEmbedder",
    "StoreError",
    "StoreLockedError",
    "Strategy",
    "StrategyQueryGenerator",
    "SyncReport",
    "Think",
    "TokenCounter",
    "Tool",
    "ToolIndex",
    "ToolResult",
    "ToolRetriever",
    "Toolbox",
    "ToolretError",
    "Usage",
    "Verbatim",
    "as_request",
    "load_demos",
    "load_requests",
    "load_tools",
    "redacting",
]


if not TYPE_CHECKING:  # it would tell type checkers that the module has any name

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
