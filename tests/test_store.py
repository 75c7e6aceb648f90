from __future__ import annotations

from pathlib import Path

import chromadb
import numpy as np
import pytest
from chromadb.api.client import Client
from chromadb.config import Settings

from toolret.errors import StoreError
from toolret.records import Record
from toolret.store import ChromaStore


def record(name: str) -> Record:
    return Record(key=f"key-{name}", id=name, row=f'{{"id": "{name}"}}', vector_key=f"v-{name}")


def vector(name: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array([len(name), 1], np.float32) / np.float32(np.hypot(len(name), 1))


def fill(store: ChromaStore, *names: str, space: str = "s") -> None:
    with store.write("tools", space=space) as writer:
        new = [record(name) for name in names if record(name).key not in writer.stored]
        writer.add(new, [vector(item.id) for item in new])
        writer.publish({record(name).key for name in names})


def ids(store: ChromaStore) -> set[str]:
    return {found.id for found in store.read("tools").records.values()}


def collections(folder: Path) -> dict[str, int]:
    settings = Settings(
        is_persistent=True, persist_directory=str(folder / "chroma"), anonymized_telemetry=False
    )
    client = Client(settings=settings)
    try:
        return {found.name: found.count() for found in client.list_collections()}
    finally:
        client.close()


@pytest.fixture
def store(tmp_path: Path) -> ChromaStore:
    return ChromaStore(tmp_path, lock_timeout=1)


def test_nothing_is_seen_before_it_is_published(store: ChromaStore) -> None:
    fill(store, "a")
    with store.write("tools", space="s") as writer:
        writer.add([record("bb")], [vector("bb")])
        assert ids(store) == {"a"}
        writer.publish({"key-bb"})
        assert ids(store) == {"bb"}


def test_records_of_the_past_are_deleted(store: ChromaStore, tmp_path: Path) -> None:
    fill(store, "a", "bb")
    fill(store, "bb")
    assert collections(tmp_path) == {"tools-000001": 1}
    assert set(store.vectors("tools").get(["v-a", "v-bb"])) == {"v-bb"}


def test_contents_count_syncs_and_changes(store: ChromaStore) -> None:
    fill(store, "a", "bb")
    fill(store, "bb", "ccc")
    contents = store.read("tools")
    assert (contents.generation, contents.changes, contents.space) == (2, 4, "s")


def test_a_writer_that_fails_leaves_what_it_stored_for_the_next(store: ChromaStore) -> None:
    fill(store, "a")
    with pytest.raises(ZeroDivisionError), store.write("tools", space="s") as writer:
        writer.add([record("bb")], [vector("bb")])
        raise ZeroDivisionError
    assert ids(store) == {"a"}
    with store.write("tools", space="s") as writer:
        assert writer.stored == {"key-a", "key-bb"}
        writer.publish(writer.stored)
    assert ids(store) == {"a", "bb"}


def test_a_failed_removal_is_forgotten(store: ChromaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that dies between marking and publishing has removed nothing."""
    fill(store, "a", "bb")
    modify = chromadb.Collection.modify
    monkeypatch.setattr(chromadb.Collection, "modify", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fill(store, "bb")
    monkeypatch.setattr(chromadb.Collection, "modify", modify)
    assert ids(store) == {"a", "bb"}
    fill(store, "a", "bb", "ccc")
    assert ids(store) == {"a", "bb", "ccc"}


def test_another_space_replaces_the_collection(store: ChromaStore, tmp_path: Path) -> None:
    fill(store, "a")
    fill(store, "a", "bb", space="other")
    assert store.read("tools").space == "other"
    assert collections(tmp_path) == {"tools-000002": 2}


def test_lost_vectors_are_restored_from_the_cache(store: ChromaStore, tmp_path: Path) -> None:
    names = [f"t{i}" for i in range(1_200)]  # enough for Chroma to write its vector files
    fill(store, *names)
    (tmp_path / "writing").touch()
    damaged = 0
    for path in (tmp_path / "chroma").rglob("*.bin"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        damaged += 1
    assert damaged
    store.heal()
    assert not (tmp_path / "writing").exists()
    assert ids(store) == set(names)
    assert list(collections(tmp_path)) == ["tools-000002"]
    settings = Settings(
        is_persistent=True, persist_directory=str(tmp_path / "chroma"), anonymized_telemetry=False
    )
    client = Client(settings=settings)
    stored = client.get_collection("tools-000002", embedding_function=None).get(
        include=["embeddings"]
    )
    assert stored["embeddings"] is not None and len(stored["embeddings"]) == 1_200
    client.close()


def test_without_a_marker_nothing_is_healed(store: ChromaStore, tmp_path: Path) -> None:
    fill(store, "a")
    store.heal()
    assert list(collections(tmp_path)) == ["tools-000001"]


def test_a_writer_heals_before_it_writes(store: ChromaStore, tmp_path: Path) -> None:
    fill(store, "a")
    (tmp_path / "writing").touch()
    fill(store, "a", "bb")
    assert collections(tmp_path) == {"tools-000002": 2}
    assert not (tmp_path / "writing").exists()


def test_healing_waits_for_no_writer(store: ChromaStore, tmp_path: Path) -> None:
    fill(store, "a")
    with store.write("tools", space="s"):
        ChromaStore(tmp_path, lock_timeout=60).heal()
        assert (tmp_path / "writing").exists()


def test_another_format_is_refused(
    store: ChromaStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolret.store._FORMAT", 99)
    fill(store, "a")
    monkeypatch.undo()
    with pytest.raises(StoreError, match="format 99, this one reads 1"):
        ChromaStore(tmp_path, lock_timeout=1).read("tools")


def test_a_damaged_database_is_a_store_error(store: ChromaStore, tmp_path: Path) -> None:
    (tmp_path / "chroma").mkdir()
    (tmp_path / "chroma" / "chroma.sqlite3").write_bytes(b"no database" * 1_000)
    with pytest.raises(StoreError, match="Chroma failed"):
        store.read("tools")


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        fill(ChromaStore(tmp_path / "file" / "index", lock_timeout=1), "a")
