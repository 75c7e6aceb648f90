"""Measure whether a token budget keeps the tools that a request needs, and their arguments.

    python -m benchmarks.budget ../shared/data/bfcl ../shared/data/traject

Each folder is a set in the project's row formats whose requests, in the file that ends in
``dev.jsonl``, come with the calls that answer them. A request counts as served if every needed
tool among those selected is still in the prompt, with every argument that its call gives. Tools
that were not selected are left to ``toolret eval``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolret import BudgetError, Demo, ToolIndex, ToolRetriever, load_demos, load_tools
from toolret.embedders import Embedder
from toolret.prompt import Packed, pack

__all__ = ["Prompt", "arguments_given", "is_served", "main", "pack_requests"]


def arguments_given(request: Demo) -> dict[str, set[str]]:
    """Return the names of the arguments that the calls of each needed tool give."""
    names: dict[str, set[str]] = defaultdict(set)
    for call in request.calls:
        names[call.tool] |= set(call.arguments)
    return names


def is_served(packed: Packed, wanted: Mapping[str, set[str]]) -> bool:
    """Whether a prompt has all wanted tools, each with all its wanted arguments."""
    shown = {tool.id: set(tool.parameters.get("properties", ())) for tool in packed.tools}
    return all(tool in shown and names <= shown[tool] for tool, names in wanted.items())


def main(arguments: Sequence[str] | None = None, *, embedder: Embedder | None = None) -> int:
    """Print a table for each set."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("sets", nargs="+", type=Path, help="folders, one a set")
    parser.add_argument("--budgets", nargs="+", type=int, default=[300, 600, 1_200, 2_000])
    parser.add_argument("--requests", type=int, default=300, help="of each set, at most")
    options = parser.parse_args(arguments)
    for folder in options.sets:
        with tempfile.TemporaryDirectory() as scratch:
            index = ToolIndex(scratch, embedder=embedder)
            index.sync(load_tools(*folder.glob("tools.jsonl*")))
            if demos := list(folder.glob("demos.jsonl*")):
                index.sync_demos(load_demos(*demos))
            requests = [r for r in load_demos(*folder.glob("*dev.jsonl*")) if r.calls]
            prompts = list(pack_requests(index, requests[: options.requests], options.budgets))
        count = len(prompts) // len(
            options.budgets
        )  # requests for which a needed tool was selected
        print(f"{folder.name}: {count} requests")
        print("| budget | tools | examples | requests served |\n|---|---|---|---|")
        for budget in options.budgets if count else ():
            rows = [prompt for prompt in prompts if prompt.budget == budget]
            tools, examples, served = (
                sum(column) / len(rows)
                for column in zip(*((p.tools, p.examples, p.served) for p in rows), strict=True)
            )
            print(f"| {budget:,} | {tools:.1f} | {examples:.1f} | {100 * served:.1f} % |")
    return 0


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt of one request within one budget.

    Attributes:
        budget: The budget in tokens.
        tools: The number of tools in the prompt.
        examples: The number of demonstrations in the prompt.
        served: Whether the prompt has those needed tools that were selected, with their arguments.
    """

    budget: int
    tools: int
    examples: int
    served: bool


def pack_requests(
    index: ToolIndex, requests: Iterable[Demo], budgets: Sequence[int]
) -> Iterator[Prompt]:
    """Select tools for each request once, and yield what each budget holds of them."""
    retriever = ToolRetriever(index, token_budget=None)
    for request in requests:
        selection = retriever.select(request.text)
        schemas = {hit.tool.id: hit.tool.parameters or {} for hit in selection.tools}
        wanted = {
            tool: names & set(schemas[tool].get("properties", ()))
            for tool, names in arguments_given(request).items()
            if tool in schemas
        }
        for budget in budgets if wanted else ():
            try:
                packed = pack(
                    selection.tools,
                    selection.demos,
                    budget=budget,
                    form="openai",
                    counter=retriever.counter,
                )
            except BudgetError:
                packed = Packed("openai", (), ())
            served = is_served(packed, wanted)
            yield Prompt(budget, len(packed.tools), len(packed.demos), served)


if __name__ == "__main__":
    raise SystemExit(main())
