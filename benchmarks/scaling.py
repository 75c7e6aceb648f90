"""Measure what an index costs by the place where it is kept: ``python -m benchmarks.scaling``.

Each figure is measured in one process, in which the places take turns, so that ratios hold on a
loaded machine. The embedder is a random projection that costs next to nothing, so that the storage
is what is measured; how many requests several processes answer is measured with the default model,
too. A server of Chroma is started on this machine; PostgreSQL with pgvector is measured if
``TOOLRET_PGVECTOR`` is its SQLAlchemy URL.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np

from toolret.embedders import SentenceTransformerEmbedder
from toolret.index import ToolIndex
from toolret.retrieval.retriever import ToolRetriever
from toolret.stores import IndexEmbeddings, chroma_store, langchain_store, store_at
from toolret.stores.records import Store
from toolret.types import Tool

DIMENSIONS = 384
"""The length of the default model's vectors."""

REQUESTS = 20
"""The number of requests of each kind that are timed; the median counts."""

REFRESH_INTERVAL = 1.0
"""The seconds between two refreshes of a process that serves requests."""

REQUEST = "Refund order {} to the customer, and send her an invoice of what is left to pay."
"""The request that is served, with a number that makes each another one."""

WORDS = [
    f"{a}{b}{c}" for a in ("ta", "mi", "ro", "se") for b in "bdklmnprst" for c in ("er", "on", "um")
]
"""The words that generated texts are made of."""

Open = Callable[[Path], Store]
"""A function that opens a place as another machine would, with a cache folder of its own."""


class RandomEmbedder:
    """An embedder whose unit vectors are drawn at random, seeded by the text's digest."""

    id = f"random:{DIMENSIONS}"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a text."""
        seed = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
        vector = np.random.default_rng(seed).normal(size=DIMENSIONS)
        unit: list[float] = (vector / np.linalg.norm(vector)).tolist()
        return unit


class ModelsTime(RandomEmbedder):
    """The same, for requests that take the time of the default model, whose vectors go unused."""

    def __init__(self) -> None:
        self._model = SentenceTransformerEmbedder()

    def embed_queries(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text."""
        self._model.encode(texts)
        return self.embed_documents(texts)


def catalog(count: int) -> list[Tool]:
    """Return tools of the usual length: some 100 characters of description, four arguments."""
    rng = np.random.default_rng(0)

    def text(words: int) -> str:
        return " ".join(rng.choice(WORDS, words))

    return [
        Tool(
            id=f"tool_{i}",
            name=f"tool_{i}",
            namespace=f"server_{i % 50}",
            description=text(18),
            parameters={
                "type": "object",
                "properties": {
                    f"{text(1)}_{j}": {"type": "string", "description": text(8)} for j in range(4)
                },
            },
        )
        for i in range(count)
    ]


@contextmanager
def chroma_server(folder: Path) -> Iterator[str]:
    """Run a server of Chroma within a block, and provide its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                httpx.get(f"{url}/api/v2/heartbeat")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def places(folder: Path, url: str) -> dict[str, tuple[Open, Callable[[], object]]]:
    """Return how to open each place, and how to ask its engine for the 20 nearest to a vector."""
    name = f"bench-{uuid4().hex[:8]}"
    known = IndexEmbeddings(RandomEmbedder())
    query = RandomEmbedder().embed_query("a request")

    def ask_chroma() -> object:
        base = f"{url}/api/v2/tenants/default_tenant/databases/default_database/collections"
        collection = httpx.get(f"{base}/{name}").json()["id"]
        body = {"query_embeddings": [query], "n_results": 20, "include": ["metadatas"]}
        return httpx.post(f"{base}/{collection}/query", json=body, timeout=60).raise_for_status()

    by_name: dict[str, tuple[Open, Callable[[], object]]] = {
        "folder": (lambda _: store_at(folder / "index", lock_timeout=60), lambda: None),
        "chroma": (lambda cache: chroma_store(f"{url}/{name}", cache_dir=cache), ask_chroma),
    }
    if "TOOLRET_PGVECTOR" in os.environ:
        postgres: Any = import_module("langchain_postgres")
        store = postgres.PGVector(
            known, connection=os.environ["TOOLRET_PGVECTOR"], collection_name=name
        )
        by_name["pgvector"] = (
            lambda cache: langchain_store(store, name, cache_dir=cache),
            lambda: store.similarity_search_by_vector(query, k=20),
        )
    return by_name


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median_seconds(work: Callable[[], object], times: int = REQUESTS) -> float:
    """Return the median of the seconds that something takes, after a first time."""
    work()
    return float(np.median([seconds(work) for _ in range(times)]))


def measure(open_: Open, ask: Callable[[], object], tools: Sequence[Tool], folder: Path) -> Any:
    """Return the figures of one place, in seconds.

    Args:
        open_: Opens the place.
        ask: Asks the place's own engine.
        tools: The tools to index.
        folder: A folder for caches.
    """

    def open_index(store: Store) -> ToolIndex:
        index = ToolIndex(store, embedder=RandomEmbedder())
        assert index.snapshot  # reads the index, which otherwise happens at the first use
        return index

    writer = open_index(open_(folder / "writer"))
    row = {"build": seconds(lambda: writer.sync_tools(tools))}
    row["again"] = seconds(lambda: writer.sync_tools(tools))
    row["open, nothing cached"] = seconds(lambda: open_index(open_(folder / "new")))
    row["open"] = seconds(lambda: open_index(open_(folder / "new")))
    reader = open_index(open_(folder / "new"))
    row["refresh, nothing new"] = median_seconds(reader.refresh)
    row["one tool added"] = seconds(lambda: writer.add_tools([Tool(id="new", name="new")]))
    row["refresh, one tool new"] = seconds(reader.refresh)
    retriever = ToolRetriever(reader)
    row["search"] = median_seconds(lambda: retriever.search("a request for something", k=20))
    row["the engine's own search"] = median_seconds(ask)
    return row


def bytes_per_tool(url: str, cache: Path) -> float:
    """Return the bytes of memory per tool in a process that has opened an index for retrieval."""
    code = (
        "import os, sys\n"
        "from benchmarks.scaling import *\n"
        "def resident():\n"
        "    pages = int(Path('/proc/self/statm').read_text().split()[1])\n"
        "    return pages * os.sysconf('SC_PAGE_SIZE')\n"
        "ToolRetriever(ToolIndex(store_at(sys.argv[2] + '/empty', lock_timeout=1), "
        "embedder=RandomEmbedder()))\n"
        "before = resident()\n"
        "store = chroma_store(sys.argv[1], cache_dir=sys.argv[2])\n"
        "index = ToolIndex(store, embedder=RandomEmbedder())\n"
        "retriever = ToolRetriever(index)\n"
        "retriever.search('a request for something', k=20)\n"
        "print((resident() - before) / len(index))\n"
    )
    command = [sys.executable, "-c", code, url, str(cache)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def serve(url: str, cache: str, duration: float, embedder: RandomEmbedder) -> None:
    """Answer requests in this process, look for a new sync every second, and print the rate.

    The process prints ``ready``, and begins when a line can be read.
    """
    index = ToolIndex(chroma_store(url, cache_dir=cache), embedder=embedder)
    retriever = ToolRetriever(index)
    retriever.search("a request", k=20)
    print("ready", flush=True)
    sys.stdin.readline()
    served, end = 0, time.monotonic() + duration
    refresh_at = time.monotonic() + REFRESH_INTERVAL
    while (now := time.monotonic()) < end:
        if now >= refresh_at:
            index.refresh()
            refresh_at = now + REFRESH_INTERVAL
        retriever.search(REQUEST.format(served), k=20)
        served += 1
    print(served / duration)


def requests_per_second(processes: int, serving: Sequence[str]) -> float:
    """Return how many requests per second several processes answer together.

    Args:
        processes: The number of processes.
        serving: The options of each.
    """
    command = [sys.executable, "-m", "benchmarks.scaling", *serving]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    return sum(float(process.communicate()[0]) for process in started)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and write them as JSON if ``--json`` is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", type=int, default=[1_000, 5_000, 20_000])
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--model", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        url, cache = options.serve
        embedder = ModelsTime() if options.model else RandomEmbedder()
        serve(url, cache, options.seconds, embedder)
        return
    results: dict[str, Any] = {"cores": os.cpu_count(), "seconds": {}, "requests a second": {}}
    with tempfile.TemporaryDirectory() as scratch, chroma_server(Path(scratch) / "server") as url:
        for size in options.sizes:
            folder = Path(scratch) / str(size)
            figures = {
                name: measure(*place, catalog(size), folder / name)
                for name, place in places(folder, url).items()
            }
            results["seconds"][size] = figures
            print(f"\n{size} tools, milliseconds{''.join(f'{name:>12}' for name in figures)}")
            for row in figures["folder"]:
                cells = "".join(f"{1_000 * figures[name][row]:12,.1f}" for name in figures)
                print(f"{row:<26}{cells}", flush=True)
        size = options.sizes[-1]
        place = f"{url}/serve"
        store = chroma_store(place, cache_dir=Path(scratch) / "serve")
        ToolIndex(store, embedder=RandomEmbedder()).sync_tools(catalog(size))
        results["bytes a tool"] = bytes_per_tool(place, Path(scratch) / "serve")
        print(f"\n{results['bytes a tool']:,.0f} bytes of memory a tool and process")
        print(
            f"{size} tools, requests a second on {os.cpu_count()} cores, without and with a model"
        )
        serving = [
            "--serve",
            place,
            str(Path(scratch) / "serve"),
            "--seconds",
            f"{options.seconds}",
        ]
        for count in options.processes:
            rates = [requests_per_second(count, [*serving, *more]) for more in ([], ["--model"])]
            results["requests a second"][count] = rates
            print(f"{count:3} processes {rates[0]:10,.1f} {rates[1]:10,.1f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
