"""Turn three requests into planner prompts, with the shipped catalog.

make demo
"""

from __future__ import annotations

import json
from pathlib import Path

from toolret import Selection, ToolIndex, ToolRetriever, load_demos, load_tools
from toolret.prompt import catalog_tokens

ROOT = Path(__file__).parent.parent
INDEX = ROOT / ".demo" / "index"

REQUESTS = (
    "Stop order 48812, give the customer her money back and tell her.",
    "The checkout alert woke me up again: mute it for two hours and show me what was deployed last "
    "night.",
    "Reschedule my 3 pm with Dana to tomorrow and request vacation for next week",
)

TOKEN_BUDGET = 1_500


def main() -> None:
    """Index the catalog, select for each request, print what was chosen and why."""
    index = ToolIndex(INDEX)
    reports = index.sync(load_tools(ROOT / "tool_catalogs"), load_demos(ROOT / "demos"))
    for kind, report in reports.items():
        print(f"{kind}: {report.added + report.changed} indexed, {report.kept} as they were")
    retriever = ToolRetriever(index, max_tools=5, token_budget=TOKEN_BUDGET)
    tokens_of_all = catalog_tokens(list(index), counter=retriever.counter)
    for request in REQUESTS:
        show(retriever.select(request), tokens_of_all)


def show(selection: Selection, tokens_of_all: int) -> None:
    """Print a selection, its prompt, and how much of the whole catalog's tokens that saves."""
    print(f"\n{'=' * 100}\n{selection.explain()}\n\nThe planner's prompt:")
    print(json.dumps(selection.to_openai(), ensure_ascii=False, indent=1))
    about = "" if selection.tokens_are_exact else "at most "
    print(
        f"{about}{selection.tokens} of {TOKEN_BUDGET} tokens; the whole catalog takes "
        f"{tokens_of_all}: {tokens_of_all / selection.tokens:.0f} times as many"
    )


if __name__ == "__main__":
    main()
