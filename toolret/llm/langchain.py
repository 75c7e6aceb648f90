"""LangChain's chat models as models."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from toolret.llm.model import Completion, Messages, Schema
from toolret.llm.waiting import awaited, in_worker

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage

__all__ = ["LangChainModel"]

_NO_STREAM = "nostream"
"""LangGraph keeps the tokens of calls with this tag out of the user's stream."""


class LangChainModel:
    """A LangChain chat model, kept out of the user's stream and callbacks."""

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model
        self.name = str(getattr(model, "model_name", None) or type(model).__name__)

    def complete(
        self,
        messages: Messages,
        schema: Schema,  # noqa: ARG002 - models differ too much in how they take one
        *,
        timeout: float,
    ) -> Completion:
        """As ``ChatModel`` says."""
        # An empty context: the user's run, and with it its callbacks, is not inherited.
        empty = contextvars.Context()
        return in_worker(
            lambda: empty.run(
                lambda: _read(self._model.invoke(_as_langchain(messages), _langchain_config()))
            ),
            timeout=timeout,
        )

    async def acomplete(
        self,
        messages: Messages,
        schema: Schema,  # noqa: ARG002 - as above
        *,
        timeout: float,
    ) -> Completion:
        """As ``ChatModel`` says."""

        async def ask() -> Completion:
            return _read(await self._model.ainvoke(_as_langchain(messages), _langchain_config()))

        task = asyncio.get_running_loop().create_task(ask(), context=contextvars.Context())
        return await awaited(task, timeout=timeout)


def _as_langchain(messages: Messages) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in messages]


def _langchain_config() -> Any:
    return {"run_name": "toolret", "tags": [_NO_STREAM], "callbacks": []}


def _read(reply: AIMessage) -> Completion:
    usage = reply.usage_metadata
    return Completion(
        reply.text,
        input_tokens=usage["input_tokens"] if usage else None,
        output_tokens=usage["output_tokens"] if usage else None,
    )
