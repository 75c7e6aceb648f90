"""What disks, kills and other processes do to an index: an error or the right answer."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.kill_syncs import kill_rounds
from scripts.share_index import check, marked, share
from tests.conftest import ROOT
from toolret.embedders import RoleEmbedder
from toolret.errors import StoreError
from toolret.index import Snapshot, ToolIndex
from toolret.index.shelves import DEMOS, TOOLS
from toolret.retrieval.retriever import ToolRetriever
from toolret.testing import HashedWordsEmbedder
from toolret.types import Demo, Tool

KILLS = int(os.environ.get("TOOLRET_KILLS", "6"))
SECONDS = float(os.environ.get("TOOLRET_SHARE_SECONDS", "5"))

COUNT = 60


def catalog() -> tuple[list[Tool], list[Demo]]:
    tools = [Tool(id=f"tool {i}", name=f"tool {i}", description=f"does {i}") for i in range(COUNT)]
    demos = [Demo(id=f"demo {i}", text=f"please {i}", tools=(f"tool {i}",)) for i in range(COUNT)]
    return tools, demos


def is_right(index: ToolIndex) -> bool:
    """Whether it holds the whole catalog, every vector in its place."""
    tools, demos = catalog()
    snapshot = index.snapshot
    if list(snapshot.tools.items) != sorted(tools, key=lambda item: item.id):
        return False
    if list(snapshot.demos.items) != sorted(demos, key=lambda item: item.id):
        return False
    embedder = RoleEmbedder(HashedWordsEmbedder())
    return all(
        np.allclose(shelf.vectors, form.embed(shelf.texts, embedder), atol=1e-6)
        for form, shelf in ((TOOLS, snapshot.tools), (DEMOS, snapshot.demos))
    )


@pytest.fixture(scope="module", autouse=True)
def _all_is_kept() -> Iterator[None]:
    """Also what is only worth it for larger indexes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolret.stores.checked._WORTH", 0)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with all files that one can have."""
    folder = tmp_path_factory.mktemp("whole") / "index"
    index = ToolIndex(folder, embedder=HashedWordsEmbedder())
    index.sync(*catalog())
    ToolRetriever(index)
    files = {path.name for path in folder.iterdir()}
    assert files == {"index.sqlite3", "fit.json", "checked.npz", "derived.npz", "write.lock"}
    return folder


def test_a_sync_that_is_killed_leaves_an_index(tmp_path: Path) -> None:
    counts = kill_rounds(tmp_path, KILLS, seed=7)
    assert counts["killed"] >= KILLS


def test_processes_share_an_index(tmp_path: Path) -> None:
    counts = share(tmp_path, SECONDS, processes=4)
    assert min(counts["syncs"], counts["additions"], counts["snapshots checked"]) > 0


def test_threads_and_coroutines_read_while_syncs_run(tmp_path: Path) -> None:
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync(*marked("first"))
    follower = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    over = threading.Event()
    checked: list[Snapshot] = []
    checking = threading.Lock()  # each snapshot once: this is about reading, not about embedding

    def look(own: ToolIndex) -> None:
        if own.is_stale():
            own.refresh()
        snapshot = own.snapshot
        with checking:
            if not any(snapshot is known for known in checked):
                check(snapshot)
                checked.append(snapshot)

    def reads() -> None:
        while not over.is_set():
            look(index)
            look(follower)
            time.sleep(0.05)

    async def awaits() -> None:
        while not over.is_set():
            look(follower)
            await asyncio.sleep(0.05)

    async def many() -> None:
        await asyncio.gather(*(awaits() for _ in range(200)))

    with ThreadPoolExecutor(65) as pool:
        readers = [*(pool.submit(reads) for _ in range(64)), pool.submit(asyncio.run, many())]
        try:
            for number in range(5):
                index.sync(*marked(str(number)))
        finally:
            over.set()
        for reader in readers:
            reader.result(timeout=60)
    assert len({id(snapshot) for snapshot in checked}) > 2


@settings(
    max_examples=int(os.environ.get("TOOLRET_DAMAGES", "40")),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damage_to_any_file_is_an_error_or_does_no_harm(
    data: st.DataObject, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    path = folder / data.draw(st.sampled_from(sorted(p.name for p in whole.iterdir())))
    content = path.read_bytes()
    kind = data.draw(st.sampled_from(["flip", "run", "cut", "empty", "gone"]))
    place = data.draw(st.integers(0, max(0, len(content) - 1)))
    if kind == "gone":
        path.unlink()
    elif kind == "empty" or not content:
        path.write_bytes(b"")
    elif kind == "cut":
        path.write_bytes(content[:place])
    elif kind == "flip":
        bit = 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
    else:
        run = data.draw(st.binary(min_size=64, max_size=4_096))
        path.write_bytes((content[:place] + run + content[place + len(run) :])[: len(content)])
    try:
        index = ToolIndex(folder, embedder=HashedWordsEmbedder())
        assert is_right(index)
        if path.name in ("fit.json", "derived.npz"):
            unharmed = ToolIndex(whole, embedder=HashedWordsEmbedder())
            found, expected = (ToolRetriever(i).search("please 7") for i in (index, unharmed))
            assert [hit.score for hit in found] == [hit.score for hit in expected]
    except StoreError as error:
        assert str(folder) in str(error)
    try:  # and a whole sync repairs it, or says what to do
        index = ToolIndex(folder, embedder=HashedWordsEmbedder())
        index.sync(*catalog())
        assert is_right(index)
        assert is_right(ToolIndex(folder, embedder=HashedWordsEmbedder()))
    except StoreError as error:
        assert str(folder) in str(error)


def full_disk(folder: Path) -> str:
    """In a process of its own, syncs into a folder that is too small; what it says."""
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.test_faults import catalog\n"
        "from toolret.errors import StoreError\n"
        "from toolret.index import ToolIndex\n"
        "from toolret.testing import HashedWordsEmbedder\n"
        "index = ToolIndex(Path(sys.argv[1]), embedder=HashedWordsEmbedder())\n"
        "from toolret.types import Tool\n"
        "many = [Tool(id=f'new {i}', name=f'new {i}') for i in range(5_000)]\n"
        "try: index.add_tools(many)\n"
        "except StoreError as error: print(error)\n"
    )
    limit = 1_500_000  # bytes that one file may have: writing beyond fails, as on a full disk
    script = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    ignore = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    done = subprocess.run(
        [sys.executable, "-c", script + ignore + code, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_what_cannot_be_written_is_an_error_and_changes_nothing(
    whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    shutil.copytree(whole, folder)
    said = full_disk(folder)
    assert str(folder) in said
    assert is_right(ToolIndex(folder, embedder=HashedWordsEmbedder()))


def test_a_full_disk_says_so(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "index"
    shutil.copytree(whole, folder)
    connect = sqlite3.connect

    def small(*arguments: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)  # type: ignore[call-overload]
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 10}")
        return connection

    index = ToolIndex(folder, embedder=HashedWordsEmbedder())
    monkeypatch.setattr("sqlite3.connect", small)
    many = [Tool(id=f"new {i}", name=f"new {i}") for i in range(2_000)]
    with pytest.raises(StoreError, match=r"index\.sqlite3: the disk is full; .* make room"):
        index.add_tools(many)
    monkeypatch.undo()
    assert is_right(ToolIndex(folder, embedder=HashedWordsEmbedder()))
    assert index.add_tools(many).added == 2_000


@pytest.fixture
def read_only(whole: Path, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "index"
    shutil.copytree(whole, folder)
    for path in (*folder.iterdir(), folder):
        path.chmod(path.stat().st_mode & 0o555)
    yield folder
    for path in (folder, *folder.iterdir()):
        path.chmod(path.stat().st_mode | 0o700)


def test_a_read_only_folder_is_searched(read_only: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in read_only.iterdir()}
    index = ToolIndex(read_only, embedder=HashedWordsEmbedder())
    assert is_right(index)
    assert ToolRetriever(index).search("please do what tool 7 does")
    assert {path.name: path.stat().st_mtime_ns for path in read_only.iterdir()} == before


def test_an_index_on_a_read_only_file_system_is_searched(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses to write and to delete, even what is not there."""
    folder = tmp_path / "index"
    shutil.copytree(whole, folder)
    for name in ("checked.npz", "derived.npz", "fit.json"):
        (folder / name).unlink()
    open_ = Path.open

    def refuse(path: Path, **_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    def reading(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> IO[Any]:
        if "w" in mode:
            refuse(path)
        return open_(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", reading)
    monkeypatch.setattr(Path, "unlink", refuse)
    index = ToolIndex(folder, embedder=HashedWordsEmbedder())
    assert is_right(index)
    assert ToolRetriever(index).search("please do what tool 7 does")
    assert {path.name for path in folder.iterdir()} == {"index.sqlite3", "write.lock"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_not_written(read_only: Path) -> None:
    index = ToolIndex(read_only, embedder=HashedWordsEmbedder())
    with pytest.raises(StoreError, match="cannot be"):
        index.add_tools([Tool(id="new", name="new")])
