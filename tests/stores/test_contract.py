"""What holds wherever an index is kept."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from tests.conftest import count_views, demo, tool
from tests.stores.places import DIMENSIONS, Place, embedder, ids, many_tools, opened
from toolret.errors import DemoError, EmbedderError, EmbedderMismatchError, StoreError
from toolret.index import SyncReport, ToolIndex
from toolret.retrieval.retriever import ToolRetriever
from toolret.testing import HashedWordsEmbedder
from toolret.types import Demo, Tool

if TYPE_CHECKING:
    from toolret.stores.langchain import LangChainEngine
    from toolret.stores.remote import RemoteStore


def test_an_index_that_is_not_there_is_empty_or_refused(place: Place) -> None:
    assert len(ToolIndex(place.machine(), embedder=embedder())) == 0
    with pytest.raises(StoreError, match="there is no index here"):
        ToolIndex(place.machine(), embedder=embedder(), create=False)


def test_another_machine_reads_what_one_wrote(
    place: Place, tools: list[Tool], demos: list[Demo]
) -> None:
    writer, _ = opened(place)
    assert writer.sync(tools, demos) == {
        "tools": SyncReport(added=4, embedded=4),
        "demos": SyncReport(added=4, embedded=4),
    }
    reader, counting = opened(place)
    assert sorted(reader, key=lambda t: t.id) == sorted(tools, key=lambda t: t.id)
    assert list(reader.demos) == demos
    assert counting.embedded == 0
    assert reader.sync(tools, demos)["tools"] == SyncReport(kept=4)
    assert reader.snapshot.tools.changes == 4


def test_tools_and_demonstrations_are_added_together(
    place: Place, tools: list[Tool], demos: list[Demo]
) -> None:
    writer, _ = opened(place)
    assert writer.add(tools[:3], demos[:1])["tools"].added == 3
    with pytest.raises(DemoError):
        writer.add([tool("new")], [replace(demos[0], id="d9", tools=("no.such",))])
    assert writer.add(tools, demos) == {
        "tools": SyncReport(added=1, kept=3, embedded=1),
        "demos": SyncReport(added=3, kept=1, embedded=3),
    }
    reader, _ = opened(place)
    assert ids(reader) == {t.id for t in tools}
    assert list(reader.demos) == demos


def test_vectors_are_the_embedders_bit_for_bit(place: Place) -> None:
    tools = many_tools(40)
    opened(place)[0].sync_tools(tools)
    snapshot = opened(place)[0].snapshot.tools
    wanted = ToolIndex(place.folder / "as-a-folder", embedder=embedder())
    wanted.sync_tools(tools)
    assert snapshot.vectors.dtype == np.float32
    assert np.array_equal(snapshot.vectors, wanted.snapshot.tools.vectors)


def test_a_sync_is_seen_at_refresh_and_embeds_only_what_changed(place: Place) -> None:
    tools = many_tools(700)
    writer, counting = opened(place)
    writer.sync_tools(tools)
    reader, _ = opened(place)
    changed = [replace(tools[0], description="another"), *tools[2:], tool("new")]
    assert writer.sync_tools(changed) == SyncReport(
        added=1, changed=1, removed=1, kept=698, embedded=2
    )
    assert counting.embedded == count_views(*tools, changed[0], changed[-1])
    assert ids(reader) == {t.id for t in tools}
    reader.refresh()
    assert ids(reader) == {t.id for t in changed}
    assert reader.get_tool("tool_0") == changed[0]
    assert reader.snapshot.tools.changes == writer.snapshot.tools.changes == 704


def test_what_is_unchanged_is_read_as_the_same(remote: Place, tools: list[Tool]) -> None:
    opened(remote)[0].sync_tools(tools)
    store = remote.machine()
    assert store.load()["tools"] is store.load()["tools"]


def test_items_may_be_added_removed_and_come_back(place: Place, tools: list[Tool]) -> None:
    index, _ = opened(place)
    index.sync_tools(tools)
    index.sync_tools([])
    assert len(opened(place)[0]) == 0
    index.sync_tools(tools[:2])
    index.add_tools(tools[2:])
    index.remove_tools([tools[0].id])
    assert ids(opened(place)[0]) == {t.id for t in tools[1:]}


def test_a_failed_sync_changes_nothing_and_another_machine_goes_on(place: Place) -> None:
    before, after = many_tools(10), many_tools(1_500)
    opened(place)[0].sync_tools(before)
    failing, _ = opened(place, most=2_200)
    with pytest.raises(EmbedderError):
        failing.sync_tools(after[5:])
    assert ids(failing) == {t.id for t in before}
    index, counting = opened(place)
    assert ids(index) == {t.id for t in before}
    report = index.sync_tools(after[5:])
    assert (report.added, report.removed, report.kept) == (1_490, 5, 5)
    assert report.embedded == 1_490 - 1_024
    assert counting.embedded == 2 * report.embedded
    assert ids(opened(place)[0]) == {t.id for t in after[5:]}


def test_another_embedder_is_refused_or_embeds_again_when_asked(
    place: Place, tools: list[Tool], demos: list[Demo]
) -> None:
    opened(place)[0].sync(tools, demos)

    class Other(HashedWordsEmbedder):
        id = "other"

    with pytest.raises(EmbedderMismatchError, match="reembed=True"):
        ToolIndex(place.machine(), embedder=Other(DIMENSIONS))
    ToolIndex(place.machine(), embedder=Other(DIMENSIONS), reembed=True)
    assert len(ToolIndex(place.machine(), embedder=Other(DIMENSIONS))) == 4
    with pytest.raises(EmbedderMismatchError):
        opened(place)


def test_all_machines_have_one_fit(place: Place, tools: list[Tool], demos: list[Demo]) -> None:
    index, _ = opened(place)
    index.sync(tools, demos)
    ToolRetriever(index)
    kept = place.machine().load_fit()
    assert kept
    other, counting = opened(place)
    counting.most = 0  # reading needs no text embedded
    ToolRetriever(other)
    assert place.machine().load_fit() == kept


def test_writers_take_turns(remote: Place) -> None:
    """Four machines add tools at once, twice each: all of them are there.

    Writers of a folder are processes, which have their own tests.
    """
    errors: list[BaseException] = []

    def add(machine: int) -> None:
        try:
            for turn in range(2):
                index, _ = opened(remote)
                store = cast("RemoteStore", index.store)
                # However busy the machine that runs the tests is, no writer is taken for dead.
                store.lease = 120
                if remote.kind != "chroma":  # a claim is a writer's own once it has settled
                    cast("LangChainEngine", store.engine)._settle = 1.0
                index.add_tools(many_tools(5, start=100 * machine + 10 * turn))
        except BaseException as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    threads = [threading.Thread(target=add, args=(machine,)) for machine in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(opened(remote)[0]) == 4 * 2 * 5


def test_demonstrations_of_a_machine_are_retrieved_on_another(
    place: Place, tools: list[Tool], demos: list[Demo]
) -> None:
    opened(place)[0].sync(tools, [*demos, demo("d9", "drop the order", "cancel_order")])
    hits = ToolRetriever(opened(place)[0]).search("please stop my purchase", k=1)
    assert [hit.tool.id for hit in hits] == ["cancel_order"]
