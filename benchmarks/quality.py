"""Compare how well systems find the right tools of public sets, with the same embedder.

    python -m benchmarks.quality --data ../shared/data --output table.md --json figures.json

``--data`` is a folder of folders, one a set, in the project's row formats: ``tools.jsonl``,
``demos.jsonl`` if there are demonstrations, and the requests in files that end in ``dev.jsonl``;
each may be gzipped. Every system gets the same text of each tool
(``toolret.text.rendering.tool_text``), ranks all tools, and is asked through its own public calls;
each text is embedded once.

toolret's adapter was fitted on demonstrations of public sets, so it knows their tools better than
a user's, which shows where it is asked without demonstrations. ``--adapters`` is a folder of
adapters that saw nothing of the sets, which ``scripts.fit_adapter --held-out`` writes.

``--json`` is written after each set, and ``--add`` continues from such a file, so a long run can be
made in parts.

``pip install 'toolret[peers]'`` installs LangGraph and LlamaIndex, and
``pip install haystack-ai fastmcp pydantic-ai-slim ratel-ai`` the peers that search words.
semantic-router needs another major version of openai than the one toolret is tested with: install
``toolret[semantic-router]`` in an environment of its own, run ``--systems semantic-router --json
FILE`` there, and pass that file here with ``--add``. A peer that is not installed, or fails, is
marked in the table.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import PEERS
from benchmarks.systems import (
    Bm25,
    CachedModel,
    Data,
    Dense,
    Rrf,
    System,
    Toolret,
    ToolretTexts,
    Votes,
)
from toolret.catalogs import load_tools
from toolret.console import positive
from toolret.embedders import Embedder
from toolret.errors import InputError, ToolretError
from toolret.evaluation.metrics import mean, metric_values
from toolret.ranking.learning import evenly_spaced
from toolret.rows import LabelledRequest, load_demos, load_requests

SYSTEMS: tuple[type[System], ...] = (Bm25, Dense, Rrf, *PEERS, Votes, ToolretTexts, Toolret)
"""What is compared, in the order of the tables' columns."""

MEASURES = ("R@1", "COMP@5", "COMP@10", "nDCG@10")
"""The metrics that are shown, a table for each."""

DEMOS = {"all": 1, "half": 2, "none": 1}
"""The step between the demonstrations that are indexed, by the choices of ``--demos``."""

NO_DEMOS = "needs demonstrations"
"""The reason why a system that needs demonstrations has no figures of a set without any."""


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one system on one set.

    Attributes:
        set: The name of the set.
        system: The name of the system.
        tools: The number of tools in the catalog.
        demos: The number of indexed demonstrations.
        requests: The number of requests.
        measures: The figures in percent, by metric; empty if the system did not answer.
        reason: Why there are no figures; empty if there are.
        version: The version of the peer's package; empty if the system is no peer.
    """

    set: str
    system: str
    tools: int
    demos: int
    requests: int
    measures: Mapping[str, float]
    reason: str = ""
    version: str = ""


def measure_system(
    system: type[System], data: Data, sets: Mapping[str, list[LabelledRequest]]
) -> list[Result]:
    """Measure one system on all request sets of one catalog."""
    measures: dict[str, dict[str, float]] = {}
    reason = NO_DEMOS if system.needs_demos and not data.demos else ""
    if not reason:
        try:
            ranker = system(data)
            for name, requests in sets.items():
                gold = {request.id: request.tools for request in requests}
                values = metric_values(gold, ranker.runs(requests))
                measures[name] = {measure: 100 * mean(values[measure]) for measure in MEASURES}
        except ImportError as error:
            reason = f"not installed: {error}"
        except Exception as error:
            if not system.package:
                raise
            # A peer may raise anything; the figures of the others stand.
            reason = f"failed: {type(error).__name__}: {error}"
    return [
        Result(
            set=name,
            system=system.name,
            tools=len(data.tools),
            demos=len(data.demos),
            requests=len(requests),
            measures=measures.get(name, {}),
            reason=reason,
            version=version(system.package) if system.package and measures else "",
        )
        for name, requests in sets.items()
    ]


def main(arguments: Sequence[str] | None = None, *, embedder: Embedder | None = None) -> int:
    """Measure, write the table, and return the exit code; tests give another embedder."""
    options = _parser().parse_args(arguments)
    try:
        results = [] if options.add is None else read_figures(options.add, options)
        embedder = embedder or CachedModel()
        for folder, files in request_files(options.data, options.sets).items():
            results = latest_results(results + measure_set(folder, files, options, embedder))
            if options.json is not None:  # after each set: a long run may be cut short
                write_figures(options.json, results, options)
        table = "\n".join(table_lines(results))
        if options.output is None:
            print(table)
        else:
            options.output.write_text(table + "\n", "utf-8")
    except (ToolretError, OSError) as error:
        print(f"quality: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of sets")
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="such as bfcl or metatool/dev")
    parser.add_argument("--limit", type=positive, metavar="N", help="requests a set, evenly spaced")
    parser.add_argument("--demos", choices=DEMOS, default="all", help="how many to index")
    parser.add_argument("--adapters", type=Path, metavar="DIR", help="that saw nothing of the sets")
    keys = [system.key for system in SYSTEMS]
    parser.add_argument("--systems", nargs="+", choices=keys, default=keys)
    parser.add_argument("--add", type=Path, metavar="FILE", help="what another run's --json wrote")
    parser.add_argument("--output", type=Path, metavar="FILE", help="instead of standard output")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    return parser


def request_files(data: Path, wanted: Sequence[str] | None) -> dict[Path, list[Path]]:
    """Return the files of requests by the folder of their set: those wanted, or all.

    Raises:
        InputError: If a wanted set does not exist, or there is none at all.
    """
    files = sorted(path for path in data.glob("*/*dev.jsonl*") if path.is_file())
    known = {name for path in files for name in (path.parent.name, set_name(path))}
    for name in wanted or ():
        if name not in known:
            raise InputError(f"there is no set {name!r}; there are {', '.join(sorted(known))}")
    by_folder: dict[Path, list[Path]] = {}
    for path in files:
        if wanted is None or not {path.parent.name, set_name(path)}.isdisjoint(wanted):
            by_folder.setdefault(path.parent, []).append(path)
    if not by_folder:
        raise InputError(f"{data}: holds no folder with requests in *dev.jsonl")
    return by_folder


def set_name(path: Path) -> str:
    """Return the name of a file's set: ``metatool/dev`` for ``.../metatool/dev.jsonl.gz``."""
    return f"{path.parent.name}/{path.name.partition('.')[0]}"


def measure_set(
    folder: Path, files: Sequence[Path], options: argparse.Namespace, embedder: Embedder
) -> list[Result]:
    """Measure the chosen systems on one catalog."""
    demos = load_demos(*sorted(folder.glob("demos.jsonl*"))) if options.demos != "none" else []
    demos = demos[:: DEMOS[options.demos]]
    tools = load_tools(*sorted(folder.glob("tools.jsonl*")))
    sets = {set_name(file): sample(answerable_requests(file), options.limit) for file in files}
    request_texts = [request.text for requests in sets.values() for request in requests]
    adapter = held_out_adapter(options.adapters, folder.name)
    with tempfile.TemporaryDirectory() as scratch:
        data = Data(tools, demos, embedder, Path(scratch), adapter)
        with _print_time(f"{folder.name}: embedded"):  # systems then find all vectors in the cache
            data.vectors([*data.texts, *(demo.text for demo in demos), *request_texts])
        results = []
        for system in SYSTEMS:
            if system.key in options.systems:
                with _print_time(f"{folder.name}: {system.name}"):
                    results += measure_system(system, data, sets)
    return results


def held_out_adapter(adapters: Path | None, name: str) -> NDArray[np.float32] | None:
    """Read the adapter that saw nothing of a set; None without a folder of such adapters.

    Raises:
        InputError: If the folder has no adapter of this set.
    """
    if adapters is None:
        return None
    file = adapters / f"{name}.npy"
    if not file.is_file():
        raise InputError("there is no adapter that saw nothing of this set", file=file)
    adapter: NDArray[np.float32] = np.load(file)
    return adapter


@contextmanager
def _print_time(step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{step} {time.perf_counter() - started:.1f} s", file=sys.stderr)


def answerable_requests(file: Path) -> list[LabelledRequest]:
    """Read the requests that have a right tool.

    Raises:
        InputError: If there is none.
    """
    requests = [request for request in load_requests(file) if request.tools]
    if not requests:
        raise InputError("no request here has a right tool: there is nothing to measure", file=file)
    return requests


def sample(requests: list[LabelledRequest], limit: int | None) -> list[LabelledRequest]:
    """Return at most ``limit`` of the requests, evenly spaced; all without a limit."""
    return requests if limit is None else evenly_spaced(requests, limit)


def settings(options: argparse.Namespace) -> dict[str, str | int | bool | None]:
    """Return the options that figures depend on."""
    held_out_adapters = options.adapters is not None
    return {"limit": options.limit, "demos": options.demos, "adapters": held_out_adapters}


def write_figures(path: Path, results: Sequence[Result], options: argparse.Namespace) -> None:
    """Write all results, and the options that they depend on."""
    figures = settings(options) | {"results": [asdict(result) for result in results]}
    path.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def read_figures(path: Path, options: argparse.Namespace) -> list[Result]:
    """Read the results of another run, made with the same settings.

    Raises:
        InputError: If the file holds no results, or those of unknown systems, or its settings are
            others.
    """
    ours = settings(options)
    try:
        figures = json.loads(path.read_text("utf-8"))
        theirs = {name: figures[name] for name in ours}
        results = [Result(**row) for row in figures["results"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"is not what --json writes: {error!r}", file=path) from error
    known = {system.name for system in SYSTEMS}
    for result in results:
        if result.system not in known:
            raise InputError(f"has figures of {result.system!r}, which is not here", file=path)
    for name, value in theirs.items():
        if value != ours[name]:
            raise InputError(f"was made with --{name} {value}: run both alike", file=path)
    return results


def latest_results(results: Sequence[Result]) -> list[Result]:
    """Return the latest result of each system on each set, sorted by set and by system."""
    names = [system.name for system in SYSTEMS]
    latest = {(result.set, result.system): result for result in results}
    return sorted(latest.values(), key=lambda result: (result.set, names.index(result.system)))


def table_lines(results: Sequence[Result]) -> list[str]:
    """Return a Markdown table for each measure, then the versions and failures of systems."""
    names = [system.name for system in SYSTEMS]
    systems = sorted({result.system for result in results}, key=names.index)
    sets = list(dict.fromkeys(result.set for result in results))
    by_place = {(result.set, result.system): result for result in results}
    lines = ["Percent; the best of each row in bold. A dash: it needs demonstrations.", ""]
    for measure in MEASURES:
        lines += [f"### {measure}", ""]
        lines += ["| set | tools | demonstrations | requests | " + " | ".join(systems) + " |"]
        lines += ["|---" * (4 + len(systems)) + "|"]
        for name in sets:
            row = [by_place.get((name, system)) for system in systems]
            lines.append(_row(measure, name, row))
        lines.append("")
    notes = [f"- {result.system} {result.version}" for result in results if result.version]
    notes += [
        f"- {result.system}: {result.reason}"
        for result in results
        if result.reason not in ("", NO_DEMOS)
    ]
    return [*lines, *dict.fromkeys(notes)]


def _row(measure: str, name: str, row: Sequence[Result | None]) -> str:
    known = [result for result in row if result is not None]
    top = max((result.measures.get(measure, -1.0) for result in known), default=-1.0)
    sizes = f"{known[0].tools:,} | {known[0].demos:,} | {known[0].requests:,}"
    cells = [_cell(result, measure, top) for result in row]
    return f"| {name} | {sizes} | " + " | ".join(cells) + " |"


def _cell(result: Result | None, measure: str, top: float) -> str:
    if result is None:
        return "not run"
    if result.reason:
        return "-" if result.reason == NO_DEMOS else result.reason.partition(":")[0]
    figure = f"{result.measures[measure]:.1f}"
    return f"**{figure}**" if figure == f"{top:.1f}" else figure


if __name__ == "__main__":
    sys.exit(main())
