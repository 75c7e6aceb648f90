"""``toolret list``: print the tools or the demonstrations of an index."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolret.console import (
    INDEX_HELP,
    add_allow,
    add_json,
    count_of,
    fit_line,
    print_json,
    summary_line,
)

if TYPE_CHECKING:
    from toolret.stores.records import Contents, Kind
    from toolret.types import Demo, Tool

__all__ = ["add_list"]

_WIDEST = 50
"""The most characters that the column of ids is wide; longer ids stick out."""


def add_list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``list`` to the command line's subcommands."""
    listing = commands.add_parser(
        "list",
        help="what an index holds",
        description="List the tools of an index, or its demonstrations. --json prints whole rows, "
        "with parameters, permissions and tags, or with calls, results and answers.",
    )
    listing.add_argument("--index", metavar="DIR", required=True, help=INDEX_HELP)
    listing.add_argument(
        "--demos", action="store_true", help="the demonstrations in place of the tools"
    )
    add_allow(listing)
    add_json(listing)
    listing.set_defaults(command=_list)


def _list(options: argparse.Namespace) -> None:
    # The store is read directly: opening an index would require the embedder that made it.
    from toolret.files.plain_rows import demo_to_row, tool_to_row
    from toolret.stores import absent, store_at
    from toolret.stores.locks import LOCK_SECONDS

    store = store_at(options.index, lock_timeout=LOCK_SECONDS)
    if not store.exists():
        raise absent(store)
    contents = store.load()
    rows: list[dict[str, Any]]
    if options.demos:
        demos = _visible_demos(contents, options.allow)
        rows = [demo_to_row(demo) for demo in demos]
        summaries = [(demo.id, _demo_summary(demo)) for demo in demos]
    else:
        tools = _usable_tools(contents, options.allow)
        rows = [tool_to_row(tool) for tool in tools]
        summaries = [(tool.id, summary_line(tool.description)) for tool in tools]
    if options.json:
        print_json(rows)
        return
    width = min(max((len(id_) for id_, _ in summaries), default=0), _WIDEST)
    for id_, text in summaries:
        print(fit_line(f"{id_:{width}}  {text}".rstrip(), sys.stdout))
    print(count_of(len(summaries), "demonstration" if options.demos else "tool"), file=sys.stderr)


def _usable_tools(contents: Mapping[Kind, Contents], allow: Sequence[str] | None) -> list[Tool]:
    """Return the stored tools that a caller with these permissions may use; None allows all."""
    from toolret.index.shelves import TOOLS
    from toolret.permissions import is_allowed

    tools = [TOOLS.load(record.row) for record in contents["tools"].records.values()]
    return [tool for tool in tools if is_allowed(tool, allow)]


def _visible_demos(contents: Mapping[Kind, Contents], allow: Sequence[str] | None) -> list[Demo]:
    """Return the stored demonstrations that such a caller may see, with all the tools they use."""
    from toolret.index.shelves import DEMOS
    from toolret.permissions import may_see

    demos = [DEMOS.load(record.row) for record in contents["demos"].records.values()]
    if allow is None:
        return demos
    usable = {tool.id for tool in _usable_tools(contents, allow)}
    return [demo for demo in demos if may_see(demo, allow) and usable.issuperset(demo.tools)]


def _demo_summary(demo: Demo) -> str:
    """Return a demonstration's request and its tools, in one line."""
    return f"{summary_line(demo.text)}  ({', '.join(demo.tools) or 'no tool'})"
