"""What fails, fails at any step and harms nobody: writers, readers, other data, other machines."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
from langchain_core.documents import Document as LangChainDocument
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from tests.http_servers import serving, silent_server
from tests.stores.places import (
    DIMENSIONS,
    Place,
    SameName,
    chroma_server,
    embedder,
    ids,
    make_place,
    many_tools,
    opened,
    start_chroma,
)
from tests.waiting import until
from toolret.embedders import RoleEmbedder
from toolret.errors import StoreError, StoreLockedError
from toolret.index import ToolIndex
from toolret.index.shelves import TOOLS
from toolret.retrieval.retriever import ToolRetriever
from toolret.stores import chroma_store, langchain_store
from toolret.stores.engines import Document, Engine, Fields
from toolret.stores.langchain import IndexEmbeddings, LangChainEngine
from toolret.stores.records import Record
from toolret.stores.remote import RemoteStore
from toolret.types import RECORDED, Demo, Tool


class Failing:
    """An engine that fails for good after so many writes; the last one may have been done.

    As seen from the others it is a process that was killed, or that lost the network.
    """

    def __init__(self, engine: Engine, writes: int, *, done: bool) -> None:
        self.engine = engine
        self.left = writes
        self.done = done
        self.place = engine.place

    def get(self, names: Sequence[str]) -> Any:
        if self.left < 0:
            raise StoreError("gone")
        return self.engine.get(names)

    def present(self, names: Sequence[str]) -> Any:
        if self.left < 0:
            raise StoreError("gone")
        return self.engine.present(names)

    def put(self, documents: Sequence[Document]) -> None:
        self._write(lambda: self.engine.put(documents))

    def create(self, document: Document) -> bool:
        return bool(self._write(lambda: self.engine.create(document)))

    def delete(self, names: Sequence[str]) -> None:
        self._write(lambda: self.engine.delete(names))

    def _write(self, write: Callable[[], object]) -> object:
        self.left -= 1
        if self.left >= 0:
            return write()
        if self.left == -1 and self.done:
            write()
        raise StoreError("gone")


def remote_store(place: Place, **options: Any) -> RemoteStore:
    store = cast("RemoteStore", place.machine())
    for name, value in options.items():
        setattr(store, name, value)
    return store


def everything(place: Place) -> dict[str, Fields]:
    """All documents of an index in memory."""
    engine = cast("LangChainEngine", remote_store(place).engine)
    kept = cast("InMemoryVectorStore", engine._store).store.values()
    return {entry["metadata"]["toolret"]: entry["metadata"] for entry in kept}


@pytest.mark.parametrize("done", [False, True], ids=["undone", "done"])
def test_a_sync_that_stops_at_any_write_is_seen_whole_or_not_at_all(
    tmp_path: Path, done: bool
) -> None:
    before, after = many_tools(300), many_tools(300, start=200)
    failed = 0
    for writes in range(100):
        place = make_place("memory", tmp_path / str(writes))
        opened(place)[0].sync_tools(before)
        reader, _ = opened(place)
        broken = remote_store(place)
        index = ToolIndex(broken, embedder=embedder())
        broken.engine = Failing(broken.engine, writes, done=done)
        try:
            index.sync_tools(after)
            synced = True
        except StoreError:
            synced = False
            failed += 1
            reader.refresh()
            assert ids(reader) in ({t.id for t in before}, {t.id for t in after})

        # Another machine, which has cached nothing, goes on; for it the writer is dead.
        next_ = remote_store(place, lease=0.0)
        index = ToolIndex(next_, embedder=embedder())
        if synced:
            assert ids(index) == {t.id for t in after}
        index.sync_tools(after)
        reader.refresh()
        assert ids(reader) == ids(opened(place)[0]) == {t.id for t in after}
        heads = [name for name in everything(place) if name.startswith("head/")]
        index.sync_tools([])  # whatever the broken one left is gone, but for the old heads
        left = {n for n in everything(place) if not n.startswith("head/") and n != "latest"}
        assert left == set(), writes
        assert heads
        if synced and broken.engine.left > 0:
            break
    assert failed > 5


def test_nothing_that_was_stored_is_embedded_again(tmp_path: Path) -> None:
    """Killed after two of three batches: another machine embeds the third."""
    place = make_place("memory", tmp_path)
    broken = remote_store(place)
    index = ToolIndex(broken, embedder=embedder())
    broken.engine = Failing(broken.engine, 7, done=False)  # claim, and (draft, store) three times
    with pytest.raises(StoreError):
        index.sync_tools(many_tools(1_500))
    counting_index, counting = opened(place)
    cast("RemoteStore", counting_index.store).lease = 0.3
    counting_index.sync_tools(many_tools(1_500))
    third = 2 * (1_500 - 1_024)
    assert third <= counting.embedded < third + 50  # with some bookkeeping


def test_a_writer_that_was_taken_for_dead_changes_nothing(remote: Place) -> None:
    first, second = remote_store(remote), remote_store(remote, lease=0.0)
    opened(remote)[0].sync_tools(many_tools(3))
    slow = ToolIndex(first, embedder=embedder())
    first.lease = 1_000.0  # gives no sign of life
    with (
        pytest.raises(StoreLockedError, match=r"took this one for dead|meanwhile"),
        first.write("tools", space=_space(slow)) as writer,
    ):
        ToolIndex(second, embedder=embedder()).sync_tools(many_tools(5))
        writer.publish([])
    assert len(opened(remote)[0]) == 5
    slow.sync_tools(many_tools(7))
    assert len(opened(remote)[0]) == 7


class Hooked:
    """An engine that does something else before it creates a head."""

    def __init__(self, engine: Engine, before: Callable[[Document], object]) -> None:
        self.engine = engine
        self.before = before

    def create(self, document: Document) -> bool:
        if document.name.startswith("head/"):
            self.before(document)
        return self.engine.create(document)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


def test_a_writer_that_is_refused_leaves_alone_what_the_winner_published(tmp_path: Path) -> None:
    """One was taken for dead, and its head comes late, but before that of who took over."""
    place = make_place("memory", tmp_path)
    opened(place)[0].sync_tools(many_tools(5))
    late, taking_over = remote_store(place), remote_store(place, lease=0.0)
    engine = late.engine

    def others_head(document: Document) -> None:
        taking_over.engine = Hooked(taking_over.engine, lambda _: engine.create(document))
        with pytest.raises(StoreLockedError, match="meanwhile"):
            ToolIndex(taking_over, embedder=embedder()).sync_tools(many_tools(8, start=20))

    late.engine = Hooked(engine, others_head)
    ToolIndex(late, embedder=embedder()).sync_tools(many_tools(8))
    fresh, _ = opened(place)
    assert ids(fresh) == {t.id for t in many_tools(8)}
    assert fresh.sync_tools([]).removed == 8
    left = {n for n in everything(place) if not n.startswith("head/") and n != "latest"}
    assert left == set()


def test_only_one_of_two_heads_is_created(remote: Place) -> None:
    """Even where the claims fail altogether."""
    store = remote_store(remote)
    results: list[bool] = []
    barrier = threading.Barrier(4)

    def create(name: str) -> None:
        barrier.wait()
        results.append(store.engine.create(Document("head/9", {"body": name})))

    if remote.kind != "chroma":
        cast("LangChainEngine", store.engine)._settle = 0.5
    threads = [threading.Thread(target=create, args=(f"writer {i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, False, False, True]


def test_a_writer_waits_for_another_and_then_says_so(tmp_path: Path) -> None:
    place = make_place("memory", tmp_path)
    busy, waiting = remote_store(place), remote_store(place, lock_timeout=0.4)
    with busy.write("tools", space="s"):
        index = ToolIndex(waiting, embedder=embedder())
        with pytest.raises(StoreLockedError, match=r"more than 0\.4 s"):
            index.sync_tools(many_tools(1))


def test_a_thread_waits_for_another_and_then_says_so(tmp_path: Path) -> None:
    store = remote_store(make_place("memory", tmp_path), lock_timeout=0.1)
    index = ToolIndex(store, embedder=embedder())
    with (
        store.together(),
        ThreadPoolExecutor(1) as pool,
        pytest.raises(StoreLockedError, match=r"another thread .* more than 0\.1 s"),
    ):
        pool.submit(index.sync_tools, many_tools(1)).result()


def test_a_writer_that_fails_gives_up_its_claim(tmp_path: Path) -> None:
    place = make_place("memory", tmp_path)
    with pytest.raises(ZeroDivisionError), remote_store(place).write("tools", space="s"):
        raise ZeroDivisionError
    next_ = remote_store(place, lease=1_000.0, lock_timeout=5.0)  # takes nobody for dead
    assert ToolIndex(next_, embedder=embedder()).sync_tools(many_tools(2)).added == 2


def test_a_writer_that_changes_nothing_leaves_no_claim_to_be_fought_over(tmp_path: Path) -> None:
    place = make_place("memory", tmp_path)
    index = opened(place)[0]
    index.sync_tools(many_tools(2))
    assert index.sync_tools(many_tools(2)).kept == 2
    with pytest.raises(ZeroDivisionError), index.store.together():
        raise ZeroDivisionError
    assert [name for name in everything(place) if name.startswith("claim/")] == []


def test_records_that_somebody_deleted_are_missed_and_restored(tmp_path: Path) -> None:
    place = make_place("memory", tmp_path)
    index, _ = opened(place)
    index.sync_tools(many_tools(5))
    engine = cast("RemoteStore", index.store).engine
    engine.delete([name for name in everything(place) if name.startswith("records/")][:2])
    index.refresh()
    assert len(index) == 5  # what was read stays right
    repairing = ToolIndex(remote_store(place), embedder=embedder())
    with pytest.raises(StoreError, match="sync all tools and demonstrations again"):
        len(repairing)
    with pytest.raises(StoreError, match="sync all tools and demonstrations again"):
        repairing.add_tools(many_tools(1, start=9))
    assert repairing.sync_tools(many_tools(5)).added == 2
    assert len(opened(place)[0]) == 5


def test_an_index_that_was_built_again_is_read_and_written(tmp_path: Path) -> None:
    place = make_place("memory", tmp_path)
    index, _ = opened(place)
    for count in range(1, 8):
        index.sync_tools(many_tools(count))
    cast("RemoteStore", index.store).engine.delete(list(everything(place)))
    again = many_tools(2, start=20)
    opened(place)[0].sync_tools(again)
    index.refresh()
    assert ids(index) == {tool.id for tool in again}
    index.add_tools(many_tools(1))
    assert len(opened(place)[0]) == 3


def test_collections_that_were_deleted_are_read_and_written_anew(
    tmp_path: Path, chroma: str
) -> None:
    place = make_place("chroma", tmp_path, chroma=chroma)
    index, _ = opened(place)
    index.sync_tools(many_tools(3))
    collections = f"{chroma}/api/v2/tenants/default_tenant/databases/default_database/collections"
    for suffix in ("", ".ledger"):
        name = index.store.place.rpartition("/")[2] + suffix
        httpx.delete(f"{collections}/{name}").raise_for_status()
    index.refresh()
    assert len(index) == 3
    assert index.sync_tools(many_tools(3)).added == 3
    assert is_right(opened(place)[0], many_tools(3))


def test_other_documents_and_indexes_are_left_alone(tmp_path: Path) -> None:
    store = InMemoryVectorStore(IndexEmbeddings(embedder()))
    store.add_documents([LangChainDocument("mine", id="mine", metadata={"toolret": 3})])
    for name in ("a", "b"):
        place = langchain_store(store, name, cache_dir=tmp_path / name, settle=0)
        ToolIndex(place, embedder=embedder()).sync_tools(many_tools(3, start=ord(name)))
    place = langchain_store(store, "a", cache_dir=tmp_path / "a", settle=0)
    ToolIndex(place, embedder=embedder()).sync_tools([])
    place = langchain_store(store, "b", cache_dir=tmp_path / "c", settle=0)
    assert len(ToolIndex(place, embedder=embedder())) == 3
    assert store.get_by_ids(["mine"])[0].page_content == "mine"


def test_a_vector_store_embeds_nothing_that_the_index_has_embedded(tmp_path: Path) -> None:
    _, counting = opened(make_place("memory", tmp_path))
    store = InMemoryVectorStore(IndexEmbeddings(counting))
    place = langchain_store(store, "a", cache_dir=tmp_path, settle=0)
    ToolIndex(place, embedder=embedder()).sync_tools(many_tools(50))
    assert counting.embedded < 10  # bookkeeping
    found = store.similarity_search("does thing number 7 and 49", k=1)
    assert found[0].metadata["id"] == "tool_7"


def test_a_vector_store_with_an_embedding_of_its_own_will_do(tmp_path: Path) -> None:
    store = InMemoryVectorStore(cast("Embeddings", embedder()))
    for machine in ("one", "two"):
        place = langchain_store(store, "a", cache_dir=tmp_path / machine, settle=0)
        index = ToolIndex(place, embedder=embedder())
        index.sync_tools(many_tools(50))
    assert len(index) == 50


class Lacking(VectorStore):
    """A vector store that cannot give what it holds."""

    def similarity_search(self, query: str, k: int = 4, **_: Any) -> list[LangChainDocument]:
        return []

    @classmethod
    def from_texts(cls, *_: Any, **__: Any) -> Lacking:
        return cls()


def test_a_vector_store_without_get_by_ids_is_refused(tmp_path: Path) -> None:
    place = langchain_store(Lacking(), "a", cache_dir=tmp_path)
    with pytest.raises(StoreError, match=r"^Lacking/a: this vector store lacks `get_by_ids`"):
        ToolIndex(place, embedder=embedder())


def test_a_retriever_goes_on_while_the_server_is_down(tmp_path: Path) -> None:
    with chroma_server(tmp_path / "server") as url:
        place = Place(
            "chroma", lambda cache: chroma_store(f"{url}/acme", cache_dir=cache), tmp_path
        )
        index, _ = opened(place)
        index.sync_tools(many_tools(20))
        retriever = ToolRetriever(index)
    port = int(url.rpartition(":")[2])
    with pytest.raises(
        StoreError, match=rf"^http://127\.0\.0\.1:{port}/acme: .* cannot be reached"
    ):
        index.refresh()
    with pytest.raises(StoreError, match="cannot be reached"):
        index.sync_tools(many_tools(30))
    assert retriever.search("thing number 7", k=1)[0].tool.id == "tool_7"
    process = start_chroma(tmp_path / "server", port)
    try:
        index.refresh()
        assert index.sync_tools(many_tools(30)).embedded <= 10
    finally:
        process.terminate()
        process.wait()


def test_a_store_listens_again_once_a_thread_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_place("memory", tmp_path)
    index, _ = opened(place)
    index.sync_tools(many_tools(3))
    assert len(index) == 3
    other, _ = opened(place)
    other.sync_tools(many_tools(4))

    def start(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        before = index.store.generations(timeout=0)
    assert until(lambda: index.store.generations(timeout=0) != before)
    assert index.store.generations(timeout=0) == other.snapshot.generations


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[Any]]]:
    """Serve the same answer to everything; yield the URL, and the headers that were sent."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - so the base class wants it

    with serving(Handler) as url:
        yield url, seen


def test_what_is_refused_is_said_without_the_secret(tmp_path: Path) -> None:
    with answering(403, b'{"error": "Forbidden"}') as (url, seen):
        store = chroma_store(
            f"{url}/acme", headers={"x-chroma-token": "s3cret"}, cache_dir=tmp_path
        )
        with pytest.raises(StoreError, match=r"answers 403.*give `headers`") as caught:
            store.load()
    assert seen[0]["x-chroma-token"] == "s3cret"
    assert "s3cret" not in str(caught.value)


def test_another_server_is_no_chroma_server(tmp_path: Path) -> None:
    with answering(200, b"<html>") as (url, _), pytest.raises(StoreError, match="no Chroma server"):
        chroma_store(f"{url}/acme", cache_dir=tmp_path).load()


def test_a_server_that_is_unwell_is_asked_again(tmp_path: Path) -> None:
    with answering(503, b"") as (url, seen), pytest.raises(StoreError, match="it answers 503"):
        chroma_store(f"{url}/acme", cache_dir=tmp_path).load()
    assert len(seen) == 4


def test_a_forked_process_has_connections_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(404, b"") as (url, _):
        store = chroma_store(f"{url}/acme", cache_dir=tmp_path)
        assert not store.exists()
        before = cast("Any", store).engine._client
        monkeypatch.setattr("os.getpid", lambda: -1)
        assert not store.exists()
        assert cast("Any", store).engine._client is not before


@pytest.mark.parametrize(
    "body",
    [
        b'{"status": "ok"}',
        b"[]",
        b"null",
        b'"hi"',
        b"<html>",
        b'{"id": "x"}',
        b'{"id": "x", "ids": ["head/1"], "metadatas": null}',
        b'{"id": "x", "ids": ["head/1"], "metadatas": [null]}',
        b'{"id": "x", "ids": ["head/1"], "metadatas": [3]}',
    ],
)
def test_a_server_that_speaks_json_is_no_chroma_server(body: bytes, tmp_path: Path) -> None:
    told = "no Chroma server|by another version"
    with answering(200, body) as (url, _), pytest.raises(StoreError, match=told):
        chroma_store(f"{url}/acme", cache_dir=tmp_path).exists()


def test_a_server_that_is_silent_is_given_up(tmp_path: Path) -> None:
    with silent_server() as url, pytest.raises(StoreError, match="timed out"):
        chroma_store(f"{url}/acme", cache_dir=tmp_path, timeout=0.2).load()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://host:8000", "names no index"),
        ("http://host:8000/a/b", "names no index"),
        ("http://host:8000/acme?x=1", "names no index"),
        ("http://host:8000/a", "cannot be an index's name"),
        ("http://me:secret@host:8000/acme", "holds no credentials"),
        ("HTTP://host:8000/a", "cannot be an index's name"),
        ("http://me:secret@[::1/acme", "cannot be read: Invalid IPv6 URL"),
        ("http://me:secret@host:99999/acme", "cannot be read: "),
        (Path("https://me:secret@host/acme"), "given as a text, not as a path"),
        (":memory:", r"is no folder: name one; for an index .*temporary_store\(\)"),
        ("", "is no folder"),
    ],
)
def test_an_url_that_names_no_index_is_refused(
    url: str | Path, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=message) as caught:
        ToolIndex(url, embedder=embedder())
    assert "secret" not in str(caught.value)


def test_a_dimension_that_the_collection_does_not_take_is_said(chroma: str, tmp_path: Path) -> None:
    place = make_place("chroma", tmp_path, chroma=chroma)
    opened(place)[0].sync_tools(many_tools(3))
    writer = place.machine()
    with pytest.raises(StoreError, match="dimension"):
        ToolIndex(writer, embedder=type(embedder())(DIMENSIONS // 2), reembed=True)
    assert len(opened(place)[0]) == 3


def test_vectors_of_another_length_go_into_an_index_of_another_name(tmp_path: Path) -> None:
    place = make_place("memory", tmp_path)
    ToolIndex(place.machine(), embedder=SameName(64)).sync_tools(many_tools(3))
    store = place.machine()
    with pytest.raises(StoreError, match="sync into another name"):
        ToolIndex(store, embedder=SameName(32), reembed=True)
    with pytest.raises(StoreError, match="have 64 values, but those of 'same' have 32"):
        ToolIndex(store, embedder=SameName(32)).sync_tools(many_tools(4))
    for machine in (store, place.machine()):
        index = ToolIndex(machine, embedder=SameName(64))
        assert index.snapshot.tools.vectors.shape == (3, 64)


async def test_many_threads_and_coroutines_share_one_store(chroma: str, tmp_path: Path) -> None:
    place = make_place("chroma", tmp_path, chroma=chroma)
    index, _ = opened(place)
    index.sync_tools(many_tools(40))
    retriever = ToolRetriever(index)

    async def ask(number: int) -> None:
        if number % 10 == 0:
            await asyncio.to_thread(index.refresh)
        found = await retriever.aselect(f"thing number {number % 40} and {(number % 40) ** 2}")
        assert found.tools[0].tool.id == f"tool_{number % 40}"

    sync = asyncio.create_task(asyncio.to_thread(opened(place)[0].sync_tools, many_tools(60)))
    await asyncio.gather(*(ask(number) for number in range(200)))
    await sync


def _space(index: ToolIndex) -> str:
    return index.store.spaces()["tools"]


def test_records_keep_their_vectors_together(tmp_path: Path) -> None:
    """A cached record without its vector counts as not there."""
    store = remote_store(make_place("memory", tmp_path))
    cache = store.cache
    record = Record(key="k", id="i", row="{}", vector_key="v")
    cache.put_records([record], {})
    assert cache.entries(["k"]) == {}
    cache.put({"v": ("text", np.ones(3, np.float32))})
    assert [entry.record for entry in cache.entries(["k", "other"]).values()] == [record]
    cache.keep_only([], 1)
    assert cache.entries(["k"]) == {}
    assert cache.get(["v"]) == {}


def cache_file(place: Place) -> Path:
    """The cache of the machine that was opened last."""
    return place.folder / f"machine-{place.machines}" / "records.sqlite3"


def is_right(index: ToolIndex, tools: list[Tool]) -> bool:
    shelf = index.snapshot.tools
    vectors = TOOLS.embed(shelf.texts, RoleEmbedder(embedder()))
    right = sorted(tools, key=lambda tool: tool.id)
    return list(shelf.items) == right and np.allclose(shelf.vectors, vectors, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        "checked_vectors SET vector = zeroblob(256)",
        "checked_vectors SET vector = zeroblob(8)",
        "checked_vectors SET vector = x'000000'",
        "checked_vectors SET vector = 'x'",
        "checked_vectors SET text = text || '.'",
        "checked_vectors SET checksum = checksum + 1",
        "checked_records SET row = '{'",
        "checked_records SET row = replace(row, 'does', 'doez')",
        "checked_records SET row = 7",
        "checked_records SET id = 'tool_8' WHERE id = 'tool_7'",
        "checked_records SET vector_key = (SELECT max(key) FROM checked_vectors)",
    ],
)
def test_a_damaged_cache_counts_as_absent_and_harms_no_other_machine(
    tmp_path: Path, change: str
) -> None:
    place = make_place("memory", tmp_path)
    opened(place)[0].sync_tools(many_tools(20))
    with sqlite3.connect(cache_file(place)) as connection:
        assert connection.execute(f"UPDATE {change}").rowcount > 0
    connection.close()
    index = ToolIndex(place.open(cache_file(place).parent), embedder=embedder())
    assert is_right(index, many_tools(20))
    changed = [replace(one, permissions=(frozenset({"p"}),)) for one in many_tools(20)]
    index.sync_tools(changed)
    assert is_right(opened(place)[0], changed)


@pytest.mark.parametrize("damage", [lambda v: v[:-1] + "{", lambda v: v[:-1], lambda _: None])
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        *(("records/", field) for field in ("key", "id", "row", "vector_key", "vector")),
        ("pages/", "body"),
        ("head/", "body"),
        ("head/", "format"),
        ("latest", "number"),
    ],
)
def test_damage_on_the_server_is_a_store_error(
    tmp_path: Path, kind: str, field: str, damage: Callable[[str], str | None]
) -> None:
    place = make_place("memory", tmp_path)
    opened(place)[0].sync_tools(many_tools(20))
    fields: Any = next(f for n, f in everything(place).items() if n.startswith(kind))
    fields[field] = damage(fields[field])
    if fields[field] is None:
        del fields[field]
    with pytest.raises(StoreError, match=r"damaged|another version"):
        len(ToolIndex(remote_store(place), embedder=embedder()))


def test_damaged_records_of_the_server_are_stored_again_by_the_next_sync(tmp_path: Path) -> None:
    place = make_place("memory", tmp_path)
    opened(place)[0].sync_tools(many_tools(20))
    documents = everything(place)
    for kind in ("records/", "pages/"):
        fields: Any = next(f for n, f in documents.items() if n.startswith(kind))
        fields["body" if "body" in fields else "row"] = "{"
    index = ToolIndex(remote_store(place), embedder=embedder())
    index.sync_tools(many_tools(20))
    assert is_right(opened(place)[0], many_tools(20))


@pytest.mark.parametrize("kind", ["chroma", "memory"])
@pytest.mark.parametrize("anew", [False, True], ids=["the same process", "a new process"])
def test_what_the_server_has_lost_is_stored_again_by_a_machine_that_has_cached_it(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, anew: bool
) -> None:
    url = request.getfixturevalue("chroma") if kind == "chroma" else ""
    place = make_place(kind, tmp_path, chroma=url)
    index, _ = opened(place)
    recorded = [Demo(f"{RECORDED}{i}", f"do thing {i}", tools=(f"tool_{i}",)) for i in range(3)]
    index.sync(many_tools(600), recorded)
    machine = tmp_path / f"machine-{place.machines}"
    store = cast("RemoteStore", index.store)
    state = store.state()
    names = [*state.names("tools").values()][:5] + [*state.names("demos").values()][:1]
    store.engine.delete([*names, state.head.parts["tools"].pages[0]])
    with pytest.raises(StoreError, match="missing or damaged"):
        len(opened(place)[0])
    again = ToolIndex(place.open(machine), embedder=embedder()) if anew else index
    report = again.sync(many_tools(600), [])
    assert report["tools"].embedded == report["demos"].embedded == 0
    reader = opened(place)[0]
    assert is_right(reader, many_tools(600))
    assert [demo.id for demo in reader.demos] == [demo.id for demo in recorded]
    before = store.generations()
    assert again.sync(many_tools(600), [])["tools"].kept == 600
    assert store.generations() == before


def test_who_reads_an_older_head_takes_nothing_from_a_writer_with_the_same_cache(
    tmp_path: Path,
) -> None:
    place = make_place("memory", tmp_path)
    writer, _ = opened(place)
    writer.sync_tools(many_tools(3))
    cache = cast("RemoteStore", writer.store).cache
    older = list(writer.store.load()["tools"].records)
    writer.sync_tools(many_tools(6))
    with writer.store.together():
        cache.keep_only(older, 1)
        changed = [replace(one, permissions=(frozenset({"p"}),)) for one in many_tools(6)]
        assert writer.sync_tools(changed).embedded == 0
    assert is_right(opened(place)[0], changed)


def test_who_tidies_a_cache_waits_for_another_process_that_writes_it(tmp_path: Path) -> None:
    place = make_place("memory", tmp_path)
    writer, _ = opened(place)
    writer.sync_tools(many_tools(3))
    cache = cast("RemoteStore", writer.store).cache
    with closing(sqlite3.connect(cache_file(place), check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        end = threading.Timer(0.3, other.rollback)
        end.start()
        cache.keep_only([], 100)
        end.join()
    assert cache.entries(list(writer.store.load()["tools"].records)) == {}


def test_a_cache_that_is_emptied_during_a_sync_is_a_store_error(tmp_path: Path) -> None:
    place = make_place("memory", tmp_path)
    index, _ = opened(place)
    index.sync_tools(many_tools(3))
    changed = [replace(one, permissions=(frozenset({"p"}),)) for one in many_tools(3)]
    file = cache_file(place)
    with pytest.raises(StoreError, match="emptied or damaged"), index.store.together():
        file.unlink()
        index.sync_tools(changed)
    assert index.sync_tools(changed).changed == 3


def test_an_index_is_read_without_a_cache_that_cannot_be_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = make_place("memory", tmp_path)
    opened(place)[0].sync_tools(many_tools(3))
    (tmp_path / "machine-2" / "records.sqlite3").mkdir(parents=True)
    assert is_right(opened(place)[0], many_tools(3))
    assert caplog.text.count("the cache cannot be used") == 1


def test_who_has_no_home_is_told_to_name_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", home)
    with pytest.raises(StoreError, match=r"no home folder .*give a folder as `cache_dir`"):
        ToolIndex("http://127.0.0.1:1/acme", embedder=embedder())
