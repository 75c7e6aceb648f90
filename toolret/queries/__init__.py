"""Turn a conversation into retrieval queries, with or without an LLM."""

from toolret.queries.combining import expand_queries
from toolret.queries.conversation import Conversation, as_request
from toolret.queries.framing import conversation_lines, frame, truncate
from toolret.queries.generating import (
    NOTHING,
    CatalogView,
    GeneratedQueries,
    QueryGenerator,
    Usage,
)
from toolret.queries.generators import (
    StrategyQueryGenerator,
    agenerate_queries,
    as_generator,
    generate_queries,
    is_generator,
)
from toolret.queries.steps import Question, Steps, Strategy, StrategyContext
from toolret.queries.strategies import (
    Clauses,
    Combine,
    FewShot,
    Hypothesize,
    Refine,
    Rewrite,
    Think,
    Verbatim,
    as_strategy,
)

__all__ = [
    "NOTHING",
    "CatalogView",
    "Clauses",
    "Combine",
    "Conversation",
    "FewShot",
    "GeneratedQueries",
    "Hypothesize",
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
    "agenerate_queries",
    "as_generator",
    "as_request",
    "as_strategy",
    "conversation_lines",
    "expand_queries",
    "frame",
    "generate_queries",
    "is_generator",
    "truncate",
]
