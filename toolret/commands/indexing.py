"""``toolret index``: read catalogs and demonstrations into an index."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from toolret.console import (
    CATALOG_HELP,
    add_index_options,
    add_json,
    add_paths,
    fit_ranking,
    load_catalogs,
    named_path,
    open_index,
    print_json,
    terminal_safe,
)
from toolret.errors import InputError
from toolret.text.nearest import first_ids

if TYPE_CHECKING:
    from toolret.index import SyncReport
    from toolret.index.shelves import Item, ItemForm
    from toolret.stores.records import Kind
    from toolret.types import Call, Demo, Tool

__all__ = ["add_index"]


def add_index(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``index`` to the command line's subcommands."""
    index = commands.add_parser(
        "index",
        help="read catalogs and demonstrations into an index",
        description="Make an index hold the tools of these catalogs, and no others, and the "
        "demonstrations if any are given. Only what changed is embedded.",
    )
    index.add_argument("catalogs", nargs="+", metavar="CATALOG", type=named_path, help=CATALOG_HELP)
    add_paths(index, "--demos", "files or folders of demonstrations")
    index.add_argument(
        "--add",
        action="store_true",
        help="add these tools and demonstrations or replace those with the same ids; remove none",
    )
    index.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would change; embed and write nothing",
    )
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
    add_index_options(index, required=True)
    add_json(index)
    index.set_defaults(command=_index)


def _index(options: argparse.Namespace) -> None:
    # All input is read before anything is written: bad input leaves the index as it was.
    from toolret.rows import load_demos

    tools = load_catalogs(options.catalogs)
    demos = load_demos(*options.demos) if options.demos else None
    if options.forget_recorded and options.add:
        raise InputError("--add removes nothing: leave --forget-recorded out")
    if options.forget_recorded and demos is None:
        raise InputError("--forget-recorded needs --demos, which are the demonstrations that stay")
    if options.dry_run:
        reports, stale_lines = _planned_changes(options, tools, demos)
    else:
        with open_index(options) as index:
            if options.add:
                reports = index.add(tools, demos)
            else:
                reports = index.sync(tools, demos, keep_recorded=not options.forget_recorded)
            fit_ranking(index)
            stale_lines = _stale_demo_lines(index.demos, index.get_tool)
    for line in (*(f"found {source}" for source in tools.found), *stale_lines):
        print(terminal_safe(line, sys.stderr), file=sys.stderr)
    if options.json:
        print_json({kind: asdict(report) for kind, report in reports.items()})
        return
    for line in _report_lines(reports, dry_run=options.dry_run):
        print(terminal_safe(line, sys.stdout))


def _report_lines(reports: Mapping[Kind, SyncReport], *, dry_run: bool) -> Iterator[str]:
    """Yield lines on what changed, with the ids of removed items; in a dry run with all ids."""
    for kind, report in reports.items():
        about = "dry run, nothing is changed" if dry_run else f"{report.embedded} embedded"
        yield (
            f"{kind}: {report.added} added, {report.changed} changed, {report.removed} removed, "
            f"{report.kept} kept ({about})"
        )
        if dry_run:
            for word, ids in (("added", report.added_ids), ("changed", report.changed_ids)):
                if ids:
                    yield f"  {word}: {first_ids(ids)}"
        if report.removed_ids:
            yield f"  removed: {first_ids(report.removed_ids)}; with --add nothing is removed"


def _planned_changes(
    options: argparse.Namespace, tools: Sequence[Tool], demos: Sequence[Demo] | None
) -> tuple[dict[Kind, SyncReport], list[str]]:
    """Return what an index would change, and the lines about demonstrations that would be stale.

    No model is loaded, and nothing is written.

    Raises:
        DemoError: If a demonstration uses a tool that the index would not hold.
        StoreError: If the index cannot be read.
    """
    from toolret.index.shelves import DEMOS, TOOLS
    from toolret.index.syncing import report_changes
    from toolret.index.tool_index import checked_demos
    from toolret.stores import store_at
    from toolret.stores.locks import LOCK_SECONDS
    from toolret.types import RECORDED

    store = store_at(options.index, lock_timeout=LOCK_SECONDS)
    stored = store.load() if store.exists() else None

    def stored_items(form: ItemForm[Item]) -> dict[str, Item]:
        records = stored[form.kind].records.values() if stored else ()
        return {record.id: form.load(record.row) for record in records}

    old_tools, old_demos = stored_items(TOOLS), stored_items(DEMOS)
    kept_tools = old_tools if options.add else {}
    new_tools = kept_tools | {tool.id: tool for tool in tools}
    reports: dict[Kind, SyncReport] = {"tools": report_changes(old_tools, new_tools)}
    new_demos = old_demos
    if demos is not None:
        kept_demos = {
            id_: demo
            for id_, demo in old_demos.items()
            if options.add or (id_.startswith(RECORDED) and not options.forget_recorded)
        }
        new_demos = kept_demos | {demo.id: demo for demo in checked_demos(demos, new_tools)}
        reports["demos"] = report_changes(old_demos, new_demos)
    return reports, _stale_demo_lines(new_demos.values(), new_tools.get)


def _stale_demo_lines(demos: Iterable[Demo], find_tool: Callable[[str], Tool | None]) -> list[str]:
    """Return lines about demonstrations that do not fit the tools as they are; none if all do."""
    tools: dict[str, Tool | None] = {}
    gone: list[set[str]] = []  # of each demonstration, the tools that are gone
    misused: list[set[str]] = []  # of each demonstration, the tools that it calls wrongly
    for demo in demos:
        tools |= {id_: find_tool(id_) for id_ in demo.tools if id_ not in tools}
        gone.append({id_ for id_ in demo.tools if tools[id_] is None})
        misused.append(
            {
                call.tool
                for call in demo.calls
                if (tool := tools[call.tool]) and _misfits(call, tool)
            }
        )
    return [
        *_stale_line(gone, "uses a tool that is gone", "use tools that are gone"),
        *_stale_line(
            misused,
            "calls a tool by arguments that do not fit",
            "call tools by arguments that do not fit",
        ),
    ]


def _stale_line(tools_of_demos: Sequence[set[str]], one: str, many: str) -> Iterator[str]:
    """Yield a line about the demonstrations that have such tools, if there are any.

    Args:
        tools_of_demos: Ids of the tools that make each demonstration stale.
        one: The problem, as said of one demonstration.
        many: The problem, as said of several.
    """
    if stale := sum(map(bool, tools_of_demos)):
        who = f"1 demonstration {one}" if stale == 1 else f"{stale} demonstrations {many}"
        yield f"{who} ({first_ids(sorted(set().union(*tools_of_demos)))})"


def _misfits(call: Call, tool: Tool) -> bool:
    """Whether a call has an argument that its tool lacks, or lacks one that the tool requires."""
    from toolret.schemas.accepted import accepted_form
    from toolret.schemas.subschemas import mapping

    schema = accepted_form(tool.parameters)
    known = schema["properties"]
    if not known or schema.get("additionalProperties") or "patternProperties" in schema:
        return False  # the schema does not list all arguments
    required = {
        name for name in schema.get("required", ()) if "default" not in mapping(known.get(name))
    }
    return not required <= call.arguments.keys() <= known.keys()
