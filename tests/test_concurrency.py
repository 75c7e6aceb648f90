"""Many callers on one retriever, while its index changes."""

from __future__ import annotations

import asyncio
import gc
import shutil
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from tests.conftest import demo, tool
from tests.waiting import until
from toolret.embedders import RoleEmbedder
from toolret.errors import EmbedderMismatchError, InputError
from toolret.index import Snapshot, ToolIndex
from toolret.recent import Recent
from toolret.retrieval import latest
from toolret.retrieval.reader import Reader
from toolret.retrieval.retriever import ToolRetriever
from toolret.testing import HashedWordsEmbedder
from toolret.types import Demo, Tool

_LONGEST_LAG = 0.02
"""Seconds that an event loop may be kept from other work."""

_TOOLS = 20_000


class Counting(HashedWordsEmbedder):
    """Counts the requests that it is asked to embed."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def embed_queries(self, texts: list[str]) -> list[list[float]]:
        self.asked += texts
        return self.embed_documents(texts)


@pytest.fixture
def index(tmp_path: Path, tools: list[Tool], demos: list[Demo]) -> ToolIndex:
    index = ToolIndex(tmp_path / "index", embedder=Counting())
    index.sync(tools, demos)
    return index


def hold_readers(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Make new readers wait.

    Returns:
        The event that a reader has begun, and the one that lets readers go on.
    """
    begun, go_on = threading.Event(), threading.Event()

    def slow(index: ToolIndex, snapshot: Snapshot) -> Reader:
        begun.set()
        assert go_on.wait(30)
        return Reader(index, snapshot)

    monkeypatch.setattr(latest, "Reader", slow)
    return begun, go_on


def asked(index: ToolIndex) -> list[str]:
    return cast("Counting", index.embedder.embedder).asked


def test_many_conversations_are_embedded_together_and_answered_as_one_by_one(
    index: ToolIndex,
) -> None:
    requests = ["cancel order", "refund payment and track parcel", "list invoices", "cancel order"]
    one_by_one = [ToolRetriever(index).select(request) for request in requests]
    fresh = ToolRetriever(index)
    together = fresh.select_many(iter(requests))
    assert [each.tools for each in together] == [each.tools for each in one_by_one]
    assert [each.demos for each in together] == [each.demos for each in one_by_one]
    assert fresh.select_many([]) == []


def test_a_request_is_embedded_once(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    before = len(asked(index))
    for _ in range(3):
        retriever.search("where is my parcel")
    assert asked(index)[before:] == ["where is my parcel"]


def test_a_repeated_request_is_looked_up_until_something_changes(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    first = retriever.select("cancel order")
    again = retriever.select("cancel order")
    assert again.packed is first.packed  # the very same, not made again
    assert again.seconds["rank"] == 0
    assert retriever.select("cancel order", allow=set()).packed is not first.packed
    assert retriever.select("cancel order", max_tools=1).packed is not first.packed
    retriever.min_score = 0.9
    assert retriever.select("cancel order").packed is not first.packed
    assert "cancel_order" in [hit.tool.id for hit in retriever.select("cancel order").tools]
    index.remove_tools(["cancel_order"])
    assert "cancel_order" not in [hit.tool.id for hit in retriever.select("cancel order").tools]


def test_a_test_of_tools_is_asked_each_time(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    verdict = True
    assert retriever.select("cancel order", allow=lambda _: verdict).tools
    verdict = False
    assert not retriever.select("cancel order", allow=lambda _: verdict).tools


def test_the_least_recently_used_value_is_dropped() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]


def test_others_go_on_while_one_reads_a_new_snapshot(
    index: ToolIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = ToolRetriever(index)
    begun, go_on = hold_readers(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(index.add_tools, [tool("ping_host", "Ping a host of the network.")]).result(30)
        renewing = pool.submit(retriever.search, "ping a host")
        assert begun.wait(30)
        found = [hit.tool.id for hit in retriever.search("ping a host", keep_all=True)]
        assert found
        assert "ping_host" not in found
        go_on.set()
        assert renewing.result(30)[0].tool.id == "ping_host"
    assert retriever.search("ping a host")[0].tool.id == "ping_host"


def test_a_thread_that_changes_the_index_waits_for_its_change(
    index: ToolIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = ToolRetriever(index)
    request = "please stop my purchase"
    begun, go_on = hold_readers(monkeypatch)
    with ThreadPoolExecutor(2) as pool:
        pool.submit(index.add_tools, [tool("ping_host", "Ping a host of the network.")]).result(30)
        renewing = pool.submit(retriever.search, "ping a host")
        assert begun.wait(30)

        def removed() -> list[str]:
            index.remove_demos(["d1"])
            return [hit.demo.id for hit in retriever.select(request).demos]

        waiting = pool.submit(removed)
        assert until(lambda: not index.get_demo("d1"))
        assert "d1" in [hit.demo.id for hit in retriever.select(request).demos]  # others go on
        assert not waiting.done()
        go_on.set()
        assert "d1" not in waiting.result(30)
        renewing.result(30)


def test_requests_are_answered_where_no_thread_can_be_started(
    index: ToolIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = ToolRetriever(index)
    ToolIndex(index.store.place, embedder=Counting()).add_tools([tool("ping_host", "Ping it.")])
    index.snapshots._look_at = 0  # as if half a second had passed

    def start(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        assert retriever.search("cancel an order")[0].tool.id == "cancel_order"
    index.snapshots._look_at = 0
    assert until(lambda: bool(retriever.search("cancel an order")) and "ping_host" in index)


async def test_threads_and_coroutines_get_right_answers_while_a_sync_runs(
    index: ToolIndex, tools: list[Tool]
) -> None:
    retriever = ToolRetriever(index)
    expected = {
        "cancel an order": "cancel_order",
        "list the invoices": "list_invoices",
        "track a parcel": "track_parcel",
        "return money": "refund_payment",
    }
    requests = list(expected) * 50
    done = threading.Event()

    def sync() -> int:
        rounds = 0
        while not done.is_set():
            index.sync_tools([*tools, tool(f"extra{rounds}", f"Water plant number {rounds}.")])
            rounds += 1
        return rounds

    def first(number: int) -> str:
        # Each with other words, so that it is no look-up.
        request = requests[number % len(requests)]
        return retriever.select(f"{request} no{number}").tools[0].tool.id

    with ThreadPoolExecutor(65) as pool:
        syncing = pool.submit(sync)
        threads = [pool.submit(first, number) for number in range(64 * 3)]
        selections = await asyncio.gather(*(retriever.aselect(request) for request in requests))
        found = [await asyncio.wrap_future(thread) for thread in threads]
        done.set()
        assert await asyncio.wrap_future(syncing) > 0
    assert [each.tools[0].tool.id for each in selections] == [expected[r] for r in requests]
    assert found == [expected[requests[number % len(requests)]] for number in range(64 * 3)]


def large_index(folder: Path) -> ToolIndex:
    verbs, nouns = ("list", "create", "delete", "get", "cancel"), [f"thing{i}" for i in range(400)]
    tools = [
        tool(
            f"t{i:05}",
            f"{verbs[i % 5]} {nouns[i % 400]} of {nouns[(i * 7) % 400]}",
            permissions=(frozenset({f"p{i % 3}"}),),
        )
        for i in range(_TOOLS)
    ]
    demos = [demo(f"d{i:04}", f"{nouns[i % 400]} please", f"t{i:05}") for i in range(60)]
    index = ToolIndex(folder / "large", embedder=HashedWordsEmbedder())
    index.sync(tools, demos)
    return index


@pytest.fixture
def large_retriever(tmp_path: Path) -> Iterator[ToolRetriever]:
    retriever = ToolRetriever(large_index(tmp_path))
    # Garbage collection of what all tests so far have left takes half a second, in any thread.
    gc.collect()
    gc.freeze()
    yield retriever
    gc.unfreeze()


async def test_an_event_loop_is_not_kept_from_other_work(large_retriever: ToolRetriever) -> None:
    worked: list[float] = []

    async def probe() -> None:
        # In CPU time of this thread: on a busy machine, others may take the time besides.
        while True:
            began = time.thread_time()
            await asyncio.sleep(0.001)
            worked.append(time.thread_time() - began)

    probing = asyncio.create_task(probe())
    requests = [f"list thing{i} and cancel thing{i + 1}" for i in range(40)]
    await asyncio.gather(*(large_retriever.aselect(request, allow={"p1"}) for request in requests))
    probing.cancel()
    assert len(worked) > 20
    assert max(worked) < _LONGEST_LAG


def test_a_copy_that_was_put_back_is_read_once(
    index: ToolIndex, tools: list[Tool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, copy = index.store.folder, tmp_path / "copy"
    shutil.copytree(folder, copy)
    index.add_tools([tool("ping_host", "Ping a host of the network.")])
    retriever = ToolRetriever(index)
    assert retriever.search("ping a host")[0].tool.id == "ping_host"
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    made: list[Snapshot] = []

    def counted(index: ToolIndex, snapshot: Snapshot) -> Reader:
        made.append(snapshot)
        return Reader(index, snapshot)

    monkeypatch.setattr(latest, "Reader", counted)
    for _ in range(3):
        index.snapshots._look_at = 0  # as if half a second had passed
        if index.is_stale():
            retriever._latest._follow()
        assert {hit.tool.id for hit in retriever.search("ping a host", keep_all=True)} == {
            found.id for found in tools
        }
    assert len(made) == 1


def test_a_program_that_asks_whether_the_index_has_changed_does_not_keep_it_from_being_read(
    index: ToolIndex,
) -> None:
    retriever = ToolRetriever(index)
    ToolIndex(index.store.place, embedder=HashedWordsEmbedder()).add_tools(
        [tool("ping_host", "Ping a host of the network.")]
    )
    index.snapshots._look_at = 0  # as if half a second had passed
    assert index.is_stale()
    assert index.is_stale()  # a second time, within the half second
    deadline = time.monotonic() + 20
    while retriever.search("ping a host", keep_all=True)[0].tool.id != "ping_host":
        assert time.monotonic() < deadline
        assert index.is_stale() or "ping_host" in index
    assert not index.is_stale()


def test_an_unusable_state_written_by_another_process_is_logged_once(
    index: ToolIndex, tools: list[Tool], caplog: pytest.LogCaptureFixture
) -> None:
    retriever = ToolRetriever(index)
    other = ToolIndex(index.store.place, embedder=Counting())

    def damage() -> None:
        with sqlite3.connect(index.store.folder / "index.sqlite3") as connection:
            connection.execute("UPDATE records SET row = '{}' WHERE kind = 'tools'")
        connection.close()

    def follow() -> int:
        for _ in range(3):
            retriever._latest._next_try = 0.0  # as if the pause were over
            retriever._latest._follow()
        return sum(record.name == "toolret.retrieval.latest" for record in caplog.records)

    other.add_tools([tool("new")])
    damage()
    assert follow() == 1
    assert "cannot be used" in caplog.text
    other.sync_tools([*tools, tool("new")])
    assert follow() == 1
    assert retriever._latest().snapshot.tools.positions.keys() >= {"new"}
    damage()
    assert follow() == 2


@asynccontextmanager
async def renewing(
    retriever: ToolRetriever, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[threading.Event]:
    """Another request makes a reader of an older change, until it is let go on."""
    begun, go_on = hold_readers(monkeypatch)
    added = [tool("ping_host", "Ping a host of the network.")]
    await asyncio.to_thread(retriever.index.add_tools, added)
    other = asyncio.create_task(asyncio.to_thread(retriever.search, "ping a host"))
    assert await asyncio.to_thread(begun.wait, 30)
    yield go_on
    await other


@pytest.mark.parametrize("in_loop", [True, False], ids=["in the loop", "in a thread"])
async def test_a_task_that_changes_the_index_waits_for_what_was_changed(
    index: ToolIndex, monkeypatch: pytest.MonkeyPatch, in_loop: bool
) -> None:
    retriever = ToolRetriever(index)
    async with renewing(retriever, monkeypatch) as go_on:
        if in_loop:
            index.remove_demos(["d1"])
        else:
            await asyncio.to_thread(index.remove_demos, ["d1"])
            index.see_latest()
        threading.Timer(0.3, go_on.set).start()
        selection = await retriever.aselect("please stop my purchase")
    assert "d1" not in [hit.demo.id for hit in selection.demos]


async def test_a_task_that_records_finds_it_at_once(
    index: ToolIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = ToolRetriever(index)
    call = {"name": "cancel_order", "arguments": "{}"}
    conversation = [
        {"role": "user", "content": "the tent never came, call it off"},
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": call}]},
        {"role": "tool", "tool_call_id": "1", "content": "done"},
    ]
    async with renewing(retriever, monkeypatch) as go_on:
        await retriever.arecord(conversation)
        threading.Timer(0.3, go_on.set).start()
        selection = await retriever.aselect("call it off, the tent never came")
    assert selection.demos[0].demo.text == "the tent never came, call it off"


def test_an_unusable_state_is_not_read_repeatedly(
    index: ToolIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = ToolRetriever(index)
    other = RoleEmbedder(Counting(), embedder_id="another")
    ToolIndex(index.store.place, embedder=other, reembed=True)
    readings: list[int] = []

    def read() -> Snapshot:
        readings.append(1)
        time.sleep(0.05)
        raise EmbedderMismatchError("another")

    monkeypatch.setattr(index.snapshots, "read", read)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        index.snapshots._look_at = 0  # as if half a second had passed
        assert retriever.search("cancel an order")[0].tool.id == "cancel_order"
        time.sleep(0.01)
    assert len(readings) == 1


def test_an_index_that_is_gone_stays_as_it_was_read(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    shutil.rmtree(index.store.folder)
    index.refresh()
    assert len(index) == 4
    assert retriever.search("cancel an order")[0].tool.id == "cancel_order"


@pytest.mark.parametrize(
    "one",
    [
        "cancel order",
        {"role": "user", "content": "cancel order"},
        [{"role": "user", "content": "cancel"}, {"role": "assistant", "content": "Which?"}],
        [HumanMessage("cancel"), AIMessage("Which?")],
        [("user", "cancel"), ("assistant", "Which?")],
    ],
)
def test_one_conversation_is_not_taken_for_many(index: ToolIndex, one: Any) -> None:
    with pytest.raises(InputError, match="several conversations are needed"):
        ToolRetriever(index).select_many(one)
