"""LangChain's chat models as models, kept out of the user's run."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from datetime import timedelta
from enum import Enum
from hashlib import sha256
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from toolret.llm.failures import ModelError
from toolret.llm.kinds import is_of
from toolret.llm.model import Completion, Messages, Schema
from toolret.llm.structured import StructuredOutput, response_format
from toolret.llm.waiting import awaited, in_worker

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable
    from pydantic import BaseModel

__all__ = ["LangChainModel"]

_CONFIG: Any = {
    "run_name": "toolret",
    "tags": ["nostream"],
    "metadata": {"lc_source": "toolret"},
    "callbacks": [],
}
"""With callbacks of its own, none though they are, a call does not inherit those of the user's run,
the streams' among them. LangGraph keeps what has the tag out of ``stream_mode="messages"`` besides,
and ``lc_source`` tells those who read a trace whose call it is."""

_SECRET = re.compile(r"(key|token|token_provider|password|credentials)$")
"""Fields that say who asks, and not what is asked: one's keys are renewed, and stand in no text."""


class LangChainModel:
    """A LangChain chat model, or what one was made into, such as ``model.with_fallbacks(...)``.

    It is called outside the user's run: neither its callbacks nor its streams hear of the call.
    Callbacks of the model itself do, so that they can count what it costs, but see no tokens.

    The models of ``langchain_openai`` get the schema; others differ too much in how they take one,
    and the prompts say in words what is wanted.

    Args:
        model: The model.
        name: What to call it; by default, what it calls itself.
    """

    def __init__(self, model: Runnable[Any, Any], name: str | None = None) -> None:
        self._model = _unstreamed(model)
        self._is_openai = is_of(model, "langchain_openai.chat_models.base", "BaseChatOpenAI")
        self._structured = StructuredOutput()
        self.name = name or str(getattr(model, "model_name", None) or type(model).__name__)
        self.identity = _identity(model)
        # What is not set is set by the provider's client, which then retries as well.
        self.retries = getattr(model, "max_retries", 0) != 0

    def complete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """As ``ChatModel`` says."""

        def call(taken: Schema) -> Completion:
            options = self._options(taken, timeout)
            return _read(self._model.invoke(_turns(messages), _CONFIG, **options))

        return in_worker(lambda: self._structured.ask(self._taken(schema), call), timeout=timeout)

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """As ``ChatModel`` says."""

        async def call(taken: Schema) -> Completion:
            options = self._options(taken, timeout)
            return _read(await self._model.ainvoke(_turns(messages), _CONFIG, **options))

        reply = self._structured.ask_async(self._taken(schema), call)
        return await awaited(reply, timeout=timeout)

    def _taken(self, schema: Schema) -> Schema:
        return schema if self._is_openai else {}

    def _options(self, schema: Schema, timeout: float) -> dict[str, Any]:
        options: dict[str, Any] = {"timeout": timeout} if self._is_openai else {}
        return options | ({"response_format": response_format(schema)} if schema else {})


def _unstreamed(model: Any) -> Any:
    """The same model; one that was told to stream all it says, told not to."""
    if getattr(model, "streaming", None) is not True:
        return model
    return model.model_copy(update={"streaming": False, "disable_streaming": True})


def _identity(model: Any) -> str | None:
    """The model with its server and settings, such as the temperature; None if nothing tells them.

    A model of a class that keeps nothing in fields, or what cannot be written down, could be any.
    """
    from langchain_core.language_models import BaseChatModel

    if not isinstance(model, BaseChatModel):
        return None
    settings = _settings(model, besides=BaseChatModel.model_fields)
    try:
        told = json.dumps(settings, sort_keys=True, default=_plain)
    except (TypeError, ValueError):
        return None
    client = getattr(model, "root_client", None) or getattr(model, "root_async_client", None)
    whole = f"{getattr(client, 'base_url', '')} {told}"
    # Headers may hold a key, so nothing but a digest of all this is kept.
    digest = sha256(whole.encode("utf-8", "replace")).hexdigest()
    return f"{type(model).__module__}.{type(model).__qualname__} {digest}" if settings else None


def _settings(model: BaseModel, besides: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a model, without keys, clients, and what else it does not write down itself."""
    return {
        name: getattr(model, name)
        for name, field in type(model).model_fields.items()
        if name not in besides and not field.exclude and not _SECRET.search(name)
    }


def _plain(value: Any) -> Any:
    """What JSON has no form for.

    Raises:
        TypeError: If nothing tells it from another of its kind.
    """
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return _settings(value)
    if hasattr(value, "get_secret_value"):
        return "***"
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, (Enum, PurePath, timedelta)):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no text of its own")


def _turns(messages: Messages) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in messages]


def _read(reply: Any) -> Completion:
    if isinstance(reply, str):
        return Completion(reply)
    text = getattr(reply, "text", None)
    if not isinstance(text, str):
        raise ModelError(f"the model gave no message but {reply!r:.60}")
    if not text.strip():
        raise ModelError("the model gave an empty reply")
    usage = getattr(reply, "usage_metadata", None) or {}
    return Completion(text, usage.get("input_tokens"), usage.get("output_tokens"))
