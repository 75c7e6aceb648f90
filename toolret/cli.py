"""The command line: ``toolret index``, ``list``, ``search``, ``plan``, ``eval`` and ``lint``."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolret.console import (
    INDEX_HELP,
    add_index_options,
    add_paths,
    counted,
    learn,
    load_catalogs,
    opened,
    positive,
    print_json,
    seen,
)
from toolret.errors import InputError, ToolretError
from toolret.evaluation.command import add_eval
from toolret.lint.command import add_lint

if TYPE_CHECKING:
    from toolret.index import ToolIndex
    from toolret.retrieval.selection import Selection
    from toolret.types import Demo, DemoHit, Hit, Tool

__all__ = ["main"]

_GONE_NAMED = 5
"""How many tools to name that are gone but still used by demonstrations."""

_WIDEST = 50
"""Characters of an id up to which the column of ids is widened."""

_LONGEST_TEXT = 160
"""Characters of a text in a list."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s")

_OK, _FAILED, _INTERRUPTED, _UNREAD = 0, 1, 130, 141
"""Exit codes; 2 is argparse's, for a command line that cannot be read. The last two are what shells
report of programs that SIGINT and SIGPIPE end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed by whoever started this
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack characters
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
        print(end="", flush=True)  # write errors are caught here, not at exit
    except ToolretError as error:
        print(f"toolret: {seen(' '.join(str(error).split()), sys.stderr)}", file=sys.stderr)
        return _FAILED
    except OSError as error:
        unread = isinstance(error, BrokenPipeError)  # as by ``head``, once it has its lines
        if not unread:
            print(f"toolret: {seen(str(error), sys.stderr)}", file=sys.stderr)
        with suppress(OSError):  # keeps the rest from being written again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNREAD if unread else _FAILED
    except KeyboardInterrupt:
        print("toolret: interrupted; what was stored is kept", file=sys.stderr)
        return _INTERRUPTED
    return _OK


def _parser() -> argparse.ArgumentParser:
    from toolret import __version__

    parser = argparse.ArgumentParser(
        prog="toolret", description="The right few tools and worked examples for an LLM agent."
    )
    parser.add_argument("--version", action="version", version=f"toolret {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    index = commands.add_parser("index", help="read catalogs and demonstrations into an index")
    index.add_argument(
        "catalogs",
        nargs="+",
        metavar="CATALOG",
        type=Path,
        help="a file or folder; NAME=CATALOG sets the namespace of its tools, in place of an API's "
        "title or a file's name; rows that name their own keep it",
    )
    add_paths(index, "--demos", "files or folders of demonstrations")
    index.add_argument(
        "--forget-recorded",
        action="store_true",
        help="with --demos: keep no others, not even what was recorded",
    )
    index.add_argument(
        "--reembed",
        action="store_true",
        help="embed everything again if it has another embedder's vectors",
    )
    index.set_defaults(command=_index)

    listing = commands.add_parser("list", help="what an index holds")
    listing.add_argument("--index", metavar="DIR", required=True, help=INDEX_HELP)
    listing.add_argument(
        "--demos", action="store_true", help="the demonstrations in place of the tools"
    )
    listing.set_defaults(command=_list)

    search = commands.add_parser("search", help="the tools for a request")
    search.add_argument("text", metavar="TEXT")
    search.add_argument("-k", type=positive, default=10, metavar="N", help="how many tools")
    search.add_argument(
        "--keep-all", action="store_true", help="list the nearest also where no tool fits"
    )
    search.set_defaults(command=_search)

    plan = commands.add_parser("plan", help="the planner's prompt for a request")
    plan.add_argument("text", metavar="TEXT")
    plan.add_argument("--budget", type=positive, default=2_000, metavar="N", help="in tokens")
    plan.add_argument("--format", choices=["openai", "anthropic", "text"], default="openai")
    plan.set_defaults(command=_plan)

    add_eval(commands)
    add_lint(commands)

    for command in (index, search, plan):
        add_index_options(command, required=True)
    for command in (index, listing, search, plan):
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _index(options: argparse.Namespace) -> None:
    # All input is read before anything is written: bad input leaves the index as it was.
    from toolret.rows import load_demos

    tools = load_catalogs(options.catalogs)
    demos = load_demos(*options.demos) if options.demos else None
    if options.forget_recorded and demos is None:
        raise InputError("--forget-recorded needs --demos, which are the demonstrations that stay")
    with opened(options) as index:
        reports = index.sync(tools, demos, keep_recorded=not options.forget_recorded)
        learn(index)
        dead = _dead_demos(index)
    for line in (*(f"found {found}" for found in tools.found), *dead):
        print(seen(line, sys.stderr), file=sys.stderr)
    if options.json:
        print_json({kind: asdict(report) for kind, report in reports.items()})
        return
    for kind, report in reports.items():
        print(
            f"{kind}: {report.added} added, {report.changed} changed, {report.removed} removed, "
            f"{report.kept} kept ({report.embedded} embedded)"
        )


def _dead_demos(index: ToolIndex) -> list[str]:
    """Return a line if demonstrations in the index use tools that are gone."""
    gone = [[tool for tool in demo.tools if tool not in index] for demo in index.demos]
    dead = sum(map(bool, gone))
    if not dead:
        return []
    names = sorted({tool for tools in gone for tool in tools})
    listed = ", ".join(names[:_GONE_NAMED] + ["..."] * (len(names) > _GONE_NAMED))
    who = "1 demonstration uses a tool" if dead == 1 else f"{dead} demonstrations use tools"
    return [f"{who} that {'is' if dead == 1 else 'are'} gone ({listed})"]


def _list(options: argparse.Namespace) -> None:
    # The store is read without an index, which would ask for the embedder that it was made with.
    from toolret.index.shelves import DEMOS, TOOLS
    from toolret.stores import absent, store_at

    store = store_at(options.index, lock_timeout=60.0)
    if not store.exists():
        raise absent(store)
    contents = store.load()
    if options.demos:
        demos = [DEMOS.load(record.row) for record in contents["demos"].records.values()]
        rows = [{"id": demo.id, "text": demo.text, "tools": list(demo.tools)} for demo in demos]
        pairs = [(demo.id, _demo_line(demo)) for demo in demos]
    else:
        tools = [TOOLS.load(record.row) for record in contents["tools"].records.values()]
        rows = [_tool_json(tool) for tool in tools]
        pairs = [(tool.id, _in_brief(tool.description)) for tool in tools]
    if options.json:
        print_json(rows)
        return
    width = min(max((len(id_) for id_, _ in pairs), default=0), _WIDEST)
    for id_, text in pairs:
        print(seen(f"{id_:{width}}  {text}".rstrip(), sys.stdout))
    print(counted(len(pairs), "demonstration" if options.demos else "tool"), file=sys.stderr)


def _in_brief(text: str) -> str:
    """Return a text's first sentence, in one line, shortened."""
    sentence = _SENTENCE_END.split(text.strip(), maxsplit=1)[0]
    line = " ".join(sentence.split())
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}..."


def _demo_line(demo: Demo) -> str:
    return f"{_in_brief(demo.text)}  ({', '.join(demo.tools) or 'no tool'})"


def _tool_json(tool: Tool) -> dict[str, Any]:
    return {"id": tool.id, "name": tool.name, "description": tool.description}


def _search(options: argparse.Namespace) -> None:
    from toolret.retrieval.retriever import ToolRetriever

    with opened(options, create=False) as index:
        retriever = ToolRetriever(index)
        hits = retriever.search(options.text, k=options.k, keep_all=options.keep_all)
    if options.json:
        print_json([_hit_json(hit) for hit in hits])
    elif not hits:
        print("no tool fits; --keep-all lists the nearest")
    else:
        _print_hits(hits)


def _plan(options: argparse.Namespace) -> None:
    from toolret.retrieval.retriever import ToolRetriever

    with opened(options, create=False) as index:
        retriever = ToolRetriever(index, token_budget=options.budget, prompt_format=options.format)
        selection = retriever.select(options.text)
    if options.json:
        print_json(_selection_json(selection, options.format))
        return
    prompt = _prompt(selection, options.format)
    if isinstance(prompt, str):
        print(seen(prompt, sys.stdout))
    else:
        print_json(prompt)
    if not selection.tools:
        print(f"no tool fits (p={selection.need:.3f} that one is needed)", file=sys.stderr)
    about = "" if selection.tokens_are_exact else "at most "
    packed = selection.packed
    print(
        f"{counted(len(packed.tools), 'tool')}, {counted(len(packed.demos), 'example')}: {about}"
        f"{selection.tokens} of {options.budget} tokens",
        file=sys.stderr,
    )
    for (kind, id_), cuts in groupby(selection.dropped, key=attrgetter("kind", "id")):
        steps = {cut.step: cut.tokens_saved for cut in cuts}
        line = f"cut {kind} {id_}: {', '.join(steps)} (-{sum(steps.values())} tokens)"
        print(seen(line, sys.stderr), file=sys.stderr)
    if selection.note:
        print(seen(f"note: {selection.note}", sys.stderr), file=sys.stderr)


def _print_hits(hits: Sequence[Hit]) -> None:
    for rank, hit in enumerate(hits, start=1):
        evidence = ", ".join(f"{e.signal} {e.contribution:+.1f}" for e in hit.evidence[:4])
        print(seen(f"{rank:3}. {hit.score:6.3f}  {hit.tool.id}  ({evidence})", sys.stdout))


def _hit_json(hit: Hit) -> dict[str, Any]:
    return {
        **_tool_json(hit.tool),
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
        "note": selection.note,
        "tokens": selection.tokens,
        "tokens_are_exact": selection.tokens_are_exact,
        "token_budget": selection.token_budget,
        "dropped": [asdict(cut) for cut in selection.dropped],
        "prompt": _prompt(selection, form),
    }


def _prompt(selection: Selection, form: str) -> dict[str, Any] | str:
    forms = {"openai": selection.to_openai, "anthropic": selection.to_anthropic}
    return forms[form]() if form in forms else selection.to_text()
