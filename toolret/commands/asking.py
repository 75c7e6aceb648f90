"""``toolret search`` and ``toolret plan``: what an agent would get for a request."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from toolret.console import (
    add_allow,
    add_index_options,
    add_json,
    count_of,
    fit_line,
    open_index,
    positive,
    print_json,
    summary_line,
    terminal_safe,
)

if TYPE_CHECKING:
    from toolret.index import ToolIndex
    from toolret.permissions import Allow
    from toolret.retrieval.selection import Selection
    from toolret.tokens import TokenCounter
    from toolret.types import DemoHit, Hit

__all__ = ["add_plan", "add_search"]

_WIDEST = 40
"""The most characters that the column of ids is wide; longer ids stick out."""

_SAMPLE_SIZE = 500
"""The number of tools, roughly, whose tokens are counted to estimate those of a whole catalog."""

_ESTIMATE_DIGITS = 3
"""The number of significant digits of that estimate that are shown."""

_DEFAULT_BUDGET = 2_000
"""Default of ``plan --budget``, in tokens: that of ``ToolRetriever``."""

_DEFAULT_K = 10
"""Default of ``search -k``, in tools."""

_REQUEST_HELP = "what the user asks for; put it in quotes"
"""Help text of the argument ``TEXT``."""


def add_search(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``search`` to the command line's subcommands."""
    search = commands.add_parser(
        "search",
        help="the tools for a request",
        description="Show the tools that a request most likely needs, each with the probability "
        "that it does.",
    )
    search.add_argument("text", metavar="TEXT", help=_REQUEST_HELP)
    search.add_argument(
        "-k",
        type=positive,
        default=_DEFAULT_K,
        metavar="N",
        help=f"how many tools at most (default: {_DEFAULT_K})",
    )
    search.add_argument(
        "--keep-all", action="store_true", help="list the nearest also where no tool fits"
    )
    search.add_argument(
        "--explain",
        action="store_true",
        help="also show the evidence for each tool: what each signal adds to its log-odds",
    )
    add_allow(search)
    add_index_options(search, required=True)
    add_json(search)
    search.set_defaults(command=_search)


def add_plan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``plan`` to the command line's subcommands."""
    plan = commands.add_parser(
        "plan",
        help="the planner's prompt for a request",
        description="Print what the planner is shown for a request: tools and worked examples, "
        "within a token budget. What was cut is told beside it.",
    )
    plan.add_argument("text", metavar="TEXT", help=_REQUEST_HELP)
    plan.add_argument(
        "--budget",
        type=positive,
        default=_DEFAULT_BUDGET,
        metavar="N",
        help=f"the most tokens of the prompt (default: {_DEFAULT_BUDGET})",
    )
    plan.add_argument(
        "--format",
        choices=["openai", "anthropic", "text"],
        default="openai",
        help="the form of the prompt (default: openai)",
    )
    plan.add_argument(
        "--explain", action="store_true", help="also tell why these tools and examples were chosen"
    )
    add_allow(plan)
    add_index_options(plan, required=True)
    add_json(plan)
    plan.set_defaults(command=_plan)


def _search(options: argparse.Namespace) -> None:
    from toolret.retrieval.retriever import ToolRetriever

    with open_index(options, create=False) as index:
        # With a minimum score of 0, a selection has no tools only where none is needed.
        retriever = ToolRetriever(index, min_score=0.0, max_demos=0, token_budget=None)
        selection = retriever.select(
            options.text,
            allow=options.allow,
            max_tools=options.k,
            depth=options.k if options.keep_all else 0,
        )
    hits = selection.ranked[: options.k] if options.keep_all or selection.tools else ()
    about = f"{count_of(len(hits), 'tool')}; p = {selection.need:.3f} that one is needed"
    if not selection.tools:
        about = _no_tool_line(selection) + ("" if hits else "; --keep-all lists the nearest")
    if options.json:
        print_json([_hit_json(hit) for hit in hits])
    else:
        for line in _hit_lines(hits, explain=options.explain):
            print(fit_line(line, sys.stdout))
    print(about, file=sys.stderr if hits or options.json else sys.stdout)


def _no_tool_line(selection: Selection) -> str:
    return f"no tool fits (p = {selection.need:.3f} that one is needed)"


def _hit_lines(hits: Sequence[Hit], *, explain: bool) -> list[str]:
    from toolret.retrieval.selection import evidence_lines

    width = min(max((len(hit.tool.id) for hit in hits), default=0), _WIDEST)
    lines = []
    for rank, hit in enumerate(hits, start=1):
        about = summary_line(hit.tool.description)
        lines.append(f"{rank:3}. {hit.score:5.3f}  {hit.tool.id:{width}}  {about}".rstrip())
        if explain:
            lines += evidence_lines(hit)
    return lines


def _plan(options: argparse.Namespace) -> None:
    from toolret.retrieval.retriever import ToolRetriever

    with open_index(options, create=False) as index:
        retriever = ToolRetriever(index, token_budget=options.budget, prompt_format=options.format)
        selection = retriever.select(options.text, allow=options.allow)
        tools, tokens = _catalog_size(index, options.allow, retriever.counter)
    if options.json:
        sizes = {"catalog_tools": tools, "catalog_tokens_estimate": tokens}
        print_json(_selection_json(selection, options.format) | sizes)
        return
    prompt = _prompt(selection, options.format)
    if isinstance(prompt, str):
        print(terminal_safe(prompt, sys.stdout))
    else:
        print_json(prompt)
    for line in _plan_lines(selection, tools, tokens, explain=options.explain):
        print(terminal_safe(line, sys.stderr), file=sys.stderr)


def _plan_lines(
    selection: Selection, tools: int, catalog_tokens: int, *, explain: bool
) -> list[str]:
    """Return the lines about a prompt: its size, the catalog's size, what was cut, and why."""
    packed = selection.packed
    tools_of_all = f"{len(packed.tools)} of {count_of(tools, 'tool')}"
    about = "" if selection.tokens_are_exact else "about "
    whole = round(catalog_tokens, _ESTIMATE_DIGITS - len(str(catalog_tokens)))
    sizes = (
        f"{tools_of_all}, {count_of(len(packed.demos), 'example')}: {about}"
        f"{selection.tokens:,} of {selection.token_budget:,} tokens; all tools would take "
        f"about {whole:,}"
    )
    if not selection.tokens_are_exact:
        sizes += " (estimates that err high)"
    if explain:
        return [sizes, selection.explain()]
    lines = [] if selection.tools else [_no_tool_line(selection)]
    lines.append(sizes)
    for (kind, id_), cuts in groupby(selection.dropped, key=attrgetter("kind", "id")):
        steps = {cut.step: cut.tokens_saved for cut in cuts}
        lines.append(f"cut {kind} {id_}: {', '.join(steps)} (-{sum(steps.values())} tokens)")
    if selection.note:
        lines.append(f"note: {selection.note}")
    return lines


def _catalog_size(index: ToolIndex, allow: Allow, counter: TokenCounter) -> tuple[int, int]:
    """Return the number of tools that a caller may use, and an estimate of all their tokens."""
    from toolret.permissions import is_allowed
    from toolret.prompt import catalog_tokens

    items = index.snapshot.tools.items
    usable: Sequence[int] = range(len(items))
    if allow is not None:
        usable = [place for place in usable if is_allowed(items[place], allow)]
    sample = [items[place] for place in usable[:: max(1, len(usable) // _SAMPLE_SIZE)]]
    sample_tokens = catalog_tokens(sample, counter=counter)
    return len(usable), round(sample_tokens * len(usable) / max(1, len(sample)))


def _hit_json(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.tool.id,
        "name": hit.tool.name,
        "description": hit.tool.description,
        "score": hit.score,
        "evidence": [asdict(evidence) for evidence in hit.evidence],
    }


def _demo_json(hit: DemoHit) -> dict[str, Any]:
    return {
        "id": hit.demo.id,
        "text": hit.demo.text,
        "tools": list(hit.demo.tools),
        "similarity": hit.similarity,
        "reason": hit.reason,
    }


def _selection_json(selection: Selection, form: str) -> dict[str, Any]:
    return {
        "request": selection.request,
        "queries": [asdict(query) for query in selection.queries],
        "tools": [_hit_json(hit) for hit in selection.tools],
        "demos": [_demo_json(hit) for hit in selection.demos],
        "need": selection.need,
        "note": selection.note,
        "tokens": selection.tokens,
        "tokens_are_exact": selection.tokens_are_exact,
        "token_budget": selection.token_budget,
        "dropped": [asdict(cut) for cut in selection.dropped],
        "prompt": _prompt(selection, form),
    }


def _prompt(selection: Selection, form: str) -> dict[str, Any] | str:
    """Return a selection's prompt in a form that ``--format`` names."""
    forms = {"openai": selection.to_openai, "anthropic": selection.to_anthropic}
    return forms[form]() if form in forms else selection.to_text()
