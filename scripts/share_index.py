"""Let several processes share an index, and check what readers see while others write.

    nice python scripts/share_index.py [SECONDS] [PROCESSES]

Half of the processes write. Each in turn syncs all tools and demonstrations of one index, marked
as of one sync, and adds a tool of its own to another. The others read both: of the first, every
snapshot must be of one sync, tools and demonstrations together, with every vector in its place; of
neither may a snapshot be older than the one before. In the end the second index must hold all that
was added. The script prints counts, and how long after a sync had returned readers had seen it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from toolret.embedders import RoleEmbedder
from toolret.index import Snapshot, ToolIndex
from toolret.index.shelves import DEMOS, TOOLS
from toolret.testing import HashedWordsEmbedder
from toolret.types import Demo, Tool

_ITEMS = 200
"""The number of tools, and of demonstrations, of a sync."""

_READ_INTERVAL = 0.05
"""The seconds that a reader waits after each look at the indexes."""


def marked(mark: str) -> tuple[list[Tool], list[Demo]]:
    """Return the tools and demonstrations of a sync, all of them marked as of this sync."""
    tools = [
        Tool(id=f"tool {i}", name=f"tool {i}", metadata={"mark": mark}, description=f"{mark} {i}")
        for i in range(_ITEMS)
    ]
    demos = [
        Demo(id=f"demo {i}", text=f"please {mark} {i}", tools=(f"tool {i}",), answer=mark)
        for i in range(_ITEMS)
    ]
    return tools, demos


def check(snapshot: Snapshot) -> None:
    """Check that a snapshot holds one whole sync.

    Raises:
        AssertionError: If it does not.
    """
    tools, demos = snapshot.tools, snapshot.demos
    marks = {tool.metadata["mark"] for tool in tools.items} | {d.answer for d in demos.items}
    assert len(marks) == 1, f"half-seen: {marks}"
    assert len(tools.items) == len(demos.items) == _ITEMS
    embedder = RoleEmbedder(HashedWordsEmbedder())
    for form, shelf in ((TOOLS, tools), (DEMOS, demos)):
        own = form.embed(shelf.texts, embedder)
        assert np.allclose(shelf.vectors, own, atol=1e-6), "a vector is not in its place"


def write(folder: Path, worker: int, end: float) -> dict[str, Any]:
    """Sync one index and add to the other until a time.

    Returns:
        The marks of the ``syncs``, each with when it had returned, and the ids that were ``added``.
    """
    synced = ToolIndex(folder / "synced", embedder=HashedWordsEmbedder())
    grown = ToolIndex(folder / "grown", embedder=HashedWordsEmbedder())
    acknowledged: dict[str, list[Any]] = {"syncs": [], "added": []}
    number = 0
    while time.time() < end:
        mark = f"{worker}x{number}"
        synced.sync(*marked(mark))
        acknowledged["syncs"].append((mark, time.time()))
        grown.add_tools([Tool(id=mark, name=mark)])
        acknowledged["added"].append(mark)
        number += 1
    return acknowledged


def read(folder: Path, end: float) -> dict[str, Any]:
    """Read both indexes until a time, and check what is seen.

    Returns:
        When the mark of each sync was first ``seen``, and the number of ``requests``.
    """
    synced = ToolIndex(folder / "synced", embedder=HashedWordsEmbedder())
    grown = ToolIndex(folder / "grown", embedder=HashedWordsEmbedder())
    seen: dict[str, float] = {}
    requests = 0
    while time.time() < end:
        for index in (synced, grown):
            before = index.snapshot
            if index.is_stale():
                index.refresh()
            assert index.snapshot.generations >= before.generations, "went back"
        snapshot = synced.snapshot
        mark = snapshot.tools.items[0].metadata["mark"]
        if mark not in seen:
            seen[mark] = time.time()
            check(snapshot)
        requests += 1
        time.sleep(_READ_INTERVAL)
    return {"seen": seen, "requests": requests}


def _work(results: Any, role: str, folder: Path, worker: int, end: float) -> None:
    try:
        outcome = write(folder, worker, end) if role == "writer" else read(folder, end)
        results.put((role, outcome, ""))
    except Exception as error:  # noqa: BLE001 - told to the parent, which fails with it
        results.put((role, {}, f"{type(error).__name__}: {error}"))


def share(folder: Path, seconds: float, processes: int) -> dict[str, float]:
    """Let a number of processes share two indexes, and return counts and delays.

    Raises:
        AssertionError: If anything went wrong in any process.
    """
    ToolIndex(folder / "synced", embedder=HashedWordsEmbedder()).sync(*marked("first"))
    ToolIndex(folder / "grown", embedder=HashedWordsEmbedder()).sync_tools([])
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    end = time.time() + seconds
    workers = [
        spawn.Process(target=_work, args=(results, ("writer", "reader")[i % 2], folder, i, end))
        for i in range(processes)
    ]
    for worker in workers:
        worker.start()
    outcomes = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    problems = [problem for _, _, problem in outcomes if problem]
    assert not problems, problems
    writers = [outcome for role, outcome, _ in outcomes if role == "writer"]
    readers = [outcome for role, outcome, _ in outcomes if role == "reader"]
    added = {mark for writer in writers for mark in writer["added"]}
    final = ToolIndex(folder / "grown", embedder=HashedWordsEmbedder())
    assert {tool.id for tool in final} == added, "records are lost"
    check(ToolIndex(folder / "synced", embedder=HashedWordsEmbedder()).snapshot)
    synced_at = dict(pair for writer in writers for pair in writer["syncs"])
    delays = [
        reader["seen"][mark] - moment
        for reader in readers
        for mark, moment in synced_at.items()
        if mark in reader["seen"]
    ]
    return {
        "writers": len(writers),
        "readers": len(readers),
        "syncs": len(synced_at),
        "additions": len(added),
        "requests": sum(reader["requests"] for reader in readers),
        "snapshots checked": sum(len(reader["seen"]) for reader in readers),
        "seconds until seen, median": round(float(np.median(delays)), 3) if delays else 0.0,
        "seconds until seen, most": round(max(delays), 3) if delays else 0.0,
    }


def main() -> None:
    """Run the processes on indexes in a temporary folder, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=120.0)
    parser.add_argument("processes", type=int, nargs="?", default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(share(Path(scratch), options.seconds, options.processes), indent=1))


if __name__ == "__main__":
    main()
