"""``as_chat_model``: convert the LLM object that a user has to a ``ChatModel``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from toolret.errors import LLMError
from toolret.llm.caching import CachedModel, ReplyCache
from toolret.llm.functions import FunctionModel
from toolret.llm.kinds import is_langchain, is_openai
from toolret.llm.langchain import LangChainModel
from toolret.llm.model import ChatModel
from toolret.llm.openai import Api, OpenAIModel
from toolret.llm.retrying import RetryingModel, RetryPolicy, checked_policy
from toolret.options import of_kind, one_of

__all__ = ["as_chat_model"]


def as_chat_model(
    llm: Any,
    model: str | None = None,
    *,
    api: Api = "chat",
    retry_policy: RetryPolicy | None = None,
    cache: ReplyCache | str | Path | None = None,
) -> ChatModel:
    """Return a ``ChatModel`` for an LLM, with retries and a circuit breaker.

    Args:
        llm: An ``openai`` client, sync or async; a LangChain chat model; a callable from messages
            to text, sync or async; or a ``ChatModel``, which is returned unchanged.
        model: The model's name; required for an ``openai`` client.
        api: The endpoint for an ``openai`` client: ``chat``, which every compatible server
            supports, or ``responses``.
        retry_policy: The timeouts, the retries, and when to stop calling a failing model.
        cache: The cache of replies, or its file; by default none. A callable's replies are cached
            only if ``model`` names it, since nothing else identifies it.

    Raises:
        LLMError: If ``llm`` is none of these, or the name is missing.
        TypeError: If ``model``, ``retry_policy`` or ``cache`` is of another type.
        InputError: If there is no endpoint ``api``.
    """
    one_of("api", api, get_args(Api))
    of_kind("model", model, str | None, "the model's name")
    of_kind("cache", cache, ReplyCache | str | Path | None, "a file, or None for no cache")
    if isinstance(llm, type):
        raise LLMError(f"{llm.__name__} is a class: give an object of it")
    if isinstance(llm, ChatModel):
        return llm
    retry_policy = checked_policy(retry_policy)
    adapter = _adapter(llm, model, api)
    if isinstance(adapter, LangChainModel) and adapter.retries:
        retry_policy = replace(retry_policy, max_attempts=1)
    retrying = RetryingModel(adapter, retry_policy)
    if cache is None or adapter.identity is None:
        return retrying
    return CachedModel(retrying, cache, identity=adapter.identity)


def _adapter(llm: Any, model: str | None, api: Api) -> OpenAIModel | LangChainModel | FunctionModel:
    """Return the adapter for an LLM object, which calls it once for each reply."""
    if is_openai(llm):
        if not model:
            raise LLMError("an openai client serves many models: pass the name of one as model=...")
        return OpenAIModel(llm, model, api)
    if is_langchain(llm):
        return LangChainModel(llm, model)
    if callable(llm):
        return FunctionModel(llm, model)
    raise LLMError(
        f"{type(llm).__name__} is no LLM that toolret knows: give an openai client, a LangChain "
        "chat model, or a callable from messages to text"
    )
