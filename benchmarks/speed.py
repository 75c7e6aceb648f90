"""How long a request takes, over catalog sizes, beside what others need; cold start; memory.

    python -m benchmarks.speed ../shared/data --work /tmp/speed --write docs/speed.md

Every system is asked the same requests in turn, with vectors that are known already, so that what
is compared is the search; the embedder's own time stands beside it. The tools are those of the
public sets, with descriptions that were written for people. Beyond their number they are repeated
with a mark in the text and a little noise in the vector.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.systems import DEPTH, Data, LangGraphStore, LlamaIndexObjects, System
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
MOST_DEMOS = 10_000
REQUESTS = 100
_NOISE = 0.02
"""Standard deviation of each of a repeated vector's components: a cosine of about 0.93."""

_PERMISSIONS = ((), (frozenset({"a"}),), (frozenset({"b"}),), (frozenset({"a"}), frozenset({"c"})))
_HELD = frozenset({"a"})

_COLD = """
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

Floats = NDArray[np.float32]


class Lookup:
    """The default model's vectors of texts that were embedded before."""

    def __init__(self) -> None:
        self._model = SentenceTransformerEmbedder()
        self.id = self._model.id
        self.vectors: dict[str, Floats] = {}

    def learn(self, texts: Sequence[str], kept: Path) -> None:
        """Embed texts, or read their vectors from a file that an earlier run left."""
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
    """Chroma alone, in memory."""

    key, name, package = "chroma", "Chroma query", "chromadb"

    def __init__(self, data: Data) -> None:
        import chromadb

        super().__init__(data)
        self._collection = chromadb.EphemeralClient().get_or_create_collection(
            f"tools{len(data.tools)}", embedding_function=None
        )
        vectors = data.vectors(data.texts)
        for start in range(0, len(data.ids), 1_000):
            some = slice(start, start + 1_000)
            self._collection.add(ids=data.ids[some], embeddings=vectors[some])

    def rank(self, text: str) -> list[str]:
        vector = np.asarray(self.data.embedder.embed_query(text), dtype=np.float32)
        return self._collection.query(query_embeddings=vector.tolist(), n_results=DEPTH)["ids"][0]


class NumPyProduct(System):
    """All cosines and the best ten: the least that an exact search can take."""

    key, name = "numpy", "NumPy product"

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self._vectors = data.vectors(data.texts)

    def rank(self, text: str) -> list[str]:
        cosines = self._vectors @ np.asarray(self.data.embedder.embed_query(text), np.float32)
        first = np.argpartition(-cosines, DEPTH)[:DEPTH]
        return [self.data.ids[i] for i in first[np.argsort(-cosines[first])]]


PEERS: tuple[type[System], ...] = (NumPyProduct, ChromaQuery, LangGraphStore, LlamaIndexObjects)


@dataclass(frozen=True)
class Row:
    """Milliseconds of each system at one size, median and 99th percentile; seconds; megabytes."""

    tools: int
    demos: int
    times: Mapping[str, tuple[float, float]]
    cold: Mapping[str, tuple[float, float]]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    lookup = Lookup()
    real = real_tools(options.data)
    lookup.learn(
        list(dict.fromkeys(line for tool in real for line in lines_of(tool))), work / "tools.npz"
    )
    demos = real_demos(options.data, {tool.id for tool in real})
    lookup.learn([demo.text for demo in demos], work / "demos.npz")
    requests = [demo.text for demo in demos[:: max(1, len(demos) // options.requests)]]
    rows = []
    for size in options.sizes:
        tools = enlarged(real, size, lookup)
        known = {tool.id for tool in tools}
        some = [demo for demo in demos if known.issuperset(demo.tools)][:MOST_DEMOS]
        rows.append(measure(tools, some, requests, lookup, work / f"index-{size}", options))
        print(table([rows[-1]]), flush=True)
    if options.write:
        write(options.write, rows)
    return 0


def measure(
    tools: Sequence[Tool],
    demos: Sequence[Demo],
    requests: Sequence[str],
    lookup: Lookup,
    folder: Path,
    options: argparse.Namespace,
) -> Row:
    """All systems on one catalog, each request by each of them in turn."""
    index = ToolIndex(folder, embedder=RoleEmbedder(lookup))
    index.sync(tools, demos)
    retriever = ToolRetriever(index)
    model = SentenceTransformerEmbedder()
    # Marked, so that no request is a copy of a demonstration, nor looked up.
    # By a word, since a number would be a value, and have every request embedded twice.
    asked = [f"{request} please n{len(tools)}" for request in requests]
    # What such a request embeds, itself and its clauses, and each without its values; their
    # vectors are known from here on.
    queries = {}
    for text in asked:
        said = [query.text for query in expand_queries(retriever.select(text).queries)]
        queries[text] = list(dict.fromkeys([*said, *map(without_values, said)]))
    ask: dict[str, Callable[[str], object]] = {
        "toolret": lambda text: retriever.select(text, allow=_HELD),
        "embedder": lambda text: model.encode(queries[text]),
    }
    if len(tools) <= options.peers_most:
        data = Data(tools, demos, lookup, folder)
        ask |= {peer.name: peer(data).rank for peer in PEERS}
    else:
        ask |= {NumPyProduct.name: NumPyProduct(Data(tools, demos, lookup, folder)).rank}
    taken: dict[str, list[float]] = {name: [] for name in ask}
    for number, text in enumerate(asked):
        for name, answer in ask.items():
            began = time.perf_counter()
            answer(text)
            if number >= len(asked) // 10:  # the first ones warm up
                taken[name].append((time.perf_counter() - began) * 1_000)
    times = {
        name: (statistics.median(each), float(np.percentile(each, 99)))
        for name, each in taken.items()
    }
    return Row(len(tools), len(demos), times, cold_starts(folder, options.cold))


def cold_starts(folder: Path, repeats: int) -> dict[str, tuple[float, float]]:
    """Seconds until the first answer of a new process, and its megabytes: the best of several."""
    found: dict[str, tuple[float, float]] = {}
    for backend in ("onnx", "torch"):
        runs = []
        for _ in range(repeats):
            ran = subprocess.run(
                [sys.executable, "-c", _COLD, str(folder), backend],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds, megabytes = map(float, ran.stdout.split())
            runs.append((seconds, megabytes))
        if runs:
            found[backend] = min(runs)
    return found


def real_tools(data: Path) -> list[Tool]:
    """The public sets' tools; the caller may use three quarters of them."""
    tools: dict[str, Tool] = {}
    for file in sorted(data.glob("*/tools.jsonl*")):
        for tool in load_tools(file):
            id_ = f"{file.parent.name}/{tool.id}"
            permissions = _PERMISSIONS[len(tools) % len(_PERMISSIONS)]
            tools[id_] = replace(tool, id=id_, permissions=permissions)
    # Evenly mixed, so that a small catalog is a sample of a large one.
    return sorted(tools.values(), key=lambda tool: sha256(tool.id.encode()).digest())


def real_demos(data: Path, known: set[str]) -> list[Demo]:
    """Their demonstrations, without calls, evenly mixed."""
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


def lines_of(tool: Tool) -> list[str]:
    """The texts that are embedded of a tool."""
    return [line for line in tool_views(tool).split("\n") if line]


def enlarged(real: Sequence[Tool], size: int, lookup: Lookup) -> list[Tool]:
    """So many tools: the first of the real ones, then all again, each a little changed."""
    tools = list(real[:size])
    rng = np.random.default_rng(0)
    while len(tools) < size:
        part = real[: size - len(tools)]
        mark = f" ({len(tools)})"
        marked = [replace(t, id=t.id + mark, description=t.description + mark) for t in part]
        known = {
            new: old
            for tool, copy in zip(part, marked, strict=True)
            # One without a description is given the mark for one.
            for old, new in zip_longest(lines_of(tool), lines_of(copy), fillvalue=lines_of(tool)[0])
            if new not in lookup.vectors
        }
        vectors = np.array([lookup.vectors[old] for old in known.values()], dtype=np.float32)
        vectors += rng.normal(scale=_NOISE, size=vectors.shape).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        lookup.vectors |= dict(zip(known, vectors, strict=True))
        tools += marked
    return tools


def table(rows: Sequence[Row]) -> str:
    """As Markdown: latency, then cold start and memory."""
    names = list(dict.fromkeys(name for row in rows for name in row.times))
    lines = [
        "Milliseconds a request, median / 99th percentile:",
        "",
        "| tools | demonstrations | " + " | ".join(names) + " |",
        "|---" * (len(names) + 2) + "|",
    ]
    for row in rows:
        cells = [
            "{:.1f} / {:.1f}".format(*row.times[name]) if name in row.times else "-"
            for name in names
        ]
        lines.append(f"| {row.tools:,} | {row.demos:,} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "A new process until its first answer, and its memory:",
        "",
        "| tools | onnxruntime | sentence-transformers | ratio | MB | MB |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row.cold:
            (fast, small), (slow, large) = row.cold["onnx"], row.cold["torch"]
            lines.append(
                f"| {row.tools:,} | {fast:.2f} s | {slow:.2f} s | {slow / fast:.1f} | {small:.0f} "
                f"| {large:.0f} |"
            )
    if len(rows) > 1 and rows[0].cold and rows[-1].cold:
        tools = rows[-1].tools - rows[0].tools
        more = rows[-1].cold["onnx"][1] - rows[0].cold["onnx"][1]
        lines += ["", f"Memory of one tool more: {more / tools * 1024:.1f} KB at its peak."]
    return "\n".join(lines)


def plot(rows: Sequence[Row]) -> str:
    """Medians over sizes as SVG, both axes logarithmic."""
    names = list(dict.fromkeys(name for row in rows for name in row.times))
    colours = ("#c0392b", "#7f8c8d", "#2980b9", "#27ae60", "#8e44ad", "#d35400")
    low, high = np.log10([row.tools for row in rows])[[0, -1]]
    medians = [time[0] for row in rows for time in row.times.values()]
    bottom, top = np.floor(np.log10(min(medians))), np.ceil(np.log10(max(medians)))

    def place(tools: float, milliseconds: float) -> tuple[float, float]:
        x = 72 + 408 * (np.log10(tools) - low) / max(high - low, 1e-9)
        y = 300 - 270 * (np.log10(milliseconds) - bottom) / max(top - bottom, 1e-9)
        return round(float(x), 1), round(float(y), 1)

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 340" font-family="sans-serif" '
        'font-size="12"><rect width="640" height="340" fill="white"/>'
    ]
    for exponent in range(int(bottom), int(top) + 1):
        _, y = place(rows[0].tools, 10.0**exponent)
        parts.append(f'<path d="M72 {y}H480" stroke="#ddd"/>')
        parts.append(f'<text x="64" y="{y + 4}" text-anchor="end">{10.0**exponent:,g} ms</text>')
    for row in rows:
        x, _ = place(row.tools, 10.0**bottom)
        parts.append(f'<text x="{x}" y="320" text-anchor="middle">{row.tools:,}</text>')
    ends = []
    for name, colour in zip(names, colours, strict=False):
        points = [place(row.tools, row.times[name][0]) for row in rows if name in row.times]
        line = " ".join(f"{x},{y}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = points[-1]
        ends.append((y, x, name, colour))
    lowest = 0.0
    for y, x, name, colour in sorted(ends):
        lowest = max(y, lowest + 13)  # so that no name lies on another
        parts.append(f'<text x="{x + 6}" y="{lowest + 4}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def write(page: Path, rows: Sequence[Row]) -> None:
    """Put the figures between the page's marks, and the plot beside it."""
    begin, end = "<!-- figures: begin -->", "<!-- figures: end -->"
    before, _, rest = page.read_text("utf-8").partition(begin)
    after = rest.partition(end)[2]
    page.write_text(f"{before}{begin}\n{table(rows)}\n{end}{after}", "utf-8")
    page.with_suffix(".svg").write_text(plot(rows), "utf-8")


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
