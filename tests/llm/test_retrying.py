from __future__ import annotations

import asyncio
import email.utils
import time
from typing import Any

import pytest

from tests.llm.ways import Way, question
from toolret.errors import LLMError
from toolret.llm import (
    CircuitBreaker,
    Completion,
    LLMCallError,
    RetryingModel,
    RetryPolicy,
    as_chat_model,
)
from toolret.llm.failures import call_failure
from toolret.testing import ScriptedChatModel


class StatusError(Exception):
    """An error as HTTP libraries have it."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(f"status {status}")
        self.response = self
        self.status_code = status
        self.headers = headers


class TransportError(Exception):
    """The root of what httpx raises for the network."""


class ReadError(TransportError):
    pass


@pytest.mark.parametrize(
    ("error", "transient", "blames_request"),
    [
        (StatusError(429), True, False),
        (StatusError(500), True, False),
        (StatusError(503), True, False),
        (StatusError(400), False, True),
        (StatusError(413), False, True),
        (StatusError(422), False, True),
        (StatusError(401), False, False),
        (StatusError(404), False, False),
        (StatusError(200), False, False),
        (ReadError("cut"), True, False),
        (ConnectionResetError(), True, False),
        (ValueError("no"), False, False),
        (SystemExit(1), False, False),
    ],
    ids=repr,
)
def test_failures_are_classified(
    error: BaseException, transient: bool, blames_request: bool
) -> None:
    failed = call_failure(error)
    assert isinstance(failed, LLMCallError)
    assert (failed.transient, failed.blames_request) == (transient, blames_request)
    assert failed.__cause__ is error


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2),
        ("0.5", 0.5),
        ("-3", 0),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("", None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
    ],
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    failed = call_failure(StatusError(429, **{"retry-after": value}))
    assert isinstance(failed, LLMCallError)
    assert failed.retry_after == seconds


def test_retry_after_as_a_date() -> None:
    for date, low, high in ((time.time() + 60, 55, 61), (time.time() - 60, 0, 0)):
        failed = call_failure(StatusError(429, **{"retry-after": email.utils.formatdate(date)}))
        assert isinstance(failed, LLMCallError)
        assert failed.retry_after is not None
        assert low <= failed.retry_after <= high


def test_llm_errors_are_not_converted_again() -> None:
    error = LLMError("mine")
    assert call_failure(error) is error


class Scripted:
    """A model that fails as it is told; a None is a reply."""

    name = "m"

    def __init__(self, *outcomes: Exception | None) -> None:
        self._outcomes = list(outcomes)
        self.timeouts: list[float] = []

    def complete(self, messages: Any, schema: Any, *, timeout: float) -> Completion:
        self.timeouts.append(timeout)
        outcome = self._outcomes.pop(0)
        if outcome:
            raise call_failure(outcome)
        return Completion("fine")

    async def acomplete(self, messages: Any, schema: Any, *, timeout: float) -> Completion:
        return self.complete(messages, schema, timeout=timeout)


both = pytest.mark.parametrize("way", [Way("", "sync"), Way("", "async")], ids=["sync", "async"])


@both
async def test_each_attempt_gets_the_time_that_is_left(way: Way) -> None:
    model = Scripted(StatusError(429, **{"retry-after": "0.3"}), None)
    reply = await way.ask(RetryingModel(model), timeout=5)
    assert reply == Completion("fine", calls=2)
    assert model.timeouts[0] <= 5
    assert 0 < model.timeouts[1] <= model.timeouts[0] - 0.3


@both
async def test_an_attempt_gets_at_most_the_call_timeout(way: Way) -> None:
    model = Scripted(None)
    await way.ask(RetryingModel(model, RetryPolicy(call_timeout=2)), timeout=5)
    assert model.timeouts == [2]


@both
async def test_a_retry_after_beyond_the_deadline_is_not_waited_for(way: Way) -> None:
    model = Scripted(StatusError(429, **{"retry-after": "6"}), None)
    started = time.perf_counter()
    with pytest.raises(LLMError, match="status 429"):
        await way.ask(RetryingModel(model), timeout=5)
    assert time.perf_counter() - started < 2
    assert len(model.timeouts) == 1


@both
async def test_a_call_with_its_retries_is_one_failure(way: Way) -> None:
    model = Scripted(*[StatusError(500)] * 4, None)
    retrying = RetryingModel(
        model, RetryPolicy(max_attempts=2, failure_threshold=2, recovery_timeout=60)
    )
    for calls in (2, 2, 0):
        with pytest.raises(LLMError) as raised:
            await way.ask(retrying, timeout=5)
        assert raised.value.calls == calls
    assert "not asked" in str(raised.value)


@both
async def test_models_may_share_a_circuit(way: Way) -> None:
    circuit = CircuitBreaker(failure_threshold=1, recovery_timeout=60)
    with pytest.raises(LLMError, match="status 404"):
        await way.ask(RetryingModel(Scripted(StatusError(404)), circuit=circuit), timeout=5)
    with pytest.raises(LLMError, match="not asked"):
        await way.ask(RetryingModel(Scripted(None), circuit=circuit), timeout=5)


async def test_a_wait_between_attempts_can_be_cancelled() -> None:
    model = Scripted(StatusError(429, **{"retry-after": "30"}), None)
    retrying = RetryingModel(model, RetryPolicy(failure_threshold=1))
    task = asyncio.create_task(retrying.acomplete(question(), {}, timeout=60))
    while not model.timeouts:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await retrying.acomplete(question(), {}, timeout=60)).text == "fine"


@both
async def test_without_time_nobody_is_asked(way: Way) -> None:
    model = Scripted(None)
    retrying = RetryingModel(model, RetryPolicy(failure_threshold=1))
    with pytest.raises(LLMError, match="no time is left"):
        await way.ask(retrying, timeout=0)
    assert (await way.ask(retrying, timeout=5)).text == "fine"


def test_a_model_keeps_its_name() -> None:
    assert RetryingModel(ScriptedChatModel("x")).name == "scripted"
    assert as_chat_model(lambda _: "x", "mine").name == "mine"
