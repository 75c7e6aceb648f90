"""``LangChainModel``: a LangChain chat model, called outside the user's run."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from datetime import timedelta
from enum import Enum
from hashlib import sha256
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from toolret.llm.failures import LLMCallError, empty_reply
from toolret.llm.kinds import is_instance_of
from toolret.llm.model import Completion, Messages, Schema
from toolret.llm.structured import StructuredOutput, response_format
from toolret.llm.waiting import arun_in_worker, await_call, run_in_worker

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
"""The configuration of every call. An explicit, empty list of callbacks keeps a call from
inheriting those of the user's run, including those of its streams. The tag keeps the call out of
LangGraph's ``stream_mode="messages"``, and ``lc_source`` shows in a trace whose call it is."""

_DEFAULTS = "langchain_core.language_models.chat_models"
"""The module whose asynchronous methods call the synchronous ones."""

_SECRET = re.compile(r"(key|token|token_provider|password|credentials)$")
"""Names of fields that identify the caller, not the model: keys change, and must not be stored."""


class LangChainModel:
    """A LangChain chat model, or one derived from it, such as ``model.with_fallbacks(...)``.

    The callbacks and streams of the user's run do not see the calls. The model's own callbacks do,
    so that they can track cost, but they get no streamed tokens.

    Only models of ``langchain_openai`` are sent the schema. Others accept a schema in too many
    ways, and the prompts describe the format in words, too.

    Args:
        model: The model.
        name: The model's name; by default its ``model_name`` or the name of its class.
    """

    def __init__(self, model: Runnable[Any, Any], name: str | None = None) -> None:
        self._model = _without_streaming(model)
        self._is_openai = is_instance_of(
            model, "langchain_openai.chat_models.base", "BaseChatOpenAI"
        )
        self._is_sync = _is_sync(model)
        self._structured = StructuredOutput()
        self.name = name or str(getattr(model, "model_name", None) or type(model).__name__)
        self.identity = _identity(model)
        # Without a setting, the provider's client uses its own default, which also retries.
        self.retries = getattr(model, "max_retries", 0) != 0

    def complete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """See ``ChatModel``."""
        return run_in_worker(lambda: self._ask(messages, schema, timeout), timeout=timeout)

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """See ``ChatModel``."""
        if self._is_sync:
            return await arun_in_worker(
                lambda: self._ask(messages, schema, timeout), timeout=timeout
            )

        async def call(supported: Schema) -> Completion:
            options = self._options(supported, timeout)
            return _as_completion(
                await self._model.ainvoke(_as_pairs(messages), _CONFIG, **options)
            )

        return await await_call(
            lambda: self._structured.ask_async(self._supported(schema), call), timeout=timeout
        )

    def _ask(self, messages: Messages, schema: Schema, timeout: float) -> Completion:
        def call(supported: Schema) -> Completion:
            options = self._options(supported, timeout)
            return _as_completion(self._model.invoke(_as_pairs(messages), _CONFIG, **options))

        return self._structured.ask(self._supported(schema), call)

    def _supported(self, schema: Schema) -> Schema:
        return schema if self._is_openai else {}

    def _options(self, schema: Schema, timeout: float) -> dict[str, Any]:
        options: dict[str, Any] = {"timeout": timeout} if self._is_openai else {}
        return options | ({"response_format": response_format(schema)} if schema else {})


def _is_sync(model: Any) -> bool:
    """Whether a model, or one that it wraps, is not asynchronous itself.

    LangChain runs its calls in the event loop's small pool, where a hanging one blocks other work.
    """
    wrapped = [getattr(model, name, None) for name in ("bound", "runnable")]
    wrapped += getattr(model, "fallbacks", None) or ()
    awaits = getattr(type(model), "_agenerate", None)
    return getattr(awaits, "__module__", "") == _DEFAULTS or any(
        _is_sync(part) for part in wrapped if part is not None
    )


def _without_streaming(model: Any) -> Any:
    """Return the model, or a copy with streaming turned off if it was on."""
    if getattr(model, "streaming", None) is not True:
        return model
    return model.model_copy(update={"streaming": False, "disable_streaming": True})


def _identity(model: Any) -> str | None:
    """Return what identifies a model: its class, and a digest of its server and settings.

    None if the model's class has no fields, or their values cannot be written as JSON.
    """
    from langchain_core.language_models import BaseChatModel

    if not isinstance(model, BaseChatModel):
        return None
    settings = _settings(model, besides=BaseChatModel.model_fields)
    try:
        described = json.dumps(settings, sort_keys=True, default=_as_json)
    except (TypeError, ValueError):
        return None
    client = getattr(model, "root_client", None) or getattr(model, "root_async_client", None)
    described = f"{getattr(client, 'base_url', '')} {described}"
    # Headers may hold a key, so only a digest of all this is kept.
    digest = sha256(described.encode("utf-8", "replace")).hexdigest()
    return f"{type(model).__module__}.{type(model).__qualname__} {digest}" if settings else None


def _settings(model: BaseModel, besides: Collection[str] = ()) -> dict[str, Any]:
    """Return a model's fields, except keys, clients, and others that are excluded from its dump."""
    return {
        name: getattr(model, name)
        for name, field in type(model).model_fields.items()
        if name not in besides and not field.exclude and not _SECRET.search(name)
    }


def _as_json(value: Any) -> Any:
    """Convert a value that JSON cannot represent to one that it can.

    Raises:
        TypeError: If the value has no representation that identifies it.
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


def _as_pairs(messages: Messages) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in messages]


def _as_completion(reply: Any) -> Completion:
    """Return the reply in what a LangChain model returned, a message or a text."""
    if isinstance(reply, str):
        return Completion(reply)
    text = getattr(reply, "text", None)
    if not isinstance(text, str):
        raise LLMCallError(f"the model gave no message but {reply!r:.60}")
    usage = getattr(reply, "usage_metadata", None) or {}
    input_tokens, output_tokens = usage.get("input_tokens"), usage.get("output_tokens")
    if not text.strip():
        metadata = getattr(reply, "response_metadata", None) or {}
        reason = metadata.get("finish_reason") or metadata.get("stop_reason")
        raise empty_reply(reason, input_tokens=input_tokens, output_tokens=output_tokens)
    return Completion(text, input_tokens, output_tokens)
