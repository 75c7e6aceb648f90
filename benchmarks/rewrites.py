"""Measure what queries written by an LLM improve, from replies recorded once: no LLM is asked.

    python -m benchmarks.rewrites ../shared/data/toolret

The rows of these public sets hold what gpt-4o-mini wrote of each need. Its descriptions of the
needed tools are put into a recording, as replies to this project's own prompt, and ``toolret eval
--replay`` does the rest, by the same code that a live model's replies go through. The exit code is
not 0 if a figure is below its floor.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from toolret.cli import main as toolret
from toolret.llm import RecordingModel
from toolret.queries import Conversation, StrategyQueryGenerator, as_request
from toolret.testing import ScriptedChatModel

__all__ = ["main", "read_rewrites", "write_recording"]

FLOORS = {"apigen": "nDCG@10=84", "toolink": "nDCG@10=54", "gorilla": "nDCG@10=30"}
"""The least value of a metric by set, in percent; API-Bank's floor is what it reaches without the
rewrites."""


def read_rewrites(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each request of a public file, with what was written of its needs."""
    for line in file.read_text("utf-8").splitlines():
        row = json.loads(line)
        yield row["text"], [need["tool_description"] for need in row["rewritten"]["tool_needs"]]


def write_recording(
    written: Iterable[tuple[Conversation, Sequence[str]]], file: Path, *, model: str
) -> None:
    """Record queries as the replies of a model to the prompt of ``rewrite``.

    Args:
        written: The conversations, each with the queries that the model wrote for it.
        file: The recording.
        model: The name of the model in the recording.
    """
    reply = ""
    writer = ScriptedChatModel(lambda _: reply)
    writer.name = model
    generator = StrategyQueryGenerator("rewrite", RecordingModel(writer, file))
    for conversation, queries in written:
        reply = json.dumps({"queries": list(queries)})
        generator.write_queries(as_request(conversation))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each set with and without the rewrites; return 1 if a figure is below its floor."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("data", type=Path, help="the folder of the sets")
    parser.add_argument("--index", type=Path, help="keeps the vectors for another run")
    parser.add_argument("--sets", nargs="+", default=["apibank", "apigen", "gorilla", "toolink"])
    options = parser.parse_args(arguments)
    status = 0
    with tempfile.TemporaryDirectory() as scratch:
        index = options.index or Path(scratch) / "index"
        for name in options.sets:
            rows = options.data / f"{name}_dev.jsonl"
            recording, report = (Path(scratch) / f"{name}{end}" for end in (".replies", ".json"))
            write_recording(read_rewrites(rows), recording, model="gpt-4o-mini")
            command = ["eval", "--tools", str(options.data / "tools.jsonl"), "--keep-all"]
            command += ["--queries", str(rows), "--index", str(index), "--json", str(report)]
            print(f"{name}, the request alone")
            status |= toolret(command)
            metrics = json.loads(report.read_text("utf-8"))["metrics"]
            floor = FLOORS.get(name, f"COMP@5={100 * metrics['COMP@5']:.4f}")
            print(f"{name}, with the rewrites")
            status |= toolret([*command, "--replay", str(recording), "--require", floor])
    return status


if __name__ == "__main__":
    raise SystemExit(main())
