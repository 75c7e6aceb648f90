"""Indexes in a temporary folder."""

from __future__ import annotations

import gc
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from toolret import StoreError, Tool, ToolIndex, ToolRetriever
from toolret.stores import temporary_store
from toolret.testing import HashedWordsEmbedder

_PROGRAM = """
import os, sys
from toolret import Tool, ToolIndex
from toolret.stores import temporary_store
from toolret.testing import HashedWordsEmbedder

index = ToolIndex(temporary_store(), embedder=HashedWordsEmbedder())
index.sync_tools([Tool(id="a.cancel", name="cancel", description="Cancel an order.")])
if os.fork() == 0:
    sys.exit()  # unlike os._exit, it runs what is to be done when a process ends
os.wait()
index.refresh()
print(index.store.folder, index.store.folder.exists(), len(index))
"""


@pytest.fixture(autouse=True)
def temporary_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_it_lasts_as_long_as_its_retriever(temporary_folders: Path, tools: list[Tool]) -> None:
    index = ToolIndex(temporary_store(), embedder=HashedWordsEmbedder())
    index.sync_tools(tools)
    retriever = ToolRetriever(index)
    del index
    gc.collect()
    retriever.index.refresh()
    assert retriever.search(tools[0].description, keep_all=True)
    assert len([*temporary_folders.iterdir()]) == 1
    del retriever
    gc.collect()
    assert not [*temporary_folders.iterdir()]


def test_each_is_another(tools: list[Tool]) -> None:
    one, other = (ToolIndex(temporary_store(), embedder=HashedWordsEmbedder()) for _ in range(2))
    one.sync_tools(tools)
    assert len(one) == len(tools)
    assert not len(other)


@pytest.mark.skipif(sys.platform == "win32", reason="it has no fork")
def test_it_goes_with_its_process_but_not_with_a_forked_one() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True
    )
    folder, existed, tools = ended.stdout.split()
    assert (existed, tools) == ("True", "1")
    assert not Path(folder).exists()


def test_no_folder_is_left_by_a_bad_timeout(temporary_folders: Path) -> None:
    with pytest.raises(TypeError, match="lock_timeout"):
        temporary_store(lock_timeout="soon")  # type: ignore[arg-type]
    assert not [*temporary_folders.iterdir()]


def test_no_room_for_a_folder_is_a_store_error(
    temporary_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary_folders / "gone"))
    with pytest.raises(StoreError, match="no folder can be made for an index that is not kept"):
        temporary_store()
