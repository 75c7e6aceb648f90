"""Whatever a user has, as a model."""

from __future__ import annotations

import sys
from typing import Any

from toolret.errors import QueryGenerationError
from toolret.llm.functions import FunctionModel
from toolret.llm.langchain import LangChainModel
from toolret.llm.model import ChatModel
from toolret.llm.openai import OpenAIModel

__all__ = ["as_chat_model"]


def as_chat_model(llm: Any, model: str | None = None) -> ChatModel:
    """The adapter for an LLM.

    Args:
        llm: An ``openai`` client, sync or async; a LangChain chat model; a callable from messages
            to text, sync or async; or a ``ChatModel``, which is returned as it is.
        model: The model's name; an ``openai`` client needs it.

    Raises:
        QueryGenerationError: If it is none of these, or the name is missing.
    """
    if isinstance(llm, ChatModel):
        return llm
    openai = sys.modules.get("openai")
    if openai and isinstance(llm, (openai.OpenAI, openai.AsyncOpenAI)):
        if not model:
            raise QueryGenerationError(
                "an openai client serves many models: pass the name of one as model=..."
            )
        return OpenAIModel(llm, model, is_async=isinstance(llm, openai.AsyncOpenAI))
    langchain = sys.modules.get("langchain_core.language_models")
    if langchain and isinstance(llm, langchain.BaseChatModel):
        return LangChainModel(llm)
    if callable(llm):
        return FunctionModel(llm)
    raise QueryGenerationError(
        f"{type(llm).__name__} is no LLM that toolret knows: give an openai client, a LangChain "
        "chat model, or a callable from messages to text"
    )
