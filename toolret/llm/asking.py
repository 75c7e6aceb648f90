"""One question to a model: within a deadline, its reply read, and repaired once if malformed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Generic, TypeVar

from toolret.errors import QueryGenerationError
from toolret.llm.model import ChatModel, Completion, Forgetful, Messages, Schema

__all__ = ["Answer", "aask", "ask", "total"]

_T = TypeVar("_T")

_PROMPT = "repair_v1.txt"

_LONGEST_SHOWN = 2_000
"""Characters of a malformed reply that the model is shown again."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[_T]):
    """What a model answered, and what it took.

    Attributes:
        value: The reply as ``parse`` read it.
        model: The model's name.
        input_tokens: What was spent on reading, repair and all; None if the model does not say.
        output_tokens: The same of writing.
        calls: How often the model was asked; 0 if the reply was kept from an earlier time.
        cached: Whether it was.
        seconds: How long it took.
    """

    value: _T
    model: str
    input_tokens: int | None
    output_tokens: int | None
    calls: int
    cached: bool
    seconds: float


def ask(
    model: ChatModel,
    messages: Messages,
    schema: Schema,
    parse: Callable[[str], _T],
    *,
    deadline: float,
) -> Answer[_T]:
    """Ask a model, and read its reply.

    A reply that ``parse`` refuses is shown to the model once more, with the reason, for as long as
    the deadline allows; a second one that is refused is dropped.

    Args:
        model: What to ask.
        messages: The question, ``{"role", "content"}`` each.
        schema: JSON Schema of the reply, by the rules of structured output.
        parse: Reads the reply's text. It raises ``QueryGenerationError`` if that is malformed, with
            a reason that the model can do something with.
        deadline: Seconds for all of it.

    Raises:
        QueryGenerationError: If there is no usable reply in time. It says why, and what was spent.
        ReplayError: If the model is a recording that does not hold the question.
    """
    account = _Account(model, deadline)
    with account.told():
        reply = account.take(model.complete(messages, schema, timeout=account.left()))
        try:
            return account.answer(parse(reply.text))
        except QueryGenerationError as error:
            again = account.repair(messages, reply, error)
        try:
            reply = account.take(model.complete(again, schema, timeout=account.left()))
            return account.answer(parse(reply.text))
        except QueryGenerationError:
            _forget(model, schema, messages, again)
            raise


async def aask(
    model: ChatModel,
    messages: Messages,
    schema: Schema,
    parse: Callable[[str], _T],
    *,
    deadline: float,
) -> Answer[_T]:
    """``ask`` for event loops."""
    account = _Account(model, deadline)
    with account.told():
        reply = account.take(await model.acomplete(messages, schema, timeout=account.left()))
        try:
            return account.answer(parse(reply.text))
        except QueryGenerationError as error:
            again = account.repair(messages, reply, error)
        try:
            reply = account.take(await model.acomplete(again, schema, timeout=account.left()))
            return account.answer(parse(reply.text))
        except QueryGenerationError:
            await asyncio.to_thread(_forget, model, schema, messages, again)
            raise


class _Account:
    """What one question has taken so far."""

    def __init__(self, model: ChatModel, deadline: float) -> None:
        self._model = model.name
        self._started = time.monotonic()
        self._deadline = deadline
        self._replies: list[Completion] = []
        self._problem = ""

    def left(self) -> float:
        """Seconds until the deadline, none if it has passed.

        The model is asked even then, and refuses, so that a recording holds that it was.
        """
        return max(self._started + self._deadline - time.monotonic(), 0.0)

    def take(self, reply: Completion) -> Completion:
        """A reply, whose cost is counted whatever comes of it."""
        self._replies.append(reply)
        return reply

    def answer(self, value: _T) -> Answer[_T]:
        return Answer(
            value,
            model=self._model,
            input_tokens=total(reply.input_tokens for reply in self._replies),
            output_tokens=total(reply.output_tokens for reply in self._replies),
            calls=sum(reply.calls for reply in self._replies),
            cached=all(reply.cached for reply in self._replies),
            seconds=time.monotonic() - self._started,
        )

    def repair(
        self, messages: Messages, reply: Completion, problem: QueryGenerationError
    ) -> Messages:
        """The question once more, with the malformed reply and what is wrong with it."""
        self._problem = str(problem)
        return [
            *messages,
            {"role": "assistant", "content": reply.text[:_LONGEST_SHOWN]},
            {"role": "user", "content": _template().format(problem=self._problem)},
        ]

    @contextmanager
    def told(self) -> Iterator[None]:
        """Let an error say what was spent, and that the model was asked twice if it was."""
        try:
            yield
        except QueryGenerationError as error:
            failed = QueryGenerationError(
                f"{self._problem}; and asked again: {error}" if self._problem else str(error)
            )
            failed.calls = error.calls + sum(reply.calls for reply in self._replies)
            failed.input_tokens = total(reply.input_tokens for reply in self._replies)
            failed.output_tokens = total(reply.output_tokens for reply in self._replies)
            raise failed from error


def _forget(model: ChatModel, schema: Schema, *questions: Messages) -> None:
    """Replies that were good for nothing are not to be had again out of a cache."""
    if isinstance(model, Forgetful):
        for messages in questions:
            model.forget(messages, schema)


def total(counts: Iterable[int | None]) -> int | None:
    """The sum; None if one of them is not known."""
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)


@cache
def _template() -> str:
    return files("toolret").joinpath("prompts", _PROMPT).read_text("utf-8").strip()
