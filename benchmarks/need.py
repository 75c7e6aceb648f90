"""Measure how well it is told whether a request needs a tool at all.

    python -m benchmarks.need ../shared/data ultratool metatool/awareness_dev --no-demos

Each set, in the project's row formats, is asked its own requests and such as need none of its
tools: those of ``STRANGERS``, and general requests that a model answers by itself, which are not
among those that the need was fitted with. A file with requests for no tool, such as
``awareness_dev``, is asked these in place of the strangers'. All thresholds are the defaults.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from toolret import ToolIndex, ToolRetriever, load_demos, load_tools
from toolret.embedders import Embedder
from toolret.evaluation import evaluate
from toolret.ranking.learning import evenly_spaced
from toolret.rows import LabelledRequest, load_requests

__all__ = ["GENERAL", "main"]

STRANGERS = ("apibank", "bfcl", "nestful", "sealtools", "tldr", "ultratool")
"""The sets whose requests the others are asked as needing none of their tools."""

GENERAL = (
    "hi there",
    "ok, thank you very much",
    "how was your day",
    "can you help me with something",
    "good night",
    "that is not what I meant",
    "forget what I said",
    "tell me something funny",
    "what is your opinion on pineapple pizza",
    "is there life after death",
    "debate with me whether cats are better than dogs",
    "I feel lonely, what can I do",
    "tips for staying calm before an exam",
    "how do I ask my boss for a raise",
    "what are good questions for a first date",
    "how do I tie a tie",
    "what should I cook with eggs and rice",
    "what is the difference between affect and effect",
    "why is water wet",
    "who wrote Faust",
    "how many legs does a spider have",
    "what are the seven wonders of the world",
    "list five famous painters",
    "explain quantum entanglement in simple words",
    "how do vaccines work",
    "what is recursion",
    "describe the taste of salt",
    "what would Napoleon say about smartphones",
    "which is heavier, a kilo of lead or a kilo of feathers",
    "solve this riddle: what has keys but opens no lock",
    "write a limerick about a cat and a mouse",
    "compose a rap about maths",
    "translate my feelings into a haiku",
    "invent a bedtime story with a dragon",
    "give me a slogan for a bakery",
    "help me to brainstorm names for my band",
    "rephrase: the cat sat on the mat",
    "draft a polite refusal to a wedding invitation",
    "write a cover letter for a gardener",
    "write a regular expression for digits",
)
"""Requests that a model answers by itself."""


def main(arguments: Sequence[str] | None = None, *, embedder: Embedder | None = None) -> int:
    """Print a row for each set, in percent."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of the sets")
    parser.add_argument("sets", nargs="+", help="folders in it; FOLDER/FILE for another file")
    parser.add_argument("--no-demos", action="store_true", help="index no demonstrations")
    parser.add_argument("--requests", type=int, default=150, help="of each kind, at most")
    options = parser.parse_args(arguments)
    print(
        "| set | in need, given tools | not in need | AUROC | given none |\n|---|---|---|---|---|"
    )
    for name in options.sets:
        folder, _, file = name.partition("/")
        own = requests_of(options.data, folder, file or "dev")
        needing = evenly_spaced([each for each in own if each.tools], options.requests)
        idle = [each.text for each in own if not each.tools] or [
            each.text
            for other in STRANGERS
            if other != folder
            for each in evenly_spaced(requests_of(options.data, other, "dev"), options.requests)
        ]
        with tempfile.TemporaryDirectory() as scratch:
            index = index_of(options.data / folder, Path(scratch), embedder, not options.no_demos)
            for kind, texts in (("its own or others'", idle), ("general", GENERAL)):
                unneeded = [
                    LabelledRequest(f"no tool {number}", text)
                    for number, text in enumerate(evenly_spaced(texts, options.requests))
                ]
                report = evaluate(ToolRetriever(index), [*needing, *unneeded])
                counts, auroc = report.counts, 100 * (report.auroc or 0)
                given = 100 - 100 * counts["answerable_without_tool"] / counts["answerable"]
                none = 100 * counts["unanswerable_without_tool"] / counts["unanswerable"]
                print(f"| {name} | {given:.0f} | {kind} | {auroc:.1f} | {none:.0f} |", flush=True)
    return 0


def requests_of(data: Path, folder: str, file: str) -> list[LabelledRequest]:
    """Return the requests of a set; none if it is not there."""
    files = list((data / folder).glob(f"{file}.jsonl*"))
    return load_requests(*files) if files else []


def index_of(folder: Path, scratch: Path, embedder: Embedder | None, with_demos: bool) -> ToolIndex:
    """Index a set's tools and, if wanted, its demonstrations."""
    index = ToolIndex(scratch, embedder=embedder)
    index.sync_tools(load_tools(*folder.glob("tools.jsonl*")))
    demos = list(folder.glob("demos.jsonl*"))
    if with_demos and demos:
        index.sync_demos(load_demos(*demos))
    return index


if __name__ == "__main__":
    raise SystemExit(main())
