"""``toolret index``: read catalogs and demonstrations into an index."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from toolret.console import (
    CATALOG_HELP,
    add_index_options,
    add_json,
    add_paths,
    learn,
    load_catalogs,
    opened,
    print_json,
    seen,
)
from toolret.errors import InputError

if TYPE_CHECKING:
    from toolret.index import SyncReport, ToolIndex
    from toolret.index.shelves import Item, ItemForm
    from toolret.stores.records import Kind
    from toolret.types import Demo, Tool

__all__ = ["add_index"]

_NAMED = 5
"""How many ids to name of those that a line is about."""


def add_index(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line's subcommands."""
    index = commands.add_parser(
        "index",
        help="read catalogs and demonstrations into an index",
        description="Make an index hold the tools of these catalogs, and no others, and the "
        "demonstrations if any are given. Only what changed is embedded.",
    )
    index.add_argument("catalogs", nargs="+", metavar="CATALOG", type=Path, help=CATALOG_HELP)
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
    dead: list[str] = []
    if options.dry_run:
        reports = _planned(options, tools, demos)
    else:
        with opened(options) as index:
            if options.add:
                reports = index.add(tools, demos)
            else:
                reports = index.sync(tools, demos, keep_recorded=not options.forget_recorded)
            learn(index)
            dead = _dead_demos(index)
    for line in (*(f"found {found}" for found in tools.found), *dead):
        print(seen(line, sys.stderr), file=sys.stderr)
    if options.json:
        print_json({kind: asdict(report) for kind, report in reports.items()})
        return
    for line in _report_lines(reports, dry_run=options.dry_run):
        print(seen(line, sys.stdout))


def _report_lines(reports: Mapping[Kind, SyncReport], *, dry_run: bool) -> Iterator[str]:
    """Yield what changed; ids of what was removed, and in a dry run of all that would change."""
    for kind, report in reports.items():
        about = "dry run, nothing is changed" if dry_run else f"{report.embedded} embedded"
        yield (
            f"{kind}: {report.added} added, {report.changed} changed, {report.removed} removed, "
            f"{report.kept} kept ({about})"
        )
        if dry_run:
            for word, ids in (("added", report.added_ids), ("changed", report.changed_ids)):
                if ids:
                    yield f"  {word}: {_first(ids)}"
        if report.removed_ids:
            yield f"  removed: {_first(report.removed_ids)}; with --add nothing is removed"


def _first(ids: Sequence[str]) -> str:
    more = len(ids) - _NAMED
    return ", ".join(ids[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _planned(
    options: argparse.Namespace, tools: Sequence[Tool], demos: Sequence[Demo] | None
) -> dict[Kind, SyncReport]:
    """Return what would change, without a model and without writing.

    Raises:
        DemoError: If a demonstration uses a tool that the index would not hold.
        StoreError: If the index cannot be read.
    """
    from toolret.index.shelves import DEMOS, TOOLS
    from toolret.index.tool_index import checked_demos
    from toolret.stores import store_at
    from toolret.stores.locks import LOCK_SECONDS
    from toolret.types import RECORDED

    store = store_at(options.index, lock_timeout=LOCK_SECONDS)
    stored = store.load() if store.exists() else None

    def held(form: ItemForm[Item]) -> dict[str, Item]:
        records = stored[form.kind].records.values() if stored else ()
        return {record.id: form.load(record.row) for record in records}

    held_tools, held_demos = held(TOOLS), held(DEMOS)
    stay = list(held_tools) if options.add else []
    reports: dict[Kind, SyncReport] = {"tools": _changes(held_tools, tools, stay)}
    if demos is not None:
        ids = {tool.id for tool in tools}.union(stay)
        stay = [
            id_
            for id_ in held_demos
            if options.add or (id_.startswith(RECORDED) and not options.forget_recorded)
        ]
        reports["demos"] = _changes(held_demos, checked_demos(demos, ids), stay)
    return reports


def _changes(held: Mapping[str, Item], given: Iterable[Item], stay: Iterable[str]) -> SyncReport:
    """Compare what an index holds with what it is given; ``stay`` are ids that are kept anyhow."""
    from toolret.index import SyncReport

    new = {item.id: item for item in given}
    added = sorted(new.keys() - held.keys())
    changed = sorted(id_ for id_, item in new.items() if id_ in held and held[id_] != item)
    removed = sorted(held.keys() - new.keys() - set(stay))
    return SyncReport(
        added=len(added),
        changed=len(changed),
        removed=len(removed),
        kept=len(held) - len(changed) - len(removed),
        added_ids=tuple(added),
        changed_ids=tuple(changed),
        removed_ids=tuple(removed),
    )


def _dead_demos(index: ToolIndex) -> list[str]:
    """Return a line if demonstrations in the index use tools that are gone."""
    gone = [[tool for tool in demo.tools if tool not in index] for demo in index.demos]
    dead = sum(map(bool, gone))
    if not dead:
        return []
    names = sorted({tool for tools in gone for tool in tools})
    listed = ", ".join(names[:_NAMED] + ["..."] * (len(names) > _NAMED))
    who = "1 demonstration uses a tool" if dead == 1 else f"{dead} demonstrations use tools"
    return [f"{who} that {'is' if dead == 1 else 'are'} gone ({listed})"]
