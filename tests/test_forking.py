"""Processes forked from one that has opened an index, as servers do that preload a program."""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import tool
from tests.stores.places import make_place
from tests.waiting import until
from toolret import forking
from toolret.errors import LLMError
from toolret.forking import RenewedLock
from toolret.index import Snapshot, ToolIndex
from toolret.llm import RecordingModel
from toolret.llm.circuit import CircuitBreaker
from toolret.ranking import text_evidence
from toolret.ranking.scanning import Scan
from toolret.retrieval import latest
from toolret.retrieval.reader import Reader
from toolret.retrieval.retriever import ToolRetriever
from toolret.testing import HashedWordsEmbedder, ScriptedChatModel
from toolret.types import Tool

_LONGEST = 30.0
"""Seconds after which a child counts as hanging."""


@pytest.fixture
def retriever(tmp_path: Path, tools: list[Tool]) -> ToolRetriever:
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder(), lock_timeout=5)
    index.sync_tools(tools)
    return ToolRetriever(index)


@pytest.fixture
def slow_readers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, ...]]:
    """Readers that are made once they may go on; set in a child from the start."""
    begun, go_on = threading.Event(), threading.Event()
    parent = os.getpid()

    def slow(index: ToolIndex, snapshot: Snapshot) -> Reader:
        if os.getpid() == parent:
            begun.set()
            assert go_on.wait(_LONGEST)
        return Reader(index, snapshot)

    monkeypatch.setattr(latest, "Reader", slow)
    yield begun, go_on
    go_on.set()


def in_child(work: Callable[[], Any]) -> Any:
    """What a function returns in a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    try:
        assert select.select([reading], [], [], _LONGEST)[0], "the child hangs"
        return json.loads(os.read(reading, 65_536))
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def written_elsewhere(retriever: ToolRetriever, name: str, description: str) -> None:
    """Add a tool as another process would, and have it noticed."""
    place = retriever.index.store.place
    ToolIndex(place, embedder=HashedWordsEmbedder()).add_tools([tool(name, description)])
    retriever.index.snapshots._look_at = 0  # as if half a second had passed
    retriever.search("notice it")


def found(retriever: ToolRetriever, request: str) -> list[str]:
    return [hit.tool.id for hit in retriever.search(request, keep_all=True)]


def test_a_fork_waits_for_what_is_being_read(
    retriever: ToolRetriever, slow_readers: tuple[threading.Event, ...]
) -> None:
    begun, go_on = slow_readers
    written_elsewhere(retriever, "ping_host", "Ping a host of the network.")
    assert begun.wait(_LONGEST)
    threading.Timer(0.3, go_on.set).start()
    assert in_child(lambda: found(retriever, "ping a host")[0]) == "ping_host"


def test_a_fork_waits_for_a_request_that_looks_for_changes(
    retriever: ToolRetriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, generations = retriever.index, retriever.index.store.generations
    looking, go_on = threading.Event(), threading.Event()

    def slow(**_: object) -> Any:
        looking.set()
        assert go_on.wait(_LONGEST)
        return generations()

    def work() -> list[bool]:
        index.snapshots._look_at = 0
        return [go_on.is_set(), index.is_stale()]

    monkeypatch.setattr(index.store, "generations", slow)
    thread = threading.Thread(target=index.is_stale)
    thread.start()
    assert looking.wait(_LONGEST)
    threading.Timer(0.5, go_on.set).start()
    assert in_child(work) == [True, False]
    thread.join()
    assert work() == [True, False]


def test_a_child_follows_and_changes_an_index_that_its_parent_was_reading(
    retriever: ToolRetriever,
    slow_readers: tuple[threading.Event, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written_elsewhere(retriever, "ping_host", "Ping a host of the network.")
    assert slow_readers[0].wait(_LONGEST)
    monkeypatch.setattr(forking, "_LONGEST_WAIT", 0.0)  # as if reading took for ever

    def work() -> list[str]:
        retriever.index.snapshots._look_at = 0
        until(lambda: "ping_host" in found(retriever, "ping a host"), seconds=_LONGEST)
        retriever.index.add_tools([tool("water_plant", "Water a plant.")])
        return [found(retriever, "ping a host")[0], found(retriever, "water a plant")[0]]

    assert in_child(work) == ["ping_host", "water_plant"]


def test_a_child_forked_during_a_sync_waits_for_it_and_then_writes(
    retriever: ToolRetriever,
) -> None:
    index = retriever.index
    syncing, go_on = threading.Event(), threading.Event()

    def sync() -> None:
        with index.store.together():
            syncing.set()
            assert go_on.wait(_LONGEST)

    thread = threading.Thread(target=sync)
    thread.start()
    assert syncing.wait(_LONGEST)
    threading.Timer(0.5, go_on.set).start()

    def work() -> str:
        index.add_tools([tool("water_plant", "Water a plant.")])
        return found(retriever, "water a plant")[0]

    try:
        assert in_child(work) == "water_plant"
    finally:
        go_on.set()
        thread.join()


def test_a_child_has_all_locks_of_a_shared_index(tmp_path: Path) -> None:
    store: Any = make_place("memory", tmp_path).machine()
    held = [store._reading, store._listening, store._writing]
    for lock in held:
        threading.Thread(target=lock.acquire).start()
    assert until(lambda: all(lock.locked() for lock in (store._reading, store._listening)))

    def work() -> list[bool]:
        return [
            lock.acquire(timeout=1) for lock in (store._reading, store._listening, store._writing)
        ]

    assert in_child(work) == [True, True, True]


def test_a_child_computes_what_a_thread_of_its_parent_is_computing(
    retriever: ToolRetriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    parent, first = os.getpid(), text_evidence._first

    def slow(values: Any) -> Any:
        if os.getpid() == parent:
            begun.set()
            assert go_on.wait(2 * _LONGEST)
        return first(values)

    monkeypatch.setattr(text_evidence, "_first", slow)
    thread = threading.Thread(target=found, args=(retriever, "refund a payment"))
    thread.start()
    assert begun.wait(_LONGEST)
    try:
        assert in_child(lambda: len(found(retriever, "refund a payment"))) > 0
    finally:
        go_on.set()
        thread.join()


def test_a_child_multiplies_while_a_thread_of_its_parent_counts() -> None:
    scan = Scan(np.eye(2, dtype=np.float32))
    with scan._counting.current:
        said = in_child(lambda: scan.products(np.ones((1, 2), dtype=np.float32)).tolist())
    assert said == [[1.0, 1.0]]


def test_a_renewed_lock_is_free_in_a_child_whoever_held_it() -> None:
    by_other, by_this = RenewedLock(), RenewedLock()
    holding, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with by_other.current:
            holding.set()
            assert go_on.wait(2 * _LONGEST)

    def take_both() -> list[bool]:
        return [lock.current.acquire(timeout=1) for lock in (by_other, by_this)]

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert holding.wait(_LONGEST)
        with by_this.current:
            assert in_child(take_both) == [True, True]
            assert [by_other.current.locked(), by_this.current.locked()] == [True, True]
    finally:
        go_on.set()
        thread.join()
    assert take_both() == [True, True]


def test_a_child_releases_the_lock_that_its_thread_held_when_it_forked() -> None:
    lock = RenewedLock()
    held = lock.current

    def release() -> list[bool]:
        with lock.current:  # as another thread of the child would
            held.release()
            return [lock.current.locked(), held.locked()]

    with held:
        assert in_child(release) == [True, False]
    assert not held.locked()


def test_a_renewed_lock_is_freed_with_its_owner() -> None:
    lock = weakref.ref(RenewedLock())
    gc.collect()
    assert lock() is None


def test_a_child_probes_what_its_parent_is_probing() -> None:
    circuit = CircuitBreaker(failure_threshold=1, recovery_timeout=0.0)
    with pytest.raises(LLMError), circuit.call():
        raise LLMError("down")

    def work() -> str:
        with circuit.call():
            return "probed"

    with circuit.call(), circuit._lock:
        assert in_child(work) == "probed"


def test_a_child_records_while_a_thread_of_its_parent_writes(tmp_path: Path) -> None:
    model = RecordingModel(ScriptedChatModel("hello"), tmp_path / "run.jsonl")
    with model._lock.current:
        assert in_child(lambda: model.complete([], {}, timeout=5).text) == "hello"


@pytest.mark.model
@pytest.mark.parametrize("seconds", [0, 3], ids=["at once", "once it is loaded"])
def test_workers_forked_from_a_preloaded_program_answer(tmp_path: Path, seconds: int) -> None:
    ToolIndex(tmp_path / "index").sync_tools([tool("refund", "Return money that was paid.")])
    program = """
import os, sys, time
from toolret import ToolIndex, ToolRetriever

retriever = ToolRetriever(ToolIndex(sys.argv[1]))
time.sleep(int(sys.argv[2]))  # then the model's threads are idle, and wait for work
workers = []
for _ in range(2):
    if not (worker := os.fork()):
        found = retriever.search("give the money back", keep_all=True)[0].tool.id
        os.write(1, f"{found}\\n".encode())  # at once: two workers may write at the same time
        sys.exit(0)
    workers.append(worker)
for worker in workers:
    assert os.waitpid(worker, 0)[1] == 0
print(retriever.search("give the money back", keep_all=True)[0].tool.id)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "index"), str(seconds)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["refund"] * 3, done.stderr
