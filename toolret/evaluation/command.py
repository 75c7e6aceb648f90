"""``toolret eval``: measure retrieval on labelled requests, with or without an LLM."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from toolret.console import (
    CATALOG_HELP,
    add_index_options,
    add_paths,
    check_writable,
    fit_ranking,
    load_catalogs,
    named_path,
    open_index,
    positive,
    progress,
    split_namespace,
    terminal_safe,
    write_file,
)
from toolret.errors import DemoError, InputError, ToolretError
from toolret.text.nearest import first_ids

if TYPE_CHECKING:
    from toolret.evaluation.reports import Requirement
    from toolret.evaluation.runs import Report, RunComparison
    from toolret.index import ToolIndex
    from toolret.llm import ChatModel
    from toolret.queries import StrategyQueryGenerator
    from toolret.types import Demo, Tool

__all__ = ["add_eval"]

_STDOUT = Path("-")
"""The value of ``--json`` that stands for standard output."""


def add_eval(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``eval`` to the command line's subcommands."""
    command = commands.add_parser(
        "eval",
        help="measure retrieval on labelled requests",
        description="Measure retrieval on labelled requests. docs/evaluation.md explains the rows, "
        "the report and these options by example.",
    )
    about = f"{CATALOG_HELP}; without any, the index is measured as it is"
    add_paths(command, "--tools", about)
    about = "files or folders of labelled requests, one JSON object a line"
    add_paths(command, "--queries", about, required=True)
    add_paths(command, "--demos", "files or folders of demonstrations")
    command.add_argument(
        "-k",
        type=positive,
        default=10,
        metavar="N",
        help="how many tools to rank for a request (default: 10)",
    )
    command.add_argument(
        "--keep-all", action="store_true", help="rank tools also where the answer is no tool"
    )
    command.add_argument("--run", type=named_path, metavar="OUT", help="write the TREC run")
    command.add_argument(
        "--json",
        type=named_path,
        metavar="OUT",
        help="write metrics and timings; - prints them in place of the report",
    )
    command.add_argument(
        "--against",
        type=named_path,
        metavar="RUN",
        help="another TREC run to compare with, on the requests for which both have tools",
    )
    command.add_argument(
        "--misses",
        action="store_true",
        help="also show each request whose right tools are not all among the first -k: its text, "
        "the ranks of its tools, and what came first",
    )
    command.add_argument(
        "--require",
        nargs="+",
        action="extend",
        type=_requirement,
        metavar="METRIC=PERCENT",
        default=[],
        help="fail below these percentages, such as C@5=80",
    )
    add_index_options(
        command,
        required=False,
        about="keep the index here; one that holds something else is copied, not changed",
    )
    writing = command.add_argument_group("queries written by an LLM")
    writing.add_argument("--strategy", metavar="S", help="rewrite, refine ...; see docs/queries.md")
    model = writing.add_mutually_exclusive_group()
    model.add_argument(
        "--llm",
        metavar="BASE_URL",
        help="a server that speaks OpenAI's protocol; the key is in OPENAI_API_KEY",
    )
    model.add_argument(
        "--replay", type=named_path, metavar="FILE", help="a recording, and no server"
    )
    writing.add_argument("--model", metavar="NAME", help="the model to ask")
    writing.add_argument(
        "--record",
        type=named_path,
        metavar="FILE",
        help="write the replies, to be replayed; what is in the file already is not asked again",
    )
    writing.add_argument(
        "--deadline",
        type=positive,
        default=60,
        metavar="SECONDS",
        help="for a request's queries (default: 60)",
    )
    command.set_defaults(command=_eval)


def _requirement(text: str) -> Requirement:
    from toolret.evaluation.reports import parse_requirement

    try:
        return parse_requirement(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _eval(options: argparse.Namespace) -> None:
    from toolret.evaluation.reports import unmet_requirements
    from toolret.evaluation.runs import check_requests, evaluate
    from toolret.retrieval.retriever import ToolRetriever
    from toolret.rows import load_demos, load_requests

    _check_inputs(options)
    _check_targets(options)
    _check_depths(options.require, options.k)
    tools = load_catalogs(options.tools)
    demos = load_demos(*options.demos)
    requests = load_requests(*options.queries)
    check_requests(requests)
    generator = _generator(options)
    gold = {request.id: request.tools for request in requests}
    _check_labels(options.require, gold)
    other_run = _read_other_run(options.against, gold) if options.against else None
    with tempfile.TemporaryDirectory() as scratch:
        index = _index_to_measure(options, tools, demos, Path(scratch))
        fit_ranking(index)
        if other_run:
            _warn_of_missing_tools(options.against, other_run, index, gold)
        measured_tools = index.snapshot.tools.keys
        with progress() as show:
            report = evaluate(
                ToolRetriever(index, llm=generator),
                requests,
                k=options.k,
                keep_all=options.keep_all,
                misses=options.misses,
                progress=show,
            )
    _write_report(options, report, report.against(gold, other_run) if other_run else None)
    _check_llm(report)
    if index.snapshot.tools.keys != measured_tools:  # retrievers follow what other processes sync
        raise ToolretError(
            f"{options.index}: its tools changed while it was measured, so these are figures of no "
            "one index: measure again, or a copy of it"
        )
    if problems := unmet_requirements(report, options.require):
        raise ToolretError("the requirements are not met: " + "; ".join(problems))


def _write_report(
    options: argparse.Namespace, report: Report, against: RunComparison | None
) -> None:
    """Write the files that the options name, and print the report, whether or not that succeeds.

    Raises:
        ToolretError: If a file cannot be written.
    """
    from toolret.evaluation.misses import miss_lines
    from toolret.evaluation.reports import report_lines
    from toolret.evaluation.trec import trec_lines

    required = [requirement.metric for requirement in options.require]
    lines = [*report_lines(report, more=required, against=against)]
    report_json = report.to_json()
    if against:
        report_json["against"] = against.to_json()
    if options.misses:
        lines += miss_lines(report.misses, k=options.k, requests=report.counts["requests"])
        report_json["misses"] = [miss.to_json() for miss in report.misses]
    output = terminal_safe("\n".join(lines), sys.stdout)
    figures = json.dumps(report_json, indent=2)
    try:  # write before printing: the reader may close the pipe early
        if options.run:
            write_file(options.run, "".join(f"{line}\n" for line in trec_lines(report.runs)))
        if options.json == _STDOUT:
            output = figures
        elif options.json:
            write_file(options.json, f"{figures}\n")
    finally:
        print(output)


def _check_llm(report: Report) -> None:
    """Raise a ``ToolretError`` if queries of an LLM were to be measured, and it wrote none."""
    from toolret.evaluation.reports import commonest_failure

    if report.llm and report.llm["failed"] == report.counts["requests"]:
        raise ToolretError(
            "the LLM failed for every request, so these are no figures of its queries: "
            + commonest_failure(report.llm)
        )


def _check_inputs(options: argparse.Namespace) -> None:
    if not (options.tools or options.index):
        raise InputError("nothing to measure: give --tools, or --index with an index")
    if options.demos and not options.tools:
        raise InputError("--demos goes with --tools: without them, an index is measured as it is")


def _check_targets(options: argparse.Namespace) -> None:
    """Raise if an output file cannot be written, is named twice, or is a file that is read."""
    json_file = None if options.json == _STDOUT else options.json
    output_files = {"--run": options.run, "--json": json_file, "--record": options.record}
    targets = {option: path for option, path in output_files.items() if path}
    read = {os.path.realpath(file) for file in _read_files(options)} if targets else set()
    for option, path in targets.items():
        if os.path.realpath(path) in read:
            raise InputError(f"{path}: is read by this run, and {option} would overwrite it")
        check_writable(path)
    if len({os.path.realpath(path) for path in targets.values()}) < len(targets):
        raise InputError("--run, --json and --record name one file: give each its own")


def _read_files(options: argparse.Namespace) -> Iterator[Path]:
    """Yield the files that the command reads."""
    from toolret.catalogs.inputs import catalog_files
    from toolret.files.folders import INDEX_DATABASE, files_of

    if options.index:
        yield Path(options.index, INDEX_DATABASE)
    for argument in options.tools:
        yield from (file for file, _ in catalog_files(split_namespace(argument)[1]))
    for path in (*options.queries, *options.demos):
        yield from (file for file, _ in files_of(path, {".jsonl"}, error=DemoError))
    yield from filter(None, (options.replay, options.against))


def _check_depths(requirements: Sequence[Requirement], k: int) -> None:
    """Raise if a required metric looks at more tools than are ranked."""
    for requirement in requirements:
        if requirement.depth > k:
            raise InputError(
                f"--require {requirement.metric} looks at {requirement.depth} tools, and -k {k} "
                f"ranks only {k}: give a greater -k"
            )


def _check_labels(requirements: Sequence[Requirement], gold: Mapping[str, Sequence[str]]) -> None:
    """Raise if a required metric cannot be computed from these labels."""
    for requirement in requirements:
        metric = requirement.metric
        if not any(gold.values()):
            raise InputError(f"--require {metric} needs requests that have a right tool")
        if metric == "AUROC" and all(gold.values()):
            raise InputError("--require AUROC needs requests that have no right tool, too")


def _read_other_run(path: Path, gold: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Read the run to compare with: ids of ranked tools by request id.

    Raises:
        ToolretError: If it cannot be read, or has tools for none of the requests that need some.
    """
    from toolret.evaluation.trec import read_trec

    ranked = read_trec(path)
    if not any(tools and ranked.get(id_) for id_, tools in gold.items()):
        raise ToolretError(
            f"{path}: the run has tools for none of the requests of --queries that have a right "
            "tool, so there is nothing to compare"
        )
    return ranked


def _warn_of_missing_tools(
    path: Path, ranked: Mapping[str, Sequence[str]], index: ToolIndex, gold: Mapping[str, object]
) -> None:
    """Print which tools the other run ranks and the index lacks: they may have been renamed."""
    gone = sorted({tool for id_ in gold for tool in ranked.get(id_, ()) if tool not in index})
    if gone:
        print(
            f"{path}: ranks tools that are gone, which count as wrong there although they may "
            f"only have been renamed: {terminal_safe(first_ids(gone), sys.stderr)}",
            file=sys.stderr,
        )


def _index_to_measure(
    options: argparse.Namespace, tools: Sequence[Tool], demos: Sequence[Demo], scratch: Path
) -> ToolIndex:
    """Return an index of exactly these items; without tools, the existing index as it is.

    An index with other content stays as it is: a copy of it, which has most vectors already, is
    made to hold the items.

    Raises:
        ToolretError: If an index cannot be read or made.
    """
    if not options.tools:
        with open_index(options, create=False) as index:
            return index
    options.index = options.index or scratch / "index"
    with open_index(options) as index:
        if _same_items(tools, index) and _same_items(demos, index.demos):
            return index
        if len(index) or index.demos:
            if not Path(options.index).is_dir():
                raise InputError(
                    f"{options.index}: holds something other than --tools and --demos give, and an "
                    "index on a server is not copied: leave --tools and --demos out to measure it "
                    "as it is, or name a folder"
                )
            print(
                f"{options.index}: holds something else and stays so; a copy is measured",
                file=sys.stderr,
            )
            options.index = _copy_index(Path(options.index), scratch / "copy")
    with open_index(options) as index:
        index.sync(tools, demos, keep_recorded=False)
        return index


def _copy_index(index: Path, to: Path) -> Path:
    """Copy an index, and return the copy; writers wait if this process may lock the index."""
    from toolret.stores.folder import LOCK
    from toolret.stores.locks import LOCK_SECONDS, file_lock

    # Readers create and remove these files at any time, and a measurement needs none of them.
    transient = shutil.ignore_patterns("*.tmp", "replies.*")
    may_lock = os.access(index, os.W_OK)
    with file_lock(index, LOCK, seconds=LOCK_SECONDS) if may_lock else nullcontext():
        return shutil.copytree(index, to, ignore=transient)


def _same_items(wanted: Iterable[Tool | Demo], held: Iterable[Tool | Demo]) -> bool:
    return {item.id: item for item in wanted} == {item.id: item for item in held}


def _generator(options: argparse.Namespace) -> StrategyQueryGenerator:
    from toolret.queries import StrategyQueryGenerator
    from toolret.queries.strategies import as_strategy

    model = _model(options)
    strategy = as_strategy(options.strategy or ("rewrite" if model else "clauses"))
    if strategy.needs_llm and model is None:
        raise InputError(f"the strategy {strategy.name!r} needs an LLM: name it with --llm")
    return StrategyQueryGenerator(strategy, model, deadline=options.deadline)


def _model(options: argparse.Namespace) -> ChatModel | None:
    """Return the model: on a server, recorded if requested, or a replayed recording."""
    from toolret.llm import RecordingModel, ReplayModel, RetryPolicy, as_chat_model

    if options.replay:
        if options.record or options.model:
            raise InputError("--replay asks no model: leave --model and --record out")
        return ReplayModel(options.replay)
    if not options.llm:
        if options.model or options.record:
            raise InputError("--model and --record are of a server: name it with --llm BASE_URL")
        return None
    if not options.model:
        raise InputError("--llm names a server, which serves many models: name one with --model")
    from openai import OpenAI

    # A self-hosted server needs no key, but the client requires one.
    client = OpenAI(base_url=options.llm, api_key=os.environ.get("OPENAI_API_KEY") or "none")
    # Leaving a failing model alone for a while would leave the next requests without its queries.
    model = as_chat_model(
        client, options.model, retry_policy=RetryPolicy(failure_threshold=sys.maxsize)
    )
    return RecordingModel(model, options.record) if options.record else model
