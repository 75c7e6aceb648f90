"""The command line: ``toolret index``, ``search``, ``plan``, ``eval`` and ``lint``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolret.errors import ToolretError
from toolret.lint.command import add_lint

if TYPE_CHECKING:
    from toolret.evaluation.reports import Requirement
    from toolret.index import Progress, ToolIndex
    from toolret.selection import Selection
    from toolret.types import DemoHit, Hit

__all__ = ["main"]

_OK, _FAILED, _INTERRUPTED = 0, 1, 130
"""Exit codes; 2 is argparse's, for a command line that cannot be read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except ToolretError as error:
        print(f"toolret: {' '.join(str(error).split())}", file=sys.stderr)
        return _FAILED
    except BrokenPipeError:
        # The reader of our output has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
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
    index.add_argument("catalogs", nargs="+", metavar="CATALOG", type=Path)
    index.add_argument("--demos", nargs="+", metavar="FILE", type=Path, default=[])
    index.add_argument(
        "--reembed", action="store_true", help="if it has another embedder's vectors"
    )
    index.set_defaults(command=_index)

    search = commands.add_parser("search", help="the tools for a request")
    search.add_argument("text", metavar="TEXT")
    search.add_argument("-k", type=_positive, default=10, metavar="N", help="how many tools")
    search.set_defaults(command=_search)

    plan = commands.add_parser("plan", help="the planner's prompt for a request")
    plan.add_argument("text", metavar="TEXT")
    plan.add_argument("--budget", type=_positive, default=2_000, metavar="N", help="in tokens")
    plan.add_argument("--format", choices=["openai", "anthropic", "text"], default="openai")
    plan.set_defaults(command=_plan)

    evaluate = commands.add_parser("eval", help="measure retrieval on labelled requests")
    evaluate.add_argument("--tools", nargs="+", required=True, metavar="FILE", type=Path)
    evaluate.add_argument("--queries", nargs="+", required=True, metavar="FILE", type=Path)
    evaluate.add_argument("--demos", nargs="+", metavar="FILE", type=Path, default=[])
    evaluate.add_argument("-k", type=_positive, default=10, metavar="N", help="tools a request")
    evaluate.add_argument(
        "--keep-all", action="store_true", help="rank tools also where the answer is no tool"
    )
    evaluate.add_argument("--run", type=Path, metavar="OUT", help="write the TREC run")
    evaluate.add_argument("--json", type=Path, metavar="OUT", help="write metrics and timings")
    evaluate.add_argument(
        "--against",
        type=Path,
        metavar="RUN",
        help="another TREC run to compare with",
    )
    evaluate.add_argument(
        "--require",
        nargs="+",
        type=_requirement,
        metavar="METRIC=PERCENT",
        default=[],
        help="fail below these figures, such as C@5=80",
    )
    evaluate.set_defaults(command=_eval)

    add_lint(commands)

    for command in (index, search, plan, evaluate):
        command.add_argument("--index", metavar="DIR", type=Path, required=command is not evaluate)
        command.add_argument(
            "--embedder", metavar="MODEL", help="a sentence-transformers model, or openai:NAME"
        )
    for command in (index, search, plan):
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is less than 1")
    return number


def _requirement(text: str) -> Requirement:
    from toolret.evaluation.reports import parse_requirement

    try:
        return parse_requirement(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _index(options: argparse.Namespace) -> None:
    # All input is read before anything is written: bad input leaves the index as it was.
    from toolret.catalogs import load_tools
    from toolret.rows import load_demos

    tools = load_tools(*options.catalogs)
    demos = load_demos(*options.demos)
    with _opened(options) as index:
        reports = index.sync(tools, demos if options.demos else None)
        _learn(index)
    for found in tools.found:
        print(f"found {found}", file=sys.stderr)
    if options.json:
        _print_json({kind: asdict(report) for kind, report in reports.items()})
        return
    for kind, report in reports.items():
        print(
            f"{kind}: {report.added} added, {report.changed} changed, {report.removed} removed, "
            f"{report.kept} kept ({report.embedded} embedded)"
        )


def _search(options: argparse.Namespace) -> None:
    from toolret.retriever import ToolRetriever

    with _opened(options, create=False) as index:
        hits = ToolRetriever(index).search(options.text, k=options.k)
    if options.json:
        _print_json([_hit_json(hit) for hit in hits])
    elif not hits:
        print("no tool fits")
    else:
        _print_hits(hits)


def _plan(options: argparse.Namespace) -> None:
    from toolret.retriever import ToolRetriever

    with _opened(options, create=False) as index:
        retriever = ToolRetriever(index, token_budget=options.budget, prompt_format=options.format)
        selection = retriever.select(options.text)
    if options.json:
        _print_json(_selection_json(selection, options.format))
        return
    prompt = _prompt(selection, options.format)
    print(prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False, indent=2))
    about = "" if selection.tokens_are_exact else "at most "
    print(
        f"{len(selection.tools)} tools, {len(selection.demos)} examples: {about}"
        f"{selection.tokens} of {options.budget} tokens",
        file=sys.stderr,
    )
    for cut in selection.dropped:
        print(f"cut {cut.kind} {cut.id}: {cut.step} (-{cut.tokens_saved} tokens)", file=sys.stderr)
    if selection.note:
        print(f"note: {selection.note}", file=sys.stderr)


def _eval(options: argparse.Namespace) -> None:
    from toolret.catalogs import load_tools
    from toolret.evaluation.reports import missed, report_lines
    from toolret.evaluation.runs import run
    from toolret.evaluation.trec import read_trec, trec_lines
    from toolret.retriever import ToolRetriever
    from toolret.rows import load_demos, load_requests

    tools = load_tools(*options.tools)
    demos = load_demos(*options.demos)
    requests = load_requests(*options.queries)
    other = read_trec(options.against) if options.against else None
    with tempfile.TemporaryDirectory() as scratch:
        options.index = options.index or Path(scratch) / "index"
        with _opened(options) as index:
            index.sync(tools, demos)
            _learn(index)
        with _progress() as progress:
            report = run(
                ToolRetriever(index),
                requests,
                k=options.k,
                keep_all=options.keep_all,
                progress=progress,
            )
    if options.run:
        _write(options.run, "".join(f"{line}\n" for line in trec_lines(report.runs)))
    if options.json:
        _write(options.json, json.dumps(report.to_json(), indent=2) + "\n")
    gold = {request.id: request.tools for request in requests}
    for line in report_lines(report, report.against(gold, other) if other else None):
        print(line)
    problems = missed(report, options.require)
    if problems:
        raise ToolretError("the requirements are not met: " + "; ".join(problems))


def _learn(index: ToolIndex) -> None:
    """Fit the ranking now, so that no request has to wait for it."""
    from toolret.learning import fit_index
    from toolret.searcher import Searcher

    fit_index(index, Searcher(index.snapshot, index.embedder, kept=index.derived_path))


@contextmanager
def _opened(options: argparse.Namespace, *, create: bool = True) -> Iterator[ToolIndex]:
    from toolret.index import ToolIndex

    with _progress() as progress:
        yield ToolIndex(
            options.index,
            embedder=options.embedder,
            reembed=getattr(options, "reembed", False),
            create=create,
            progress=progress,
        )


@contextmanager
def _progress() -> Iterator[Progress]:
    """Bars on the terminal, made when there is something to show; nothing into a file."""
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    bars = Bars(console=Console(stderr=True), transient=True)
    tasks: dict[str, TaskID] = {}

    def show(kind: str, done: int, total: int) -> None:
        if not bars.console.is_terminal:
            return
        if kind not in tasks:
            bars.start()
            tasks[kind] = bars.add_task(kind, total=total)
        bars.update(tasks[kind], completed=done, total=total)

    try:
        yield show
    finally:
        if tasks:
            bars.stop()


def _print_hits(hits: Sequence[Hit]) -> None:
    for rank, hit in enumerate(hits, start=1):
        evidence = ", ".join(f"{e.signal} {e.contribution:+.1f}" for e in hit.evidence[:4])
        print(f"{rank:3}. {hit.score:6.3f}  {hit.tool.id}  ({evidence})")


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


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ToolretError(f"{path}: cannot be written: {error.strerror}") from error
