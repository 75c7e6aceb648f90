"""Measure what demonstrations of one catalog do to requests for another in the same index.

    python -m benchmarks.mixtures ../shared/data sealtools+bfcl ultratool+traject --adapters DIR

Each pair of sets shares an index. The first has its demonstrations there, and the requests of the
second are asked with and without them. The exit code is 1 if COMP@5 or nDCG@10 loses more than two
points. ``benchmarks.quality`` says what the sets consist of, and what ``--adapters`` is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality import answerable_requests, held_out_adapter, measure_system, sample
from benchmarks.systems import CachedModel, Data, Toolret, ToolretTexts
from toolret.catalogs import load_tools
from toolret.console import positive
from toolret.embedders import Embedder
from toolret.errors import InputError, ToolretError
from toolret.rows import load_demos

__all__ = ["main"]

MEASURES = ("COMP@5", "nDCG@10")
"""The metrics that are shown."""

MOST_LOST = 2.0
"""The most points that a metric may lose."""


def main(arguments: Sequence[str] | None = None, *, embedder: Embedder | None = None) -> int:
    """Print a row for each pair in percent, and return the exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of the sets")
    parser.add_argument("pairs", nargs="+", metavar="DEMONSTRATED+ASKED", help="folders in it")
    parser.add_argument("--adapters", type=Path, metavar="DIR", help="that saw nothing of the sets")
    parser.add_argument("--limit", type=positive, metavar="N", help="requests a set, evenly spaced")
    options = parser.parse_args(arguments)
    embedder = embedder or CachedModel()
    print("| demonstrations | requests |", *(f"{m} without | with |" for m in MEASURES))
    print("|---" * (2 + 2 * len(MEASURES)) + "|")
    lost = False
    try:
        for pair in options.pairs:
            figures = measure_pair(pair, options, embedder)
            cells = " | ".join(f"{figure:.1f}" for both in figures for figure in both)
            print("|", pair.replace("+", " | "), "|", cells, "|", flush=True)
            lost |= any(without - with_them > MOST_LOST for without, with_them in figures)
    except ToolretError as error:
        print(f"mixtures: {error}", file=sys.stderr)
        return 1
    return int(lost)


def measure_pair(
    pair: str, options: argparse.Namespace, embedder: Embedder
) -> list[tuple[float, float]]:
    """Return each metric of a pair of sets, without and with demonstrations.

    Raises:
        InputError: If the text names no pair, or a set lacks what it is asked for.
    """
    demonstrated, _, asked = pair.partition("+")
    if not (demonstrated and asked):
        raise InputError(f"{pair!r} names no pair of sets, such as sealtools+bfcl")
    ours, theirs = options.data / demonstrated, options.data / asked
    files, demo_files = sorted(theirs.glob("dev.jsonl*")), sorted(ours.glob("demos.jsonl*"))
    if not (files and demo_files):
        raise InputError(f"{pair}: there is no {theirs / 'dev.jsonl'} or {ours / 'demos.jsonl'}")
    requests = sample([each for file in files for each in answerable_requests(file)], options.limit)
    # Where both have a tool of the same id, it is that of the set that is asked.
    tools = {
        tool.id: tool
        for folder in (ours, theirs)
        for tool in load_tools(*sorted(folder.glob("tools.jsonl*")))
    }
    demos = load_demos(*demo_files)
    adapter = held_out_adapter(options.adapters, asked)
    with tempfile.TemporaryDirectory() as scratch:
        data = Data(list(tools.values()), demos, embedder, Path(scratch), adapter)
        without, with_them = (
            measure_system(system, data, {asked: requests})[0].measures
            for system in (ToolretTexts, Toolret)
        )
    return [(without[measure], with_them[measure]) for measure in MEASURES]


if __name__ == "__main__":
    sys.exit(main())
