from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from tests.conftest import ROOT, count_views, demo, tool
from tests.stores.places import CountingEmbedder, SameName, many_tools
from toolret.embedders import Instructions, RoleEmbedder
from toolret.errors import (
    CatalogError,
    DemoError,
    EmbedderError,
    EmbedderMismatchError,
    InputError,
    StoreError,
)
from toolret.index import SyncReport, ToolIndex, shelves
from toolret.index.shelves import TOOLS
from toolret.retrieval.retriever import ToolRetriever
from toolret.stores.folder import FolderStore
from toolret.testing import HashedWordsEmbedder
from toolret.text.rendering import tool_views
from toolret.types import Call, Demo, Tool


@pytest.fixture
def index(tmp_path: Path, embedder: HashedWordsEmbedder) -> ToolIndex:
    return ToolIndex(tmp_path, embedder=embedder)


def test_a_new_index_is_empty_and_makes_no_folder(tmp_path: Path, embedder: RoleEmbedder) -> None:
    index = ToolIndex(tmp_path / "index", embedder=embedder)
    assert (len(index), list(index), index.demos) == (0, [], ())
    assert index.get_tool("x") is None
    assert index.get_demo("x") is None
    assert not (tmp_path / "index").exists()


def test_sync_reports_what_changed_and_embeds_only_that(tmp_path: Path, tools: list[Tool]) -> None:
    embedder = CountingEmbedder()
    index = ToolIndex(tmp_path, embedder=embedder)
    assert index.sync_tools(tools) == SyncReport(added=4, embedded=4)
    assert index.sync_tools(tools) == SyncReport(kept=4)
    changed = [replace(tools[0], description="Stop an order."), *tools[1:3], tool("new")]
    assert index.sync_tools(changed) == SyncReport(
        added=1, changed=1, removed=1, kept=2, embedded=2
    )
    assert embedder.embedded == count_views(*tools, changed[0], changed[-1])
    assert [found.id for found in index] == sorted(found.id for found in changed)


def test_a_change_outside_the_text_embeds_nothing(tmp_path: Path, tools: list[Tool]) -> None:
    index = ToolIndex(tmp_path, embedder=CountingEmbedder())
    index.sync_tools(tools)
    guarded = [replace(found, permissions=(frozenset({"admin"}),)) for found in tools]
    assert index.sync_tools(guarded) == SyncReport(changed=4)
    assert index.get_tool("cancel_order") == guarded[0]


def test_tools_of_equal_text_are_embedded_once(tmp_path: Path) -> None:
    index = ToolIndex(tmp_path, embedder=CountingEmbedder())
    twins = [tool("ping", "same", id="a.ping"), tool("ping", "same", id="b.ping")]
    assert index.sync_tools(twins) == SyncReport(added=2, embedded=1)
    assert np.array_equal(*index.snapshot.tools.vectors)


def test_reopening_finds_everything(tmp_path: Path, tools: list[Tool], demos: list[Demo]) -> None:
    ToolIndex(tmp_path, embedder=HashedWordsEmbedder()).sync(tools, demos)
    embedder = CountingEmbedder()
    index = ToolIndex(tmp_path, embedder=embedder)
    assert sorted(index, key=lambda t: t.id) == sorted(tools, key=lambda t: t.id)
    assert list(index.demos) == demos
    assert index.get_demo("d1") == demos[0]
    assert "cancel_order" in index and "nothing" not in index
    assert embedder.embedded == 0
    expected = TOOLS.embed(index.snapshot.tools.texts, RoleEmbedder(HashedWordsEmbedder()))
    assert np.allclose(index.snapshot.tools.vectors, expected, atol=1e-6)


def test_add_and_remove_touch_only_what_they_name(
    index: ToolIndex, tools: list[Tool], demos: list[Demo]
) -> None:
    index.sync(tools, demos)
    assert index.add_tools([tool("new")]) == SyncReport(added=1, kept=4, embedded=1)
    assert index.remove_tools(["new", "never there"]) == SyncReport(removed=1, kept=4)
    fifth = demo("d5", "where are my bills", "list_invoices")
    assert index.add_demos([fifth]) == SyncReport(added=1, kept=4, embedded=1)
    assert index.remove_demos(["d1"]) == SyncReport(removed=1, kept=4)
    assert [found.id for found in index.demos] == ["d2", "d3", "d4", "d5"]


def test_tools_and_demonstrations_are_added_together_or_not_at_all(
    tmp_path: Path, tools: list[Tool], demos: list[Demo], embedder: HashedWordsEmbedder
) -> None:
    index = ToolIndex(tmp_path / "index", embedder=embedder)
    uses_new = demo("d9", "do the new thing", "new")
    with pytest.raises(DemoError, match="names the tool 'new'"):
        index.add(tools, [uses_new])
    assert not (tmp_path / "index").exists()
    assert index.add(tools[:3], demos[:1])["demos"] == SyncReport(added=1, embedded=1)
    with pytest.raises(DemoError, match="names the tool 'new'"):
        index.add(tools, [uses_new])
    assert len(index) == 3
    report = index.add([tool("new"), replace(tools[0], description="Stop it.")], [uses_new])
    assert report["tools"] == SyncReport(added=1, changed=1, kept=2, embedded=2)
    assert (report["tools"].added_ids, report["tools"].changed_ids) == (("new",), (tools[0].id,))
    assert [found.id for found in index.demos] == ["d1", "d9"]
    assert index.add(tools[:1]).keys() == {"tools"}
    assert set(index.sync_tools([tool("new")]).removed_ids) == {t.id for t in tools[:3]}


def test_one_id_for_two_tools_is_an_error_and_nothing_changes(
    index: ToolIndex, tmp_path: Path, tools: list[Tool], embedder: HashedWordsEmbedder
) -> None:
    index.sync_tools(tools)
    with pytest.raises(CatalogError, match="cancel_order"):
        index.sync_tools([tools[0], replace(tools[0], description="another")])
    assert len(ToolIndex(tmp_path, embedder=embedder)) == 4


def test_a_demonstration_of_an_unknown_tool_is_an_error_before_anything_is_written(
    index: ToolIndex, tmp_path: Path, tools: list[Tool]
) -> None:
    lost = replace(demo("d9", "hello", "no_such_tool"), origin="demos.jsonl: line 7")
    with pytest.raises(DemoError, match=r"^demos\.jsonl: line 7: .*'no_such_tool'"):
        index.sync(tools, [lost])
    assert len(index) == 0
    assert list(tmp_path.iterdir()) == []


def test_another_embedder_is_refused_or_embeds_again_when_asked(
    tmp_path: Path, tools: list[Tool], demos: list[Demo]
) -> None:
    ToolIndex(tmp_path, embedder=HashedWordsEmbedder(dimensions=64)).sync(tools, demos)
    other = HashedWordsEmbedder(dimensions=32)
    with pytest.raises(EmbedderMismatchError, match="reembed=True"):
        ToolIndex(tmp_path, embedder=other)
    index = ToolIndex(tmp_path, embedder=other, reembed=True)
    assert index.snapshot.tools.vectors.shape == (4, 32)
    assert index.snapshot.demos.vectors.shape == (4, 32)
    assert len(ToolIndex(tmp_path, embedder=other)) == 4


def test_another_instruction_is_another_space(tmp_path: Path, tools: list[Tool]) -> None:
    embedder = HashedWordsEmbedder()
    ToolIndex(tmp_path, embedder=embedder).sync_tools(tools)
    with pytest.raises(EmbedderMismatchError):
        ToolIndex(tmp_path, embedder=embedder, instructions=Instructions(tool="A tool: "))


def test_another_adapter_is_another_space(tmp_path: Path, tools: list[Tool]) -> None:
    words = HashedWordsEmbedder(dimensions=64)
    ToolIndex(tmp_path, embedder=words).sync_tools(tools)
    adapted = RoleEmbedder(words, tool_adapter=-np.eye(64, dtype=np.float32))
    with pytest.raises(EmbedderMismatchError, match="with another adapter: pass reembed=True"):
        ToolIndex(tmp_path, embedder=adapted)
    before = TOOLS.embed([*map(tool_views, tools)], RoleEmbedder(words))
    index = ToolIndex(tmp_path, embedder=adapted, reembed=True)
    by_id = dict(zip((found.id for found in index), index.snapshot.tools.vectors, strict=True))
    for found, vector in zip(tools, before, strict=True):
        assert np.allclose(by_id[found.id], -vector, atol=1e-6)


def test_lost_vectors_are_embedded_again(tmp_path: Path, tools: list[Tool]) -> None:
    ToolIndex(tmp_path, embedder=HashedWordsEmbedder()).sync_tools(tools)
    with sqlite3.connect(tmp_path / "index.sqlite3") as connection:
        connection.execute("DELETE FROM vectors WHERE number = 1")
        connection.execute("UPDATE vectors SET vector = zeroblob(8) WHERE number = 2")
        connection.execute("UPDATE vectors SET text = 'another' WHERE number = 3")
    connection.close()
    embedder = CountingEmbedder()
    index = ToolIndex(tmp_path, embedder=embedder)
    expected = TOOLS.embed([*map(tool_views, tools)], RoleEmbedder(HashedWordsEmbedder()))
    by_id = dict(zip((found.id for found in index), index.snapshot.tools.vectors, strict=True))
    for found, vector in zip(tools, expected, strict=True):
        assert np.allclose(by_id[found.id], vector, atol=1e-6)
    assert embedder.embedded == 6  # three lost vectors, of two texts each
    assert len(ToolIndex(tmp_path, embedder=embedder).snapshot.tools.vectors) == 4
    assert embedder.embedded == 6  # three lost vectors, of two texts each


def test_a_new_snapshot_reuses_the_parsed_items_of_the_last(
    index: ToolIndex, tools: list[Tool]
) -> None:
    index.sync_tools(tools)
    known = {found.id: found for found in index}
    index.add_tools([tool("another")])
    assert all(known.get(found.id, found) is found for found in index)


def test_tools_and_demonstrations_are_seen_in_one_step(
    tmp_path: Path, tools: list[Tool], demos: list[Demo]
) -> None:
    """Whoever looks while demonstrations are embedded sees neither them nor the new tools."""
    seen: list[tuple[int, int]] = []

    class Looking(HashedWordsEmbedder):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            other = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
            seen.append((len(other), len(other.demos)))
            return super().embed_documents(texts)

    ToolIndex(tmp_path, embedder=HashedWordsEmbedder()).sync(tools[:1], [])
    index = ToolIndex(tmp_path, embedder=Looking())
    index.sync(tools, demos)
    assert seen == [(1, 0), (1, 0)]
    assert (len(index), len(index.demos)) == (4, 4)


def test_a_sync_without_changes_touches_nothing(
    tmp_path: Path, tools: list[Tool], demos: list[Demo], embedder: HashedWordsEmbedder
) -> None:
    ToolIndex(tmp_path, embedder=embedder).sync(tools, demos)
    path = tmp_path / "index.sqlite3"
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    index = ToolIndex(tmp_path, embedder=embedder)
    assert index.sync(tools, demos)["tools"] == SyncReport(kept=4)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_an_iterator_is_consumed_in_chunks(tmp_path: Path) -> None:
    embedder = CountingEmbedder()
    held: list[int] = []

    def generated() -> Iterator[Tool]:
        for number, item in enumerate(many_tools(5_000)):
            held.append(number + 1 - embedder.embedded)
            yield item

    index = ToolIndex(tmp_path, embedder=embedder)
    assert index.sync_tools(generated()) == SyncReport(added=5_000, embedded=5_000)
    assert max(held) <= 4_096
    with pytest.raises(CatalogError, match="'tool_1' already stands for something else"):
        index.sync_tools(iter([*many_tools(3), tool("tool_1", "another")]))
    assert len(index) == 5_000


def test_an_index_that_was_embedded_again_elsewhere_is_not_mixed(
    tmp_path: Path, tools: list[Tool]
) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder(dimensions=64))
    index.sync_tools(tools)
    assert len(index) == 4
    ToolIndex(tmp_path, embedder=HashedWordsEmbedder(dimensions=32), reembed=True)
    for change in (index.sync_tools, index.add_tools):
        with pytest.raises(EmbedderMismatchError):
            change([tool("new")])
    with pytest.raises(EmbedderMismatchError):
        index.refresh()
    assert index.snapshot.tools.vectors.shape == (4, 64)


def test_a_sync_that_comes_before_the_lock_of_a_reembedding_is_not_lost(
    tmp_path: Path, tools: list[Tool], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = ToolIndex(tmp_path, embedder=HashedWordsEmbedder(dimensions=64))
    writer.sync_tools(tools)
    together = FolderStore.together
    late = [tool("late")]

    def after_another(self: FolderStore) -> AbstractContextManager[object]:
        if late:
            writer.add_tools([late.pop()])
        return together(self)

    monkeypatch.setattr(FolderStore, "together", after_another)
    embedder = HashedWordsEmbedder(dimensions=32)
    assert "late" in ToolIndex(tmp_path, embedder=embedder, reembed=True)


def test_errors_of_the_callers_own_code_are_not_converted(
    tmp_path: Path, tools: list[Tool]
) -> None:
    def read() -> Iterator[Tool]:
        yield tools[0]
        yield tool((tmp_path / "absent.txt").read_text())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    with pytest.raises(FileNotFoundError, match=r"absent\.txt"):
        index.sync_tools(read())
    telling = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder(), progress=full)
    with pytest.raises(OSError, match="No space left"):
        telling.sync_tools(tools)
    assert len(index) == 0


def test_half_a_surrogate_pair_is_refused_with_the_id(tmp_path: Path, tools: list[Tool]) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    for broken in (tool("bad", "\ud800"), tool("bad", metadata={"a": "\udfff"})):
        with pytest.raises(CatalogError, match="'bad': a string holds half of a surrogate pair"):
            index.sync_tools([*tools, broken])
    index.sync_tools(tools)
    with pytest.raises(DemoError, match="'d': a string holds half of a surrogate pair"):
        index.sync_demos([demo("d", "\ud800", "cancel_order")])


def test_progress_is_reported(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    index = ToolIndex(
        tmp_path, embedder=HashedWordsEmbedder(), progress=lambda *step: seen.append(step)
    )
    index.sync_tools(many_tools(600))
    assert seen == [("tools", 512, 600), ("tools", 600, 600)]


def test_progress_goes_on_from_one_chunk_of_an_iterator_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolret.index.syncing._CHUNK", 400)
    seen: list[tuple[str, int, int]] = []
    index = ToolIndex(
        tmp_path, embedder=HashedWordsEmbedder(), progress=lambda *step: seen.append(step)
    )
    index.sync_tools(many_tools(100))
    seen.clear()
    index.sync_tools(iter(many_tools(1000)))
    assert seen == [("tools", 300, 300), ("tools", 700, 700), ("tools", 900, 900)]


def test_refresh_sees_what_another_object_wrote(tmp_path: Path, tools: list[Tool]) -> None:
    reader = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    assert len(reader) == 0
    assert not reader.is_stale()
    ToolIndex(tmp_path, embedder=HashedWordsEmbedder()).sync_tools(tools)
    assert len(reader) == 0
    reader.snapshots._look_at = 0  # as if half a second had passed
    assert reader.is_stale()
    reader.refresh()
    assert len(reader) == 4
    reader.snapshots._look_at = 0
    assert not reader.is_stale()


def test_an_index_that_is_built_again_or_put_back_is_seen(
    tmp_path: Path, tools: list[Tool]
) -> None:
    folder, copy = tmp_path / "index", tmp_path / "copy"
    reader, writer = (ToolIndex(folder, embedder=HashedWordsEmbedder()) for _ in range(2))

    def is_stale() -> bool:
        reader.snapshots._look_at = 0  # as if half a second had passed
        return reader.is_stale()

    writer.sync_tools(tools[:1])
    shutil.copytree(folder, copy)
    writer.sync_tools(tools)
    assert len(reader) == 4
    shutil.rmtree(folder)
    assert not is_stale()  # there is nothing yet to be read in its place
    shutil.copytree(copy, folder)
    assert is_stale()
    reader.refresh()
    assert [found.id for found in reader] == [tools[0].id]
    assert not is_stale()
    shutil.rmtree(folder)
    ToolIndex(folder, embedder=HashedWordsEmbedder()).sync_tools(tools[2:])
    assert is_stale()
    reader.refresh()
    assert {found.id for found in reader} == {found.id for found in tools[2:]}
    assert not is_stale()


def test_an_earlier_reading_does_not_replace_a_later_one(tmp_path: Path, tools: list[Tool]) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync_tools(tools)
    earlier = index.snapshots.read()
    index.remove_tools([tools[0].id])
    later = index.snapshots.read()
    assert index.snapshots.keep(later) is later
    assert index.snapshots.keep(earlier) is later


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="no index; name an empty or a new folder"):
        ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    with pytest.raises(StoreError, match="there is no index here"):
        ToolIndex(tmp_path / "absent", embedder=HashedWordsEmbedder(), create=False)


def test_an_emptied_folder_becomes_an_index_again_whatever_a_retriever_left_in_it(
    tmp_path: Path, tools: list[Tool]
) -> None:
    for name in ("replies.sqlite3", "replies.sqlite3-wal", "derived.npz", "checked.9-9.tmp"):
        (tmp_path / name).touch()
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    assert index.sync_tools(tools).added == len(tools)


@pytest.mark.parametrize("place", ["index", "http://127.0.0.1:1/acme"])
def test_a_timeout_that_is_no_number_is_refused_at_once(place: str) -> None:
    with pytest.raises(TypeError, match="lock_timeout is a number of seconds, not None"):
        ToolIndex(place, embedder=HashedWordsEmbedder(), lock_timeout=None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not NaN"):
        ToolIndex(place, embedder=HashedWordsEmbedder(), lock_timeout=float("nan"))


KILLED_SYNC = """
    import os, signal, sys
    from pathlib import Path
    from tests.stores.places import CountingEmbedder, many_tools
    from toolret.index import ToolIndex

    class Killed(CountingEmbedder):
        def embed_documents(self, texts):
            if self.embedded >= 512:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().embed_documents(texts)
    ToolIndex(Path(sys.argv[1]), embedder=Killed()).sync_tools(many_tools(1_200))
"""


def test_a_killed_sync_leaves_the_index_as_it_was_and_the_next_completes_it(
    tmp_path: Path,
) -> None:
    ToolIndex(tmp_path, embedder=CountingEmbedder()).sync_tools(many_tools(20))
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED_SYNC), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    embedder = CountingEmbedder()
    index = ToolIndex(tmp_path, embedder=embedder)
    assert len(index) == 20
    assert index.sync_tools(many_tools(1_200)).embedded == 1_200 - 20 - 512
    expected = TOOLS.embed(index.snapshot.tools.texts, RoleEmbedder(HashedWordsEmbedder()))
    assert np.allclose(index.snapshot.tools.vectors, expected, atol=1e-6)


def test_a_demonstration_uses_the_tools_of_its_calls(
    tmp_path: Path, tools: list[Tool], embedder: HashedWordsEmbedder
) -> None:
    index = ToolIndex(tmp_path / "index", embedder=embedder)
    both = Demo(
        "d", "stop it", calls=(Call("track_parcel"), Call("cancel_order")), tools=("cancel_order",)
    )
    index.sync(tools, [both])
    assert [found.tools for found in index.demos] == [("track_parcel", "cancel_order")]
    index.add_demos([Demo("e", "where is it", calls=(Call("track_parcel"),))])
    assert [found.tools for found in index.demos][1] == ("track_parcel",)
    lost = Demo("f", "pay it", calls=(Call("pay"),), tools=("cancel_order",))
    for change in (index.add_demos, index.sync_demos, lambda demos: index.sync(tools, demos)):
        with pytest.raises(DemoError, match="names the tool 'pay'"):
            change([lost])
    many = [lost, *(demo(f"g{n}", "x", f"t{n}", "pay") for n in range(7))]
    with pytest.raises(DemoError) as caught:
        index.add_demos(many)
    assert "'f' names the tool 'pay', which the index does not hold (nor 't0', 't1'," in str(
        caught.value
    )
    assert "'t4' and 2 more, which others name): add its catalog" in str(caught.value)


def test_demonstrations_are_checked_against_what_others_have_written(
    tmp_path: Path, tools: list[Tool], embedder: HashedWordsEmbedder
) -> None:
    index = ToolIndex(tmp_path / "index", embedder=embedder)
    index.sync(tools, [])
    assert len(index) == 4
    other = ToolIndex(tmp_path / "index", embedder=embedder)
    other.add_tools([tool("new", "a new one")])
    assert index.add_demos([demo("d", "do the new one", "new")]).added == 1
    other.remove_tools(["track_parcel"])
    with pytest.raises(DemoError, match="'track_parcel', which the index does not hold"):
        index.add_demos([demo("e", "where is it", "track_parcel")])


def test_demonstrations_alone_make_no_index(
    tmp_path: Path, tools: list[Tool], embedder: HashedWordsEmbedder
) -> None:
    folder = tmp_path / "index"
    index = ToolIndex(folder, embedder=embedder)
    index.sync(tools, [])
    assert len(index) == 4
    shutil.rmtree(folder)
    changes: list[Callable[[], SyncReport]] = [
        lambda: index.add_demos([demo("d", "stop it", "cancel_order")]),
        lambda: index.sync_demos([]),
        lambda: index.remove_demos(["d"]),
        lambda: index.remove_tools(["cancel_order"]),
    ]
    for change in changes:
        with pytest.raises(StoreError, match="there is no index here"):
            change()
    assert not folder.exists()
    assert len(index) == 4


def test_tools_are_not_added_to_an_index_that_is_gone_as_if_it_were_new(
    tmp_path: Path, tools: list[Tool], embedder: HashedWordsEmbedder
) -> None:
    index = ToolIndex(tmp_path / "index", embedder=embedder)
    index.add_tools(tools)
    assert len(index) == len(tools)
    (tmp_path / "index").rename(tmp_path / "moved")
    with pytest.raises(StoreError, match="there is no index here"):
        index.add_tools([tool("water_plant", "Water a plant.")])
    (tmp_path / "moved").rename(tmp_path / "index")
    assert index.add_tools([tool("water_plant", "Water a plant.")]).added == 1
    assert len(index) == len(tools) + 1


def test_a_process_that_only_indexes_holds_no_snapshot(
    index: ToolIndex, tools: list[Tool], demos: list[Demo]
) -> None:
    index.sync_tools(iter(tools))
    index.sync_demos(iter(demos))
    index.add_demos(demos[:1])
    assert index.snapshots.kept is None


def test_a_repr_tells_the_place_and_the_numbers_without_reading_anything(
    index: ToolIndex, tmp_path: Path, tools: list[Tool], demos: list[Demo]
) -> None:
    index.sync(tools, demos)
    assert repr(index) == f"<ToolIndex {str(tmp_path)!r}: not read yet>"
    assert index.snapshots.kept is None
    assert len(index) == 4
    assert repr(index) == f"<ToolIndex {str(tmp_path)!r}: 4 tools, {len(demos)} demonstrations>"


def test_a_text_is_no_collection_of_ids(
    index: ToolIndex, tools: list[Tool], demos: list[Demo]
) -> None:
    index.sync(tools, demos)
    with pytest.raises(DemoError, match="'d1' is a text: give a collection of ids"):
        index.remove_demos("d1")
    with pytest.raises(CatalogError, match="'cancel_order' is a text"):
        index.remove_tools("cancel_order")
    with pytest.raises(CatalogError, match="named by its id, a text, not by a Tool"):
        index.remove_tools(tools)  # type: ignore[arg-type]
    with pytest.raises(DemoError, match="named by its id, a text, not by a Demo"):
        index.remove_demos(demos)  # type: ignore[arg-type]
    assert (len(index), len(index.demos)) == (4, 4)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (("admin",), "'admin'"),
        ({"admin"}, "'admin'"),
        ("admin", "'admin'"),
        (None, "None"),
        ({"admin": False}, "{'admin': False}"),
        ((frozenset({"admin"}), {"admin": False}), "{'admin': False}"),
        ((b"admin",), "b'admin'"),
        ((frozenset({("tenant", "admin")}),), "('tenant', 'admin')"),
        (([None],), "None"),
        (({1},), "1"),
    ],
)
def test_permissions_that_are_no_sets_of_names_are_refused(
    wrong: Any, what: str, tmp_path: Path, tools: list[Tool], demos: list[Demo]
) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync(tools, demos)
    said = re.escape(f"its permissions hold {what}: give sets of names")
    with pytest.raises(CatalogError, match=f"'guarded': {said}"):
        index.add_tools([tool("guarded", permissions=wrong)])
    with pytest.raises(DemoError, match=f"'d1': {said}"):
        index.add_demos([replace(demos[0], permissions=wrong)])
    assert (len(index), len(index.demos)) == (4, 4)


def test_permissions_that_are_no_texts_in_an_older_index_are_held_by_no_one(
    tmp_path: Path, tools: list[Tool], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    guarded: Any = (frozenset({("tenant", "admin")}), frozenset({None}))
    with monkeypatch.context() as older:
        older.setattr(shelves, "invalid_permissions", lambda _: [])
        index.sync_tools([*tools, tool("guarded", "Cancel it.", permissions=guarded)])
    retriever = ToolRetriever(ToolIndex(tmp_path, embedder=HashedWordsEmbedder()))
    found = retriever.search("cancel it", keep_all=True, allow={"tenant", "admin"})
    assert "guarded" not in [hit.tool.id for hit in found]
    retriever.index.sync_tools(tools)
    assert len(retriever.index) == len(tools)


def test_what_is_no_tool_or_demonstration_is_refused_with_the_way_out(
    index: ToolIndex, tools: list[Tool], demos: list[Demo]
) -> None:
    made = re.escape("give tools, which load_tools(...) makes of")
    row = {"id": "a", "name": "a"}
    wrongs: dict[str, Any] = {"the text 'tool_catalogs'": "tool_catalogs", "of the type int": 3}
    wrongs |= {"of the type dict among them": [row], "of the type Demo among": demos}
    of_tools: list[Callable[[Any], object]] = [index.sync, index.sync_tools, index.add_tools]
    for found, wrong in wrongs.items():
        for change in of_tools:
            with pytest.raises(CatalogError, match=f"{found}.*{made}"):
                change(wrong)
    with pytest.raises(CatalogError, match="of the type function among them"):
        index.sync_tools(iter([*tools, demo]))  # type: ignore[arg-type]
    index.sync(tools, demos)
    made = re.escape("give demonstrations, which load_demos(...) makes of files")
    of_demos: list[Callable[[Any], object]] = [index.sync_demos, index.add_demos]
    for change in of_demos:
        with pytest.raises(DemoError, match=f"the text 'demos.jsonl': {made}"):
            change("demos.jsonl")
        with pytest.raises(DemoError, match=f"of the type Tool among them: {made}"):
            change(iter(tools))
    assert (len(index), len(index.demos)) == (4, 4)


def test_what_is_no_json_is_refused_with_the_id(index: ToolIndex, tools: list[Tool]) -> None:
    with pytest.raises(CatalogError, match=r"a\.py: 'odd': a part of it is no JSON: .*set"):
        index.sync_tools([*tools, tool("odd", metadata={"scopes": {1, 2}}, origin="a.py")])
    for number in (float("nan"), float("inf")):
        with pytest.raises(CatalogError, match="'odd': a part of it is no JSON: Out of range"):
            index.sync_tools([*tools, tool("odd", parameters={"default": number})])
    index.sync_tools(tools)
    called = Demo("d", "stop it", calls=(Call("cancel_order", {"on": object()}),))
    with pytest.raises(DemoError, match="'d': a part of it is no JSON"):
        index.sync_demos([called])


def _nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "description": "It is long. " * 40}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def test_what_is_nested_too_deep_to_be_sent_is_refused(index: ToolIndex, tools: list[Tool]) -> None:
    index.sync_tools(tools)
    with pytest.raises(CatalogError, match="'deep': it is nested deeper than 200 levels"):
        index.sync_tools([*tools, tool("deep", parameters=_nested(250))])
    assert len(index) == len(tools)
    # What is let in can be trimmed, rewritten and copied.
    parameters = {"anyOf": [_nested(90), {"type": "object"}]}
    index.sync_tools([tool("deep", "Cancel the order.", parameters=parameters)])
    for budget in (None, 1_500):
        retriever = ToolRetriever(index, min_recall=1, token_budget=budget)
        assert len(retriever.select("cancel the order").to_openai()["tools"]) == 1


def test_vectors_of_two_lengths_are_not_mixed(
    tmp_path: Path, tools: list[Tool], demos: list[Demo]
) -> None:
    shorter = ToolIndex(tmp_path, embedder=SameName(64))
    shorter.sync(tools[:2], demos[:2])
    ToolRetriever(shorter).search("stop the order")  # after which what is derived is kept
    longer = ToolIndex(tmp_path, embedder=SameName(128))
    with pytest.raises(EmbedderMismatchError, match="have 64 values, but those of 'same' have 128"):
        longer.sync_tools(tools)
    with pytest.raises(EmbedderError, match=r"of 128 values, but .* index have 64"):
        ToolRetriever(longer).search("stop the order")
    assert len(ToolIndex(tmp_path, embedder=SameName(64))) == 2
    index = ToolIndex(tmp_path, embedder=SameName(128), reembed=True)
    assert index.snapshot.tools.vectors.shape == (2, 128)
    assert index.snapshot.demos.vectors.shape == (2, 128)
    fresh = ToolIndex(tmp_path / "fresh", embedder=SameName(128))
    fresh.sync(tools[:2], demos[:2])
    found, expected_hits = (ToolRetriever(i).search("stop the order") for i in (index, fresh))
    assert found == expected_hits
    assert index.sync_tools(tools) == SyncReport(added=2, kept=2, embedded=4)
    expected = TOOLS.embed(index.snapshot.tools.texts, RoleEmbedder(SameName(128)))
    np.testing.assert_array_equal(index.snapshot.tools.vectors, expected)


def test_an_index_in_which_vectors_of_two_lengths_were_mixed_is_put_right(
    tmp_path: Path, tools: list[Tool]
) -> None:
    for count, dimensions in ((2, 64), (3, 128)):
        index = ToolIndex(tmp_path / str(dimensions), embedder=SameName(dimensions))
        index.sync_tools(tools[:count])
    shutil.copytree(tmp_path / "128", tmp_path / "mixed")
    shorter = str(tmp_path / "64" / "index.sqlite3")
    with sqlite3.connect(tmp_path / "mixed" / "index.sqlite3") as connection:
        connection.execute("ATTACH ? AS shorter", (shorter,))
        connection.execute(
            "UPDATE vectors SET (checksum, vector) = (SELECT checksum, vector FROM "
            "shorter.vectors AS other WHERE other.key = vectors.key) "
            "WHERE key IN (SELECT key FROM shorter.vectors)"
        )
    connection.close()
    for dimensions in (64, 128):
        copy = tmp_path / f"copy{dimensions}"
        shutil.copytree(tmp_path / "mixed", copy)
        index = ToolIndex(copy, embedder=SameName(dimensions))
        if dimensions == 64:  # whose vectors were not the first
            with pytest.raises(EmbedderMismatchError, match="pass reembed=True"):
                len(index)
            index = ToolIndex(copy, embedder=SameName(dimensions), reembed=True)
        expected = TOOLS.embed(index.snapshot.tools.texts, RoleEmbedder(SameName(dimensions)))
        np.testing.assert_array_equal(index.snapshot.tools.vectors, expected)


def test_a_truncated_vector_is_not_taken_for_another_embedders(
    tmp_path: Path, tools: list[Tool], embedder: HashedWordsEmbedder
) -> None:
    ToolIndex(tmp_path, embedder=embedder).sync_tools(tools)
    with sqlite3.connect(tmp_path / "index.sqlite3") as connection:
        connection.execute("UPDATE vectors SET vector = substr(vector, 1, 8) WHERE number < 4")
    connection.close()
    index = ToolIndex(tmp_path, embedder=embedder)
    assert index.add_tools([tool("new", "a new one")]).added == 1
    expected = TOOLS.embed(index.snapshot.tools.texts, RoleEmbedder(embedder))
    np.testing.assert_array_equal(index.snapshot.tools.vectors, expected)


@pytest.mark.parametrize("emptied", ["tools", "demos"])
def test_an_emptied_collection_has_no_embedder(
    tmp_path: Path, tools: list[Tool], demos: list[Demo], emptied: str
) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder(64))
    index.sync(tools, demos)
    index.sync_tools([]) if emptied == "tools" else index.sync_demos([])
    for dimensions in (128, 64, 32):
        index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder(dimensions), reembed=True)
        assert len(index) + len(index.demos) == 4
    if emptied == "demos":
        assert index.sync_demos(demos).added == 4
        assert ToolRetriever(index).search("stop my purchase")[0].tool.id == "cancel_order"


def test_nothing_is_written_to_an_index_whose_other_half_another_embedder_has_embedded(
    index: ToolIndex,
    tmp_path: Path,
    tools: list[Tool],
    demos: list[Demo],
    embedder: HashedWordsEmbedder,
) -> None:
    index.sync(tools, demos)
    assert len(index) == len(tools)
    asked: dict[str, Any] = {"embedder": embedder, "instructions": Instructions(demo="query: ")}
    ToolIndex(tmp_path, **asked, reembed=True)
    with pytest.raises(EmbedderMismatchError, match="the demos were embedded"):
        index.sync_tools([])
    assert len(ToolIndex(tmp_path, **asked)) == len(tools)


def test_reembedding_writes_nothing_if_no_vectors_are_foreign(
    tmp_path: Path, tools: list[Tool], demos: list[Demo], embedder: HashedWordsEmbedder
) -> None:
    ToolIndex(tmp_path / "new", embedder=embedder, reembed=True)
    assert not (tmp_path / "new").exists()
    ToolIndex(tmp_path / "index", embedder=embedder).sync(tools, demos)
    with FileLock(tmp_path / "index" / "write.lock"):
        index = ToolIndex(tmp_path / "index", embedder=embedder, reembed=True, lock_timeout=0.1)
        assert len(index) == 4
