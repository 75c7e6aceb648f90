"""Ask a model one question within a deadline, and parse its reply.

If the reply cannot be parsed, the model is asked once to repair it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from toolret.errors import LLMError
from toolret.llm.model import ChatModel, Completion, Forgetful, Messages, Schema
from toolret.llm.shipped import prompt_text

__all__ = ["Answer", "aask", "ask", "total"]

_T = TypeVar("_T")

_REPAIR_PROMPT = "repair_v1"
"""The name of the shipped prompt that asks a model to repair its reply."""

_LONGEST_SHOWN = 2_000
"""The most characters of a malformed reply that the model is shown when it is to repair it."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[_T]):
    """A model's parsed answer, and its cost.

    Attributes:
        value: What ``parse`` returned for the reply.
        model: The model's name.
        input_tokens: The number of tokens read, including any repair; None if the model does not
            say.
        output_tokens: The number of tokens written; None if the model does not say.
        calls: The number of calls to the model; 0 if the reply was cached.
        cached: Whether all replies came from a cache.
        seconds: The time taken.
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
    """Ask a model and parse its reply.

    If ``parse`` rejects the reply, the model is asked once more, with the reason, if the deadline
    allows; a second rejected reply is an error.

    Args:
        model: The model.
        messages: The question, as messages ``{"role", "content"}``.
        schema: The JSON Schema of the reply, within the rules of structured output.
        parse: A function that parses the reply's text. It raises an ``LLMError`` for a
            malformed reply, with a reason that the model can act on.
        deadline: The time for everything together, in seconds.

    Raises:
        LLMError: If there is no usable reply in time; it holds the reason and the cost.
        ReplayError: If the model is a recording that does not hold the question.
    """
    account = _Account(model, deadline)
    with account.costs_on_errors():
        reply = account.count(model.complete(messages, schema, timeout=account.seconds_left()))
        try:
            return account.answer(parse(reply.text))
        except LLMError as error:
            again = account.repair(messages, reply, error)
        try:
            reply = account.count(model.complete(again, schema, timeout=account.seconds_left()))
            return account.answer(parse(reply.text))
        except LLMError:
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
    """Ask a model and parse its reply; the asynchronous version of ``ask``."""
    account = _Account(model, deadline)
    with account.costs_on_errors():
        reply = account.count(
            await model.acomplete(messages, schema, timeout=account.seconds_left())
        )
        try:
            return account.answer(parse(reply.text))
        except LLMError as error:
            again = account.repair(messages, reply, error)
        try:
            reply = account.count(
                await model.acomplete(again, schema, timeout=account.seconds_left())
            )
            return account.answer(parse(reply.text))
        except LLMError:
            await asyncio.to_thread(_forget, model, schema, messages, again)
            raise


class _Account:
    """The running cost of one question, and the time left for it."""

    def __init__(self, model: ChatModel, deadline: float) -> None:
        self._model = model.name
        self._started = time.monotonic()
        self._deadline = deadline
        self._replies: list[Completion] = []
        self._problem = ""

    def seconds_left(self) -> float:
        """Return the seconds until the deadline; 0 if it has passed.

        The model is called even then, and refuses, so that a recording contains the attempt.
        """
        left = max(self._started + self._deadline - time.monotonic(), 0.0)
        return min(left, threading.TIMEOUT_MAX)  # a thread or a socket cannot wait for longer

    def count(self, reply: Completion) -> Completion:
        """Count a reply's cost, whether or not it can be parsed, and return it."""
        self._replies.append(reply)
        return reply

    def answer(self, value: _T) -> Answer[_T]:
        """Return a parsed reply with the cost of all replies."""
        return Answer(
            value,
            model=self._model,
            input_tokens=total(reply.input_tokens for reply in self._replies),
            output_tokens=total(reply.output_tokens for reply in self._replies),
            calls=sum(reply.calls for reply in self._replies),
            cached=all(reply.cached for reply in self._replies),
            seconds=time.monotonic() - self._started,
        )

    def repair(self, messages: Messages, reply: Completion, problem: LLMError) -> Messages:
        """Return the question again, with the malformed reply and what is wrong with it."""
        self._problem = str(problem)
        prompt = prompt_text(_REPAIR_PROMPT).strip()
        return [
            *messages,
            {"role": "assistant", "content": reply.text[:_LONGEST_SHOWN]},
            {"role": "user", "content": prompt.format(problem=self._problem)},
        ]

    @contextmanager
    def costs_on_errors(self) -> Iterator[None]:
        """Add the cost to any error, and the first problem if the model was asked twice."""
        try:
            yield
        except LLMError as error:
            failed = LLMError(
                f"{self._problem}; and asked again: {error}" if self._problem else str(error)
            )
            failed.calls = error.calls + sum(reply.calls for reply in self._replies)
            spent: list[Completion | LLMError] = [*self._replies, error]
            failed.input_tokens = total(cost.input_tokens for cost in spent)
            failed.output_tokens = total(cost.output_tokens for cost in spent)
            raise failed from error


def _forget(model: ChatModel, schema: Schema, *questions: Messages) -> None:
    """Discard unusable replies from the model's cache, if it has one."""
    if isinstance(model, Forgetful):
        for messages in questions:
            model.forget(messages, schema)


def total(counts: Iterable[int | None]) -> int | None:
    """Return the sum of counts; None if any of them is unknown."""
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)
