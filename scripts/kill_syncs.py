"""Kill a syncing process at random moments and see what it leaves behind.

    nice python scripts/kill_syncs.py [KILLS]

Each round begins a sync of other tools and demonstrations than the index holds, in a new process
that is killed (SIGKILL) after a random time. Then the index must open, hold either what it held
before or what the sync would store, and find every record by its own vector. No text may have been
embedded whose vector was stored before. Every few rounds a sync is left to complete. The script
prints counts of what it saw, and stops at the first error.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from toolret.embedders import RoleEmbedder
from toolret.index import ToolIndex
from toolret.index.shelves import DEMOS, TOOLS
from toolret.testing import HashedWordsEmbedder
from toolret.types import Demo, Tool

_FORK = multiprocessing.get_context("fork")
"""Processes are forked, so that they are killed in their sync, and not while they import."""

_TOOLS = 700
"""The number of tools of a sync."""

_DEMOS = 300
"""The number of demonstrations of a sync."""

_MOST_KILLED_IN_A_ROW = 7
"""The most rounds in a row that are killed, before one is left to complete."""


class _LoggingEmbedder(HashedWordsEmbedder):
    """An embedder that writes every text to a file before it embeds it."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        with self._log.open("a", encoding="utf-8") as file:
            file.writelines(f"{text}\n" for text in texts)
        return super().embed_documents(texts)


def catalog(number: int) -> tuple[list[Tool], list[Demo]]:
    """Return the tools and demonstrations of a sync; two syncs in a row share about half."""
    ids = [f"tool_{i}_{number // 2 if i % 2 else (number + 1) // 2}" for i in range(_TOOLS)]
    tools = [Tool(id=id_, name=id_, description=f"does {id_}") for id_ in ids]
    tools.append(Tool(id="number", name="number", metadata={"number": number}))
    demos = [Demo(id=f"d{i}", text=f"please {id_}", tools=(id_,)) for i, id_ in enumerate(ids)]
    return tools, demos[:_DEMOS]


def sync(folder: Path, number: int, log: Path) -> None:
    """Sync an index, in the process that is killed; what is embedded is logged."""
    index = ToolIndex(folder, embedder=_LoggingEmbedder(log))
    index.sync(*catalog(number))


def check(folder: Path, expected: Sequence[int]) -> int:
    """Check all that an index holds, and return the number of the sync that stored it.

    Raises:
        AssertionError: If that is none of the expected syncs, or anything is not in its place.
    """
    index = ToolIndex(folder, embedder=HashedWordsEmbedder())
    marker = index.get_tool("number")
    held = 0 if marker is None else int(marker.metadata["number"])
    assert held in expected, f"holds the sync {held}, not one of {expected}"
    tools, demos = catalog(held) if held else ([], [])
    embedder = RoleEmbedder(HashedWordsEmbedder())
    snapshot = index.snapshot
    for form, shelf, items in ((TOOLS, snapshot.tools, tools), (DEMOS, snapshot.demos, demos)):
        assert list(shelf.items) == sorted(items, key=lambda item: item.id)
        if items:
            expected_vectors = form.embed(shelf.texts, embedder)
            own = np.einsum("ij,ij->i", shelf.vectors, expected_vectors)
            assert (own > 0.9999).all(), "a vector is not in its place"
            assert ((shelf.vectors @ expected_vectors.T).max(axis=0) < 1.0001).all()
    return held


def stored_texts(folder: Path) -> set[str]:
    """Return the texts whose vectors an index stores."""
    path = folder / "index.sqlite3"
    if not path.exists():
        return set()
    connection = sqlite3.connect(path)
    try:
        return {text for (text,) in connection.execute("SELECT text FROM vectors")}
    finally:
        connection.close()


def logged_texts(log: Path) -> list[str]:
    """Return the texts that a sync embedded."""
    return log.read_text("utf-8").splitlines() if log.exists() else []


def kill_rounds(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Kill a number of syncs, check the index after each, and return counts of what was seen.

    Raises:
        AssertionError: If a sync failed by itself, or left something wrong behind.
    """
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    log = folder.parent / "embedded.log"
    index, complete, number, in_a_row = folder / "index", 0, 1, 0
    counts = dict.fromkeys(("killed", "published before the kill", "completed", "embedded"), 0)
    longest = 1.0
    while counts["killed"] < rounds:
        completes = in_a_row == _MOST_KILLED_IN_A_ROW
        log.unlink(missing_ok=True)
        before = stored_texts(index)
        process = _FORK.Process(target=sync, args=(index, number, log))
        process.start()
        begun = time.monotonic()
        if not completes:
            time.sleep(chance.uniform(0, longest))
            process.kill()
        process.join()
        code = process.exitcode
        assert code in (0, -signal.SIGKILL), f"the sync ended with {code}"
        if code == 0:
            longest = 0.9 * longest + 0.1 * (time.monotonic() - begun)
        embedded = logged_texts(log)
        again = before.intersection(embedded)
        assert not again, f"embedded although it was stored: {sorted(again)[:3]}"
        held = check(index, [number] if code == 0 else [complete, number])
        counts["killed"] += code != 0
        counts["published before the kill"] += code != 0 and held == number
        counts["completed"] += code == 0
        counts["embedded"] += len(embedded)
        in_a_row = 0 if completes else in_a_row + 1
        complete = held
        if held == number:  # otherwise the same sync is tried again, and goes on
            number += 1
        if counts["killed"] % 20 == 0:
            print(counts, flush=True)
    return counts


def main() -> None:
    """Kill the syncs of an index in a temporary folder, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=200)
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as scratch:
        print(kill_rounds(Path(scratch), kills, seed=os.getpid()))


if __name__ == "__main__":
    main()
