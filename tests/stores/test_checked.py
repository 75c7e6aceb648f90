"""An index that is read in bulk is the one that is checked piece by piece."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolret.errors import StoreError
from toolret.index import ToolIndex
from toolret.stores import checked
from toolret.stores.folder import FolderStore
from toolret.stores.records import KINDS, Contents, Kind
from toolret.testing import HashedWordsEmbedder
from toolret.types import Demo, Tool

COUNT = 5_000
"""Of which most come in a second piece of the file, and the last in a third."""


def catalog() -> tuple[list[Tool], list[Demo]]:
    tools = [
        Tool(id=f"wé東🙂{i:0{1 + i % 7}}", name=f"n{i}", description=f"does {i % 4_000}\0ß")
        for i in range(COUNT)
    ]
    tools = [replace(one, id=f"{i}{one.id}") for i, one in enumerate(tools)]
    demos = [Demo(id=f"d{i}", text=f"please {i}", tools=(tools[i].id,)) for i in range(100)]
    return tools, demos


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checked") / "index"
    ToolIndex(folder, embedder=HashedWordsEmbedder()).sync(*catalog())
    return folder


@pytest.fixture
def store(folder: Path, tmp_path: Path) -> FolderStore:
    """A copy of the index, which was checked."""
    copy = tmp_path / "index"
    copy.mkdir()
    (copy / "index.sqlite3").write_bytes((folder / "index.sqlite3").read_bytes())
    store = FolderStore(copy, lock_timeout=5)
    store.load()
    return store


def loaded(store: FolderStore) -> dict[Kind, Contents] | str:
    try:
        return store.load()
    except StoreError as error:
        return str(error)


def piecewise(store: FolderStore) -> dict[Kind, Contents] | str:
    """The contents, or what is said of them, by one who has nothing but the database."""
    (store.folder / "checked.npz").unlink(missing_ok=True)
    return loaded(store)


def assert_same(found: dict[Kind, Contents] | str, wanted: dict[Kind, Contents] | str) -> None:
    assert found == wanted
    if isinstance(found, str) or isinstance(wanted, str):
        return
    for kind in KINDS:
        assert list(found[kind].records) == list(wanted[kind].records)
        assert np.array_equal(found[kind].vectors, wanted[kind].vectors)


@pytest.fixture
def in_bulk(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each reading, whether it was in bulk."""
    answers: list[bool] = []
    read = checked.read_checked

    def noting(*arguments: object) -> dict[Kind, Contents] | None:
        found = read(*arguments)  # type: ignore[arg-type]
        answers.append(found is not None)
        return found

    monkeypatch.setattr("toolret.stores.folder.read_checked", noting)
    return answers


def test_what_is_read_in_bulk_is_what_was_checked(store: FolderStore, in_bulk: list[bool]) -> None:
    found = loaded(store)
    assert_same(found, piecewise(store))
    assert not isinstance(found, str)
    assert [len(found[kind].records) for kind in KINDS] == [COUNT, 100]
    assert all(type(text) is str for text in found["tools"].texts)
    assert in_bulk == [True, False]


def test_what_an_interrupted_sync_stored_is_not_seen(
    store: FolderStore, in_bulk: list[bool]
) -> None:
    before = loaded(store)

    class Stopping(HashedWordsEmbedder):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            if "new 599" not in texts[0] and len(texts) < 512:
                raise KeyboardInterrupt
            return super().embed_documents(texts)

    index = ToolIndex(store.folder, embedder=Stopping())
    with pytest.raises(KeyboardInterrupt):
        index.add_tools([Tool(id=f"new {i}", name=f"new {i}") for i in range(600)])
    assert_same(loaded(store), before)
    assert_same(piecewise(store), before)
    assert_same(loaded(store), before)  # and nothing was kept of a file with more in it
    assert in_bulk == [True, True, False, False]


def test_a_sync_is_seen(store: FolderStore, in_bulk: list[bool]) -> None:
    index = ToolIndex(store.folder, embedder=HashedWordsEmbedder())
    index.add_tools([Tool(id="new", name="new")])
    found = loaded(store)
    assert not isinstance(found, str)
    assert len(found["tools"].records) == COUNT + 1
    assert_same(loaded(store), found)
    assert in_bulk == [False, True]


DAMAGES = {
    "a row": "UPDATE records SET row = replace(row, 'does', 'doez') WHERE number = 3000",
    "an id": "UPDATE records SET id = id || 'x' WHERE number = 4500",
    "a record's key": "UPDATE records SET key = 'x' || substr(key, 2) WHERE number = 77",
    "the key of a vector": "UPDATE records SET vector_key = key WHERE number = 5",
    "a birth": "UPDATE records SET born = 9 WHERE number = 12",
    "a kind": "UPDATE records SET kind = 'demo' WHERE kind = 'demos' AND id = 'd3'",
    "an empty row": "UPDATE records SET row = '' WHERE number = 12",
    "a record too few": "DELETE FROM records WHERE number = 2048",
    "a record too many": "INSERT INTO records (kind, key, id, vector_key, born, row) "
    "SELECT kind, key || 'x', id, vector_key, born, row FROM records WHERE number = 1",
    "two rows": "UPDATE records SET row = (SELECT row FROM records WHERE number = 8 - r.number) "
    "FROM records AS r WHERE records.number = r.number AND r.number IN (3, 5)",
    "a vector": "UPDATE vectors SET vector = zeroblob(length(vector)) WHERE number = 2500",
    "a short vector": "UPDATE vectors SET vector = x'00' WHERE number = 2500",
    "a text": "UPDATE vectors SET text = text || '.' WHERE number = 1",
    "a checksum": "UPDATE vectors SET checksum = checksum + 1 WHERE number = 1",
    "a vector's key": "UPDATE vectors SET key = 'x' || substr(key, 2) WHERE number = 1",
    "a vector too few": "DELETE FROM vectors WHERE number = 2048",
    "a head": "UPDATE heads SET changes = changes + 1 WHERE kind = 'tools'",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_found_as_if_nothing_had_been_checked(store: FolderStore, damage: str) -> None:
    before = loaded(store)
    with sqlite3.connect(store.folder / "index.sqlite3") as connection:
        assert connection.execute(damage).rowcount > 0
    connection.close()
    found = loaded(store)
    assert_same(found, piecewise(store))
    assert (found == before) == (damage == DAMAGES["a record too many"])  # it does no harm


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :]


def cut(content: bytes, place: int) -> bytes:
    return content[:place]


def overwritten(content: bytes, place: int) -> bytes:
    return content[:place] + bytes(range(256)) * 4 + content[place + 1_024 :]


@pytest.mark.parametrize("harm", [flipped, cut, overwritten])
def test_a_damaged_file_does_no_harm(
    store: FolderStore, harm: Callable[[bytes, int], bytes]
) -> None:
    path = store.folder / "checked.npz"
    content = path.read_bytes()
    before = loaded(store)
    rng = np.random.default_rng(0)
    # The headers, where damage shows itself in many ways, and some places of the rest.
    places = [
        *range(0, 400, 7),
        *rng.integers(0, len(content), 20),
        *range(len(content) - 60, len(content), 7),
    ]
    for place in places:
        path.write_bytes(harm(content, int(place)))
        assert loaded(store) == before
        path.unlink(missing_ok=True)


def test_small_indexes_are_checked_anew(tmp_path: Path) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync_tools([Tool(id="a", name="a")])
    assert len(index) == 1
    assert not (tmp_path / "checked.npz").exists()


def test_an_index_with_rows_too_long_to_be_joined_is_checked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked, "_WORTH", 0)
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync_tools([Tool(id="a", name="a"), Tool(id="b", name="b", description="x" * 200_000)])
    assert len(index) == 2
    assert not (tmp_path / "checked.npz").exists()
    index.remove_tools(["b"])
    assert (tmp_path / "checked.npz").exists()


def test_an_emptied_index_is_checked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked, "_WORTH", 0)
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync_tools([Tool(id="a", name="a")])
    index.sync_tools([])
    (tmp_path / "checked.npz").unlink(missing_ok=True)
    assert len(ToolIndex(tmp_path, embedder=HashedWordsEmbedder())) == 0
    assert not (tmp_path / "checked.npz").exists()
