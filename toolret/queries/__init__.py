"""Turn a conversation into retrieval queries, with or without an LLM."""

from toolret.queries.conversation import Conversation, as_request
from toolret.queries.generating import (
    EMPTY_CATALOG,
    CatalogView,
    GeneratedQueries,
    QueryGenerator,
    Usage,
)
from toolret.queries.generators import StrategyQueryGenerator
from toolret.queries.steps import Lookup, Question, Steps, Strategy, StrategyContext
from toolret.queries.strategies import Combine, FewShot, Hypothesize, Refine, Rewrite, Think
from toolret.queries.without_llm import Clauses, Verbatim

__all__ = [
    "EMPTY_CATALOG",
    "CatalogView",
    "Clauses",
    "Combine",
    "Conversation",
    "FewShot",
    "GeneratedQueries",
    "Hypothesize",
    "Lookup",
    "QueryGenerator",
    "Question",
    "Refine",
    "Rewrite",
    "Steps",
    "Strategy",
    "StrategyContext",
    "StrategyQueryGenerator",
    "Think",
    "Usage",
    "Verbatim",
    "as_request",
]
