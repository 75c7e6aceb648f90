from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from toolret.errors import StoreError, StoreLockedError
from toolret.stores.derived import read_arrays, write_arrays
from toolret.stores.folder import FolderStore
from toolret.stores.records import Record, record_key
from toolret.stores.vectors import vector_key


def record(name: str, space: str = "s") -> Record:
    key, row = vector_key(space, name), f'{{"id": "{name}"}}'
    return Record(record_key(key, row), name, row, key)


def vector(name: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array([len(name), 1], np.float32) / np.float32(np.hypot(len(name), 1))


def fill(store: FolderStore, *names: str, space: str = "s", anew: bool = True) -> None:
    with store.write("tools", space=space, anew=anew) as writer:
        new = [r for r in (record(n, space) for n in names) if r.key not in writer.stored]
        writer.add(new, {r.vector_key: (r.id, vector(r.id)) for r in new})
        writer.publish([record(name, space).key for name in names])


def ids(store: FolderStore) -> list[str]:
    return [found.id for found in store.load()["tools"].records.values()]


def counts(folder: Path) -> tuple[int, int]:
    connection = sqlite3.connect(folder / "index.sqlite3")
    records, vectors = (
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("records", "vectors")
    )
    connection.close()
    return records, vectors


def damage(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "index.sqlite3") as connection:
        connection.execute(statement)
    connection.close()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path, lock_timeout=1)


def test_nothing_is_seen_before_it_is_published(store: FolderStore) -> None:
    fill(store, "a")
    with store.write("tools", space="s") as writer:
        new = record("bb")
        writer.add([new], {new.vector_key: ("bb", vector("bb"))})
        writer.publish([new.key])
        assert ids(store) == ["a"]
    assert ids(store) == ["bb"]


def test_collections_that_are_written_together_are_seen_together(store: FolderStore) -> None:
    with store.together():
        fill(store, "a")
        assert ids(store) == []
        with store.write("demos", space="s") as writer:
            new = record("d")
            writer.add([new], {new.vector_key: ("d", vector("d"))})
            writer.publish([new.key])
    contents = store.load()
    assert [len(contents[kind].records) for kind in ("tools", "demos")] == [1, 1]
    assert [number for number, _ in store.generations()] == [1, 1]


def test_contents_are_in_order_of_ids_with_texts_and_vectors(store: FolderStore) -> None:
    fill(store, "ccc", "a", "bb")
    contents = store.load()["tools"]
    assert ids(store) == list(contents.texts) == ["a", "bb", "ccc"]
    assert np.array_equal(contents.vectors, [vector(name) for name in ("a", "bb", "ccc")])


def test_what_is_gone_is_deleted_with_its_vectors(store: FolderStore, tmp_path: Path) -> None:
    fill(store, "a", "bb")
    fill(store, "bb")
    assert counts(tmp_path) == (1, 1)


def test_contents_count_syncs_and_changes(store: FolderStore) -> None:
    fill(store, "a", "bb")
    fill(store, "bb", "ccc")
    fill(store, "bb", "ccc")
    contents = store.load()["tools"]
    assert (contents.generation, contents.changes, contents.space) == (2, 4, "s")


def test_a_writer_that_fails_leaves_what_it_stored_for_the_next(store: FolderStore) -> None:
    fill(store, "a")
    new = record("bb")
    with pytest.raises(ZeroDivisionError), store.write("tools", space="s") as writer:
        writer.add([new], {new.vector_key: ("bb", vector("bb"))})
        writer.publish([new.key])
        raise ZeroDivisionError
    assert ids(store) == ["a"]
    with store.write("tools", space="s") as writer:
        assert writer.stored == {record("a").key, new.key}
        assert writer.live == {"a": record("a").key}
        writer.publish(writer.stored)
    assert ids(store) == ["a", "bb"]


def test_what_was_never_stored_cannot_be_published(store: FolderStore) -> None:
    fill(store, "a")
    with (
        pytest.raises(StoreError, match="1 of the tools were never stored"),
        store.write("tools", space="s") as writer,
    ):
        writer.publish([record("a").key, record("bb").key])
    assert ids(store) == ["a"]


def test_another_space_replaces_everything(store: FolderStore, tmp_path: Path) -> None:
    fill(store, "a")
    fill(store, "a", "bb", space="other")
    assert store.spaces() == {"tools": "other", "demos": ""}
    assert counts(tmp_path) == (2, 2)


DAMAGES = [
    "DELETE FROM records WHERE id = 'bb'",
    "UPDATE records SET row = row || ' ' WHERE id = 'bb'",
    "UPDATE records SET row = 7 WHERE id = 'bb'",
    "UPDATE records SET id = 'b' WHERE id = 'bb'",
    "UPDATE records SET key = 'k' WHERE id = 'bb'",
    "UPDATE records SET kind = 'demos' WHERE id = 'bb'",
    "UPDATE records SET born = 9 WHERE id = 'bb'",
    "UPDATE records SET vector_key = 'v' WHERE id = 'bb'",
    "UPDATE records SET born = 'x' WHERE id = 'bb'",
    "UPDATE records SET born = 1.5 WHERE id = 'bb'",
    *(
        f"UPDATE heads SET {change} WHERE kind = 'tools'"
        for change in (
            "changes = 77",
            "changes = 'x'",
            "generation = 77",
            "generation = 0",
            "generation = 'x'",
            "generation = 9.5",
            "space = 'other'",
            "space = x'00ff'",
            "digest = ''",
            "digest = 7",
            "kind = 'tnols'",
            "kind = 7",
        )
    ),
    "DELETE FROM heads WHERE kind = 'tools'",
    "DELETE FROM heads",
]


@pytest.mark.parametrize("statement", DAMAGES)
def test_damaged_records_are_seen_and_repaired_by_the_next_sync(
    store: FolderStore, tmp_path: Path, statement: str
) -> None:
    fill(store, "a", "bb", "ccc")
    damage(tmp_path, statement)
    with pytest.raises(StoreError, match="the tools are not those of the last sync"):
        store.load()
    with pytest.raises(StoreError, match="sync all of them again"):
        fill(store, "a", "dddd", anew=False)
    fill(store, "a", "bb", "ccc")
    contents = store.load()["tools"]
    assert ids(store) == ["a", "bb", "ccc"]
    assert np.array_equal(contents.vectors, [vector(name) for name in ("a", "bb", "ccc")])


def test_a_first_sync_that_was_interrupted_is_no_damage(store: FolderStore) -> None:
    with pytest.raises(ZeroDivisionError), store.write("tools", space="s") as writer:
        writer.add([record("a")], {record("a").vector_key: ("a", vector("a"))})
        raise ZeroDivisionError
    assert ids(store) == []
    with store.write("tools", space="s") as writer:
        assert writer.stored == {record("a").key}


def test_an_index_that_lacks_a_head_is_read_and_is_given_it(
    store: FolderStore, tmp_path: Path
) -> None:
    """As earlier versions left it where only tools were ever synced."""
    fill(store, "a")
    damage(tmp_path, "DELETE FROM heads WHERE kind = 'demos'")
    assert ids(store) == ["a"]
    assert [number for number, _ in store.generations()] == [1, 0]
    fill(store, "a", "bb", anew=False)
    assert [number for number, _ in store.generations()] == [2, 0]
    damage(tmp_path, "UPDATE heads SET changes = 5 WHERE kind = 'demos'")
    with pytest.raises(StoreError, match="the demos are not those"):
        store.load()


@pytest.mark.parametrize(
    "change", ["vector = zeroblob(8)", "vector = 'x'", "checksum = 0", "text = 'b'", "key = 'k'"]
)
def test_damaged_vectors_count_as_lost(store: FolderStore, tmp_path: Path, change: str) -> None:
    fill(store, "a", "bb")
    damage(tmp_path, f"UPDATE vectors SET {change} WHERE text = 'bb'")
    contents = store.load()["tools"]
    assert contents.texts == ["a", None]
    assert np.array_equal(contents.vectors[0], vector("a"))
    store.keep({record("bb").vector_key: ("bb", vector("bb"))})
    assert store.load()["tools"].texts == ["a", "bb"]


def test_a_lost_vector_of_a_live_record_is_stored_again(store: FolderStore, tmp_path: Path) -> None:
    fill(store, "a", "bb")
    damage(tmp_path, "DELETE FROM vectors WHERE text = 'bb'")
    with store.write("tools", space="s") as writer:
        assert writer.stored == {record("a").key}
        writer.add([record("bb")], {record("bb").vector_key: ("bb", vector("bb"))})
        assert store.load()["tools"].texts == ["a", "bb"]  # and readers never lose the record


def test_another_version_is_refused(store: FolderStore, tmp_path: Path) -> None:
    fill(store, "a")
    damage(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="format 99, this one reads 2"):
        store.load()


def test_the_first_format_is_refused(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "chroma").mkdir()
    assert not store.exists()
    with pytest.raises(StoreError, match=r"earlier version of toolret.*into a new folder"):
        store.check_new()


def test_a_missing_database_beside_a_fit_is_no_new_index(
    store: FolderStore, tmp_path: Path
) -> None:
    (tmp_path / "fit.json").touch()
    with pytest.raises(StoreError, match="is missing: put back a copy, or delete"):
        fill(store, "a")


def test_what_a_writer_left_that_was_killed_at_once_is_no_index(
    store: FolderStore, tmp_path: Path
) -> None:
    (tmp_path / "write.lock").touch()
    (tmp_path / "index.sqlite3.new").write_bytes(b"half")
    (tmp_path / "index.sqlite3.new-journal").write_bytes(b"half")
    fill(store, "a")
    assert ids(store) == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.sqlite3", "write.lock"]


@pytest.mark.parametrize("content", [b"", b"no database" * 1_000, b"SQLite format 3\0" * 100])
def test_a_file_of_something_else_is_a_store_error(
    store: FolderStore, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "index.sqlite3").write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged .*delete the folder .*index the catalogs"):
        store.load()


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        fill(FolderStore(tmp_path / "file" / "index", lock_timeout=1), "a")
    with pytest.raises(StoreError, match="is a file"):
        FolderStore(tmp_path / "file", lock_timeout=1).check_new()


def test_a_name_that_no_folder_can_have_is_a_store_error(tmp_path: Path) -> None:
    for name in ("x" * 300, "nul\0"):
        store = FolderStore(tmp_path / name, lock_timeout=1)
        with pytest.raises(StoreError, match="cannot be"):
            fill(store, "a")
        with suppress(StoreError):
            assert not store.exists()
            store.check_new()


def test_an_index_that_another_process_makes_meanwhile_is_no_stranger(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not store.exists()
    iterdir = Path.iterdir

    def late(path: Path) -> Iterator[Path]:
        monkeypatch.undo()
        fill(store, "a")
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", late)
    store.check_new()
    assert ids(store) == ["a"]


def test_what_killed_writers_left_is_deleted_once_it_is_old(
    store: FolderStore, tmp_path: Path
) -> None:
    fill(store, "a")
    for name in ("fit", "derived", "mine"):
        for age, left in ((7_200, "1-1"), (0, "2-2")):
            file = tmp_path / f"{name}.{left}.tmp"
            file.touch()
            os.utime(file, (time.time() - age,) * 2)
    store.keep_fit(b"{}")
    write_arrays(tmp_path / "derived.npz", "digest", {})
    names = sorted(path.name for path in tmp_path.glob("*.tmp"))
    assert names == ["derived.2-2.tmp", "fit.2-2.tmp", "mine.1-1.tmp", "mine.2-2.tmp"]


def test_no_damage_to_derived_arrays_is_told_of_with_the_advice_to_unpickle_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "derived.npz"
    file.write_bytes(b"junk")
    assert read_arrays(file, "digest") is None
    assert caplog.messages == [f"{file} cannot be read and is made again: it is damaged"]


def test_a_reader_that_keeps_a_sync_from_its_end_is_told_of(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, "a")
    monkeypatch.setattr("toolret.stores.database.BUSY_SECONDS", 0.1)
    reader = sqlite3.connect(tmp_path / "index.sqlite3", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM heads").fetchall()
    with pytest.raises(StoreError, match=r"is locked: a process has been reading .* try again"):
        fill(store, "bb")
    reader.close()
    fill(store, "bb")


def test_a_writer_waits_and_then_says_so(tmp_path: Path) -> None:
    waiting = FolderStore(tmp_path, lock_timeout=0.1)
    with (
        FileLock(tmp_path / "write.lock"),
        pytest.raises(StoreLockedError, match=r"more than 0\.1 s; wait for it, or raise"),
    ):
        fill(waiting, "a")
    fill(waiting, "a")


def test_a_thread_waits_for_another_and_then_says_so(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, lock_timeout=0.1)
    with (
        store.together(),
        ThreadPoolExecutor(1) as pool,
        pytest.raises(StoreLockedError, match=r"another thread .* more than 0\.1 s"),
    ):
        pool.submit(fill, store, "a").result()
    fill(store, "a")


def test_threads_write_one_after_the_other(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, lock_timeout=60)  # on a busy machine the last waits for seconds
    failures: list[Exception] = []

    def add(names: Sequence[str]) -> None:
        try:
            for name in names:
                with store.write("tools", space="s") as writer:
                    new = record(name)
                    writer.add([new], {new.vector_key: (name, vector(name))})
                    writer.publish([*writer.live.values(), new.key])
        except Exception as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    names = [[f"{thread}-{number}" for number in range(5)] for thread in range(8)]
    threads = [threading.Thread(target=add, args=(some,)) for some in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert ids(store) == sorted(name for some in names for name in some)
    assert [number for number, _ in store.generations()] == [40, 0]


def test_a_folder_stays_where_it_is_wherever_the_process_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = FolderStore(Path("index"), lock_timeout=1)
    fill(store, "a")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    fill(store, "a", "b")
    assert ids(store) == ["a", "b"]
    assert list((tmp_path / "elsewhere").iterdir()) == []
