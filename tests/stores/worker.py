"""One of several machines that write or read one index: ``worker.py ROLE URL FOLDER SECONDS``.

A writer replaces its own five tools again and again, all of them by those of the next version. A
reader sees them, whole and never an older version after a newer one. Each prints what it did.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

from tests.conftest import tool
from tests.stores.places import embedder
from toolret.index import ToolIndex
from toolret.retrieval.retriever import ToolRetriever
from toolret.stores import chroma_store

TOOLS = 5


def main(role: str, url: str, folder: str, seconds: float) -> None:
    store = chroma_store(url, cache_dir=Path(folder) / role, lock_timeout=120)
    index = ToolIndex(store, embedder=embedder())
    end = time.monotonic() + seconds
    work = write if role.startswith("writer") else read
    print(json.dumps({"role": role, **work(index, role, end)}))


def write(index: ToolIndex, role: str, end: float) -> dict[str, int]:
    version = 0
    while time.monotonic() < end:
        version += 1
        index.add_tools(tool(f"{role}_{i}", f"version {version} of {i}") for i in range(TOOLS))
    return {"version": version}


def read(index: ToolIndex, role: str, end: float) -> dict[str, int]:
    seen: dict[str, int] = {}
    refreshes = requests = syncs = 0
    retriever = ToolRetriever(index)
    while time.monotonic() < end:
        before = index.snapshot
        index.refresh()
        refreshes += 1
        versions: dict[str, list[int]] = {}
        for found in index:
            writer, _, _ = found.name.rpartition("_")
            number = re.search(r"version (\d+)", found.description)
            assert number
            versions.setdefault(writer, []).append(int(number[1]))
        for writer, numbers in versions.items():
            assert len(numbers) == TOOLS, f"{writer}: half a sync, {numbers}"
            assert len(set(numbers)) == 1, f"{writer}: two syncs at once, {numbers}"
            assert numbers[0] >= seen.get(writer, 0), f"{writer}: went back"
            seen[writer] = numbers[0]
        syncs += index.snapshot.tools.changes != before.tools.changes
        if refreshes % 10 == 0 and len(index):
            assert retriever.search("version of 3", k=1)
            requests += 1
    return {"refreshes": refreshes, "requests": requests, "syncs_seen": syncs}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
