"""Measure what it costs to index, to sync again and to open an index, and the memory it takes.

    python benchmarks/indexing.py [--texts N] [--tools N ...]

Everything is measured in one run, side by side, in seconds of the processor (of all its cores)
and of the clock. The model's part takes ``--texts`` generated tools through bare
``SentenceTransformer.encode`` and through ``ToolIndex.sync_tools``, then syncs them again. The
store's part takes ``--tools`` generated tools, from an iterator, whose vectors cost nothing; each
size has a process of its own, whose peak memory is reported.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from toolret.embedders import SentenceTransformerEmbedder
from toolret.index import ToolIndex
from toolret.text.rendering import tool_views
from toolret.types import Tool

_VERBS = ("create", "list", "update", "delete", "archive", "cancel", "approve", "merge")
_NOUNS = ("order", "invoice", "customer", "shipment", "ticket", "contract", "payment", "report")
_DIMENSIONS = 384
"""The length of the default model's vectors."""


class CostlessEmbedder:
    """An embedder that takes no time, so that only the store is measured."""

    id = "costless"

    def __init__(self) -> None:
        self._vectors = np.random.default_rng(0).standard_normal((1_024, _DIMENSIONS))

    def embed_documents(self, texts: list[str]) -> Any:
        return self._vectors[: len(texts)]

    def embed_query(self, text: str) -> list[float]:
        return list(self._vectors[len(text)])


def generated_tools(count: int) -> Iterator[Tool]:
    """Yield tools as long as those of public sets, no two alike."""
    for i in range(count):
        verb, noun = _VERBS[i % 8], _NOUNS[i // 8 % 8]
        names = [f"{noun}_id", "since", "limit"]
        properties = {
            name: {"type": "string", "description": f"The {name} of the {noun} to {verb}."}
            for name in names
        }
        yield Tool(
            id=f"service{i % 97}.{verb}_{noun}_{i}",
            name=f"{verb}_{noun}_{i}",
            namespace=f"service{i % 97}",
            description=f"{verb.title()} a {noun} of the kind {i}, with all that belongs to it.",
            parameters={"type": "object", "properties": properties, "required": names[:1]},
        )


@dataclass(frozen=True)
class Cost:
    """The time that something took.

    Attributes:
        cpu: Seconds of the processor, of all its cores together.
        wall: Seconds of the clock.
    """

    cpu: float = 0.0
    wall: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu + other.cpu, self.wall + other.wall)


def measure_cost(action: Callable[[], object]) -> Cost:
    """Return what an action takes."""
    cpu, wall = time.process_time(), time.perf_counter()
    action()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def model_part(count: int, folder: Path) -> list[tuple[str, Cost]]:
    """Return the costs of encoding and of syncing, which take turns on the same machine."""
    embedder = SentenceTransformerEmbedder()
    embedder.encode(["loads the model"])
    tools = list(generated_tools(count))
    quarter = max(1, count // 4)
    parts = [tools[start : start + quarter] for start in range(0, count, quarter)]
    encoding, syncing, again = Cost(), Cost(), Cost()
    for number, part in enumerate(parts):
        index = ToolIndex(folder / str(number), embedder=embedder)
        encode = partial(embedder.encode, sorted(set("\n".join(map(tool_views, part)).split("\n"))))
        if number % 2:
            encoding += measure_cost(encode)
            syncing += measure_cost(partial(index.sync_tools, part))
        else:
            syncing += measure_cost(partial(index.sync_tools, part))
            encoding += measure_cost(encode)
        again += measure_cost(partial(index.sync_tools, part))
    return [("bare encode", encoding), ("sync", syncing), ("sync again", again)]


def peak_memory() -> int:
    """Return the most memory that this process has taken so far, in KB."""
    # Not getrusage, whose peak a process inherits from the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return int(status["VmHWM"].split()[0])


def store_part(count: int, folder: Path) -> dict[str, float]:
    """Return the figures of the store for one number of tools, measured in this process."""
    base = peak_memory()
    index = ToolIndex(folder, embedder=CostlessEmbedder())
    build = measure_cost(partial(index.sync_tools, generated_tools(count)))
    again = measure_cost(partial(index.sync_tools, generated_tools(count)))
    indexing = peak_memory()
    opening = measure_cost(index.refresh)
    return {
        "build": build.cpu,
        "again": again.cpu,
        "open": opening.cpu,
        "indexing_mb": (indexing - base) / 1024,
        "opened_mb": (peak_memory() - base) / 1024,
        "disk_mb": (folder / "index.sqlite3").stat().st_size / 1e6,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--texts", type=int, default=2_000)
    parser.add_argument("--tools", type=int, nargs="+", default=[5_000, 20_000, 100_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if options.one:
            print(json.dumps(store_part(options.one, folder / "index")))
            return
        if options.texts:
            print(f"{options.texts} tools, all-MiniLM-L6-v2\n")
            print("| | CPU s | clock s | of bare encode (CPU) | (clock) |\n|---|---|---|---|---|")
            rows = model_part(options.texts, folder)
            bare = rows[0][1]
            for name, cost in rows:
                print(
                    f"| {name} | {cost.cpu:.2f} | {cost.wall:.2f} | {cost.cpu / bare.cpu:.1%} "
                    f"| {cost.wall / bare.wall:.1%} |"
                )
    print("\nThe store alone; CPU seconds, and MB beyond what the imports take\n")
    print("| tools | build | sync again | open | MB indexing | MB opened | MB on disk |")
    print("|---|---|---|---|---|---|---|")
    for count in options.tools:
        process = subprocess.run(  # a process's peak never falls: each size has its own process
            [sys.executable, __file__, "--one", str(count)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        row = json.loads(process.stdout)
        print(
            f"| {count:,} | {row['build']:.2f} | {row['again']:.2f} "
            f"| {row['open']:.2f} | {row['indexing_mb']:.0f} | {row['opened_mb']:.0f} "
            f"| {row['disk_mb']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
