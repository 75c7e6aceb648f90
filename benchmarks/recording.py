"""Measure what recording a conversation costs, and what the next request costs after it.

    python benchmarks/recording.py --tools 2000 --demos 1000 4000

CPU seconds of this process, with an embedder of hashed words: the model's own time is not in them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from toolret.index import ToolIndex
from toolret.retrieval.retriever import ToolRetriever
from toolret.testing import HashedWordsEmbedder
from toolret.types import Call, Demo, Tool


def _index(folder: str, tools: int, demos: int) -> ToolIndex:
    index = ToolIndex(Path(folder) / "index", embedder=HashedWordsEmbedder())
    index.sync(
        [
            Tool(f"t{i}", f"tool {i}", description=f"Handle case {i} of {i % 97}")
            for i in range(tools)
        ],
        [
            Demo(f"d{i}", f"please handle case {i}", (Call(f"t{i % tools}"),), (f"t{i % tools}",))
            for i in range(demos)
        ],
    )
    return index


def _conversation(number: int) -> list[dict[str, object]]:
    call = {"id": "c", "function": {"name": "t1", "arguments": "{}"}}
    return [
        {"role": "user", "content": f"a request that is new, the {number}th"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "done"},
    ]


def _seconds(work: Callable[[Any], object], argument: Any) -> float:
    started = time.process_time()
    work(argument)
    return time.process_time() - started


def main() -> None:
    """Print one line for each number of demonstrations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=int, default=2_000)
    parser.add_argument("--demos", type=int, nargs="+", default=[1_000, 4_000])
    options = parser.parse_args()
    for demos in options.demos:
        with TemporaryDirectory() as folder:
            index = _index(folder, options.tools, demos)
            retriever = ToolRetriever(index)
            retriever.select("please handle case 3")
            warm = min(_seconds(retriever.select, "please handle case 5") for _ in range(3))
            fit = index.store.load_fit()
            costs = [
                (
                    _seconds(retriever.record, _conversation(n)),
                    _seconds(retriever.select, "please handle case 7"),
                )
                for n in range(3)
            ]
            record, after = min(cost for cost, _ in costs), min(cost for _, cost in costs)
            again = "fitted anew" if index.store.load_fit() != fit else "fit kept"
            print(
                f"{options.tools} tools, {demos} demonstrations: record {record:.2f} s, the next "
                f"request {after:.2f} s, others {warm:.3f} s; {again}"
            )


if __name__ == "__main__":
    main()
