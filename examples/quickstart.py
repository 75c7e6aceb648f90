"""The main job on the shipped catalog: three requests become planner prompts.

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
    "The customer in order 48812 changed her mind and nothing has shipped yet. Stop it, give her "
    "the money back and let her know by e-mail.",
    "The checkout alert woke me up again, shut it up for two hours and find out what we deployed "
    "to production last night",
    "Move my 3 pm with Dana to tomorrow, and put me down as on holiday next week.",
)

TOKEN_BUDGET = 1_500


def main() -> None:
    """Index the catalog, select for each request, print what was chosen and why."""
    index = ToolIndex(INDEX)
    reports = index.sync(
        load_tools(ROOT / "tool_catalogs"), load_demos(*sorted((ROOT / "demos").glob("*.jsonl")))
    )
    for kind, report in reports.items():
        print(f"{kind}: {report.added + report.changed} indexed, {report.kept} as they were")
    retriever = ToolRetriever(index, token_budget=TOKEN_BUDGET)
    whole = catalog_tokens(list(index), counter=retriever.counter)
    for request in REQUESTS:
        show(retriever.select(request), whole)


def show(selection: Selection, whole: int) -> None:
    """Print one selection."""
    print(f"\n{'=' * 100}\n{selection.explain()}\n\nThe planner's prompt:")
    print(json.dumps(selection.to_openai(), ensure_ascii=False, indent=1))
    about = "" if selection.tokens_are_exact else "about (an estimate that errs high) "
    print(
        f"{about}{selection.tokens} of {TOKEN_BUDGET} tokens; the whole catalog takes {whole}: "
        f"{whole / selection.tokens:.0f} times as many"
    )


if __name__ == "__main__":
    main()
