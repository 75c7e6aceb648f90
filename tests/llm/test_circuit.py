from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from toolret.errors import LLMError
from toolret.llm import CircuitBreaker, LLMCallError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(failure_threshold=3, recovery_timeout=30, clock=clock)


def works(circuit: CircuitBreaker) -> None:
    with circuit.call():
        pass


def fails(circuit: CircuitBreaker, reason: str = "down", **how: bool) -> None:
    with pytest.raises(LLMError, match=reason), circuit.call():
        raise LLMCallError("down", **how)


def refuses(circuit: CircuitBreaker, when: str) -> None:
    with (
        pytest.raises(LLMError, match=f"^not asked, .* failed .{when}.: down$"),
        circuit.call(),
    ):
        pytest.fail("it was called")


def opened(circuit: CircuitBreaker) -> CircuitBreaker:
    for _ in range(3):
        fails(circuit)
    return circuit


def test_consecutive_failures_open_the_circuit(circuit: CircuitBreaker, clock: Clock) -> None:
    fails(circuit)
    fails(circuit)
    works(circuit)  # not in a row, then
    opened(circuit)
    refuses(circuit, "again in 30 s")
    clock.now = 29
    refuses(circuit, "again in 1 s")


def test_a_successful_probe_closes_the_circuit(circuit: CircuitBreaker, clock: Clock) -> None:
    opened(circuit)
    clock.now = 30
    works(circuit)
    fails(circuit)
    fails(circuit)
    works(circuit)


def test_a_failed_probe_reopens_the_circuit(circuit: CircuitBreaker, clock: Clock) -> None:
    opened(circuit)
    clock.now = 30
    fails(circuit)
    refuses(circuit, "again in 30 s")


def test_only_one_call_is_the_probe(circuit: CircuitBreaker, clock: Clock) -> None:
    opened(circuit)
    clock.now = 30
    with circuit.call():
        refuses(circuit, "it is being tried again")
    works(circuit)


def test_a_cancelled_probe_decides_nothing(circuit: CircuitBreaker, clock: Clock) -> None:
    opened(circuit)
    clock.now = 30
    with pytest.raises(asyncio.CancelledError), circuit.call():
        raise asyncio.CancelledError
    fails(circuit)  # the next is the probe
    refuses(circuit, "again in 30 s")


def test_a_probe_with_a_bad_request_closes_the_circuit(
    circuit: CircuitBreaker, clock: Clock
) -> None:
    opened(circuit)
    clock.now = 30
    fails(circuit, blames_request=True)  # the server refused the request, and so it answers
    with circuit.call():
        works(circuit)
    fails(circuit)
    fails(circuit)
    works(circuit)


def test_cancelled_calls_and_bad_requests_do_not_count(circuit: CircuitBreaker) -> None:
    for _ in range(5):
        with pytest.raises(asyncio.CancelledError), circuit.call():
            raise asyncio.CancelledError
        fails(circuit, blames_request=True)
    works(circuit)


def test_calls_from_before_the_circuit_opened_do_not_count(
    circuit: CircuitBreaker, clock: Clock
) -> None:
    early = circuit.call()
    early.__enter__()
    late = circuit.call()
    late.__enter__()
    opened(circuit)
    early.__exit__(None, None, None)
    refuses(circuit, "again in 30 s")
    clock.now = 20
    error = LLMCallError("late")
    late.__exit__(LLMCallError, error, None)
    refuses(circuit, "again in 10 s")


def test_threads_share_it(circuit: CircuitBreaker, clock: Clock) -> None:
    opened(circuit)
    clock.now = 30

    decided = threading.Barrier(8)

    def probe(_: int) -> bool:
        try:
            with circuit.call():
                decided.wait(60)  # the probe goes on until all others were refused
        except LLMError:
            decided.wait(60)
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(probe, range(8))) == 1
