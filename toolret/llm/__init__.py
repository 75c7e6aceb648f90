"""LLM access: the rest of the code sees only ``ChatModel``, and calls it through ``ask``."""

from typing import TYPE_CHECKING

from toolret.llm.adapters import as_chat_model
from toolret.llm.asking import Answer, aask, ask
from toolret.llm.caching import CachedModel, ReplyCache
from toolret.llm.circuit import CircuitBreaker
from toolret.llm.failures import LLMCallError
from toolret.llm.model import ChatModel, Completion, Messages, Schema
from toolret.llm.openai import Api
from toolret.llm.replies import json_object
from toolret.llm.retrying import RetryingModel, RetryPolicy

if TYPE_CHECKING:
    from toolret.llm.recording import RecordingModel, ReplayModel

__all__ = [
    "Answer",
    "Api",
    "CachedModel",
    "ChatModel",
    "CircuitBreaker",
    "Completion",
    "LLMCallError",
    "Messages",
    "RecordingModel",
    "ReplayModel",
    "ReplyCache",
    "RetryPolicy",
    "RetryingModel",
    "Schema",
    "aask",
    "as_chat_model",
    "ask",
    "json_object",
]


if not TYPE_CHECKING:  # it would tell type checkers that the module has any name

    def __getattr__(name: str) -> object:
        if name in ("RecordingModel", "ReplayModel"):  # pydantic is only loaded when needed
            from toolret.llm import recording

            return getattr(recording, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
