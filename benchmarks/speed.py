"""Measure how long a request takes by catalog size, compared with peers; cold start; memory.

    python -m benchmarks.speed ../shared/data --work /tmp/speed --write docs/speed.md

Every system is asked the same requests in turn, with vectors that are known already, so that the
search is what is compared; the embedder's own time is reported beside it. The tools are those of
the public sets, with descriptions that were written for people. Larger catalogs repeat them with a
mark in the text and a little noise in the vector.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import LangGraphStore, LlamaIndexObjects
from benchmarks.speed_report import Row, table, update_page
from benchmarks.systems import DEPTH, Data, System
from toolret.catalogs import load_tools
from toolret.embedders import RoleEmbedder, SentenceTransformerEmbedder
from toolret.index import ToolIndex
from toolret.queries.combining import expand_queries
from toolret.retrieval.retriever import ToolRetriever
from toolret.rows import load_demos
from toolret.stores.derived import read_arrays, write_arrays
from toolret.text.rendering import tool_views
from toolret.text.values import without_values
from toolret.types import Demo, Tool

SIZES = (1_000, 5_000, 20_000, 50_000, 200_000)
"""The numbers of tools that are measured."""

MOST_DEMOS = 10_000
"""The most demonstrations that are indexed."""

REQUESTS = 100
"""The number of requests that each system is asked."""

_NOISE = 0.02
"""The standard deviation of the noise in each component of a repeated vector, which leaves a cosine
of about 0.93."""

_PERMISSIONS = ((), (frozenset({"a"}),), (frozenset({"b"}),), (frozenset({"a"}), frozenset({"c"})))
"""The permissions that tools need, in turn."""

_HELD = frozenset({"a"})
"""The permissions of the caller, who may use three of four tools."""

_COLD_START = """
import sys, time
started = time.perf_counter()
from toolret.embedders import SentenceTransformerEmbedder
from toolret.index import ToolIndex
from toolret.retrieval.retriever import ToolRetriever
folder, backend = sys.argv[1:]
index = ToolIndex(folder, embedder=SentenceTransformerEmbedder(backend=backend), create=False)
assert ToolRetriever(index).search("cancel my order and refund it", keep_all=True)
seconds = time.perf_counter() - started
# Not getrusage, whose peak a process inherits from the one that started it.
status = dict(line.split(":") for line in open("/proc/self/status"))
print(seconds, int(status["VmHWM"].split()[0]) / 1024)
"""

"""The program of a new process: it prints its seconds until the first answer, and its megabytes."""

Floats = NDArray[np.float32]


class Lookup:
    """An embedder that looks up the default model's vectors, and embeds only unknown texts."""

    def __init__(self) -> None:
        self._model = SentenceTransformerEmbedder()
        self.id = self._model.id
        self.vectors: dict[str, Floats] = {}

    def learn(self, texts: Sequence[str], kept: Path) -> None:
        """Embed texts, or read their vectors from the file that an earlier run wrote."""
        digest = sha256("\0".join((self.id, *texts)).encode()).hexdigest()
        arrays = read_arrays(kept, digest)
        if arrays is None:
            arrays = {"vectors": self._model.encode(texts)}
            write_arrays(kept, digest, arrays)
        self.vectors |= dict(zip(texts, arrays["vectors"], strict=True))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        unknown = [text for text in texts if text not in self.vectors]
        if unknown:
            self.vectors |= dict(zip(unknown, self._model.encode(unknown), strict=True))
        return [self.vectors[text].tolist() for text in texts]

    def embed_queries(self, texts: list[str]) -> list[list[float]]:
        return self.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class ChromaQuery(System):
    """Chroma's own search, in memory."""

    key, name, package = "chroma", "Chroma query", "chromadb"

    def __init__(self, data: Data) -> None:
        import chromadb

        super().__init__(data)
        self._collection = chromadb.EphemeralClient().get_or_create_collection(
            f"tools{len(data.tools)}", embedding_function=None
        )
        vectors = data.vectors(data.texts)
        for start in range(0, len(data.ids), 1_000):
            batch = slice(start, start + 1_000)
            self._collection.add(ids=data.ids[batch], embeddings=vectors[batch])

    def rank(self, text: str) -> list[str]:
        vector = np.asarray(self.data.embedder.embed_query(text), dtype=np.float32)
        return self._collection.query(query_embeddings=vector.tolist(), n_results=DEPTH)["ids"][0]


class NumPyProduct(System):
    """The product of all vectors, and the best ten: the least that an exact search can take."""

    key, name = "numpy", "NumPy product"

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self._vectors = data.vectors(data.texts)

    def rank(self, text: str) -> list[str]:
        cosines = self._vectors @ np.asarray(self.data.embedder.embed_query(text), np.float32)
        first = np.argpartition(-cosines, DEPTH)[:DEPTH]
        return [self.data.ids[i] for i in first[np.argsort(-cosines[first])]]


PEERS: tuple[type[System], ...] = (NumPyProduct, ChromaQuery, LangGraphStore, LlamaIndexObjects)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    lookup = Lookup()
    real = real_tools(options.data)
    lookup.learn(
        list(dict.fromkeys(line for tool in real for line in embedded_lines(tool))),
        work / "tools.npz",
    )
    demos = real_demos(options.data, {tool.id for tool in real})
    lookup.learn([demo.text for demo in demos], work / "demos.npz")
    requests = [demo.text for demo in demos[:: max(1, len(demos) // options.requests)]]
    rows = []
    for size in options.sizes:
        tools = enlarge(real, size, lookup)
        known = {tool.id for tool in tools}
        usable = [demo for demo in demos if known.issuperset(demo.tools)][:MOST_DEMOS]
        rows.append(measure(tools, usable, requests, lookup, work / f"index-{size}", options))
        print(table([rows[-1]]), flush=True)
    if options.write:
        update_page(options.write, rows)
    return 0


def measure(
    tools: Sequence[Tool],
    demos: Sequence[Demo],
    requests: Sequence[str],
    lookup: Lookup,
    folder: Path,
    options: argparse.Namespace,
) -> Row:
    """Measure all systems on one catalog."""
    index = ToolIndex(folder, embedder=RoleEmbedder(lookup))
    index.sync(tools, demos)
    retriever = ToolRetriever(index)
    model = SentenceTransformerEmbedder()
    # Marked, so that no request is a copy of a demonstration, nor looked up.
    # By a word, since a number would be a value, and have every request embedded twice.
    marked = [f"{request} please n{len(tools)}" for request in requests]
    queries = {text: embedded_queries(retriever, text) for text in marked}
    ask: dict[str, Callable[[str], object]] = {
        "toolret": lambda text: retriever.select(text, allow=_HELD),
        "embedder": lambda text: model.encode(queries[text]),
    }
    if len(tools) <= options.peers_most:
        data = Data(tools, demos, lookup, folder)
        ask |= {peer.name: peer(data).rank for peer in PEERS}
    else:
        ask |= {NumPyProduct.name: NumPyProduct(Data(tools, demos, lookup, folder)).rank}
    times = latencies(ask, marked)
    return Row(len(tools), len(demos), times, cold_starts(folder, options.cold))


def embedded_queries(retriever: ToolRetriever, text: str) -> list[str]:
    """Return what a request embeds: itself and its clauses, and each without its values.

    The request is answered for that, so their vectors are known from here on.
    """
    queries = [query.text for query in expand_queries(retriever.select(text).queries)]
    return list(dict.fromkeys([*queries, *map(without_values, queries)]))


def latencies(
    ask: Mapping[str, Callable[[str], object]], requests: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Ask each request of each system in turn.

    Returns:
        The median and the 99th percentile of each system's milliseconds, without the first tenth of
        the requests, which warm up.
    """
    taken: dict[str, list[float]] = {name: [] for name in ask}
    for number, text in enumerate(requests):
        for name, answer in ask.items():
            began = time.perf_counter()
            answer(text)
            if number >= len(requests) // 10:
                taken[name].append((time.perf_counter() - began) * 1_000)
    return {
        name: (statistics.median(times), float(np.percentile(times, 99)))
        for name, times in taken.items()
    }


def cold_starts(folder: Path, repeats: int) -> dict[str, tuple[float, float]]:
    """Return a new process's seconds until its first answer and its megabytes, the best of several.

    They are returned by the embedder's backend.
    """
    best: dict[str, tuple[float, float]] = {}
    for backend in ("onnx", "torch"):
        runs = []
        for _ in range(repeats):
            process = subprocess.run(
                [sys.executable, "-c", _COLD_START, str(folder), backend],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds, megabytes = map(float, process.stdout.split())
            runs.append((seconds, megabytes))
        if runs:
            best[backend] = min(runs)
    return best


def real_tools(data: Path) -> list[Tool]:
    """Read the public sets' tools; the caller may use three quarters of them."""
    tools: dict[str, Tool] = {}
    for file in sorted(data.glob("*/tools.jsonl*")):
        for tool in load_tools(file):
            id_ = f"{file.parent.name}/{tool.id}"
            permissions = _PERMISSIONS[len(tools) % len(_PERMISSIONS)]
            tools[id_] = replace(tool, id=id_, permissions=permissions)
    # Evenly mixed, so that a small catalog is a sample of a large one.
    return sorted(tools.values(), key=lambda tool: sha256(tool.id.encode()).digest())


def real_demos(data: Path, known: set[str]) -> list[Demo]:
    """Read the public sets' demonstrations of known tools, without calls, evenly mixed."""
    demos = [
        replace(
            demo,
            id=f"{file.parent.name}/{demo.id}",
            calls=(),
            tools=tuple(f"{file.parent.name}/{tool}" for tool in demo.tools),
        )
        for file in sorted(data.glob("*/demos.jsonl*"))
        for demo in load_demos(file)
    ]
    usable = (demo for demo in demos if demo.tools and known.issuperset(demo.tools))
    return sorted(usable, key=lambda demo: sha256(demo.id.encode()).digest())


def embedded_lines(tool: Tool) -> list[str]:
    """Return the texts that are embedded of a tool."""
    return [line for line in tool_views(tool).split("\n") if line]


def enlarge(real: Sequence[Tool], size: int, lookup: Lookup) -> list[Tool]:
    """Return ``size`` tools: the real ones, then the same again, each a little changed.

    The vectors of the changed tools are added to ``lookup``.
    """
    tools = list(real[:size])
    rng = np.random.default_rng(0)
    while len(tools) < size:
        part = real[: size - len(tools)]
        mark = f" ({len(tools)})"
        marked = [replace(t, id=t.id + mark, description=t.description + mark) for t in part]
        known = {
            new: old
            for tool, copy in zip(part, marked, strict=True)
            # A tool without a description has the mark as its description.
            for old, new in zip_longest(
                embedded_lines(tool), embedded_lines(copy), fillvalue=embedded_lines(tool)[0]
            )
            if new not in lookup.vectors
        }
        vectors = np.array([lookup.vectors[old] for old in known.values()], dtype=np.float32)
        vectors += rng.normal(scale=_NOISE, size=vectors.shape).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        lookup.vectors |= dict(zip(known, vectors, strict=True))
        tools += marked
    return tools


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the public sets")
    parser.add_argument("--work", type=Path, required=True, help="folder for indexes and vectors")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--requests", type=int, default=REQUESTS, metavar="N")
    parser.add_argument("--cold", type=int, default=3, metavar="N", help="new processes of each")
    parser.add_argument(
        "--peers-most", type=int, default=50_000, metavar="N", help="largest catalog of the peers"
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the figures into a page")
    return parser


if __name__ == "__main__":
    sys.exit(main())
