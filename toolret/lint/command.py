"""``toolret lint``: print findings as a table or as JSON, with an exit code for CI."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence

from toolret.console import CATALOG_HELP, add_json, count_of, load_catalogs, named_path
from toolret.errors import ToolretError
from toolret.lint.findings import CHECKS, LEVELS, Finding
from toolret.text.visible import visible

__all__ = ["add_lint"]

_FILE_WIDTH = 100
"""Columns of output that does not go to a terminal."""

_MIN_WIDTH = 20
"""The fewest columns that lines are wrapped to, however narrow the terminal is."""


def add_lint(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``lint`` to the command line's subcommands."""
    lint = commands.add_parser(
        "lint",
        help="why retrieval will suffer from a catalog",
        description="Tell what in a catalog will hurt retrieval or may do harm, and what to do "
        "about it. docs/lint.md explains each check.",
    )
    lint.add_argument("catalogs", nargs="+", metavar="CATALOG", type=named_path, help=CATALOG_HELP)
    add_json(lint)
    lint.add_argument(
        "--fail-on",
        choices=["error", "warning", "note", "never"],
        default="error",
        help="exit code 1 if something as grave is found (default: error)",
    )
    lint.add_argument(
        "--ignore",
        nargs="+",
        action="extend",
        type=_checks,
        default=[],
        metavar="CHECK",
        help="checks that are left out, separated by spaces or commas",
    )
    lint.set_defaults(command=_lint)


def _checks(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _lint(options: argparse.Namespace) -> None:
    from toolret.lint.checks import lint

    ignored = [check for checks in options.ignore for check in checks]
    if unknown := [check for check in ignored if check not in CHECKS]:
        raise ToolretError(f"there is no check {unknown[0]!r}; there are {', '.join(CHECKS)}")
    tools = load_catalogs(options.catalogs)
    findings = [finding for finding in lint(tools) if finding.check not in ignored]
    if options.json:
        origins = {tool.id: tool.origin for tool in tools}
        rows = [
            finding.to_json() | {"origins": [origins[id_] for id_ in finding.tools]}
            for finding in findings
        ]
        counts = dict(Counter(finding.check for finding in findings))
        report = {"tools": len(tools), "counts": counts, "findings": rows}
        print(json.dumps(report, ensure_ascii=True, indent=2))
    else:
        _print_findings(findings, len(tools))
    if options.fail_on == "never":
        return
    grave = LEVELS[: LEVELS.index(options.fail_on) + 1]
    if count := sum(finding.level in grave for finding in findings):
        raise ToolretError(
            f"{count_of(count, 'finding')} of level {' or '.join(grave)}; see docs/lint.md"
        )


def _print_findings(findings: Sequence[Finding], tools: int) -> None:
    """Print where each finding is and what it is, then how often each check found something.

    Lines are wrapped to the terminal's width.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _FILE_WIDTH
    for finding in findings:
        more = f" (+{len(finding.tools) - 1})" if len(finding.tools) > 1 else ""
        place = f"  {finding.place}" if finding.place else ""
        head = f"{finding.level:7}  {finding.check}  {finding.tools[0]}{more}{place}"
        _print_wrapped(head, width, first="", rest="    ")
        _print_wrapped(finding.problem, width, first="    ", rest="    ")
    if findings:
        print()
    counts = Counter(finding.check for finding in findings)
    for check, known in CHECKS.items():
        if counts[check]:
            line = f"{counts[check]:6} {check}: {known.advice}"
            _print_wrapped(line, width, first="", rest=" " * 7)
    print(f"{count_of(len(findings), 'finding')} in {count_of(tools, 'tool')}")


def _print_wrapped(text: str, width: int, *, first: str, rest: str) -> None:
    wrapped = textwrap.wrap(
        visible(text),
        max(width, _MIN_WIDTH),
        initial_indent=first,
        subsequent_indent=rest,
        drop_whitespace=True,
        replace_whitespace=False,
        break_on_hyphens=False,
    )
    print("\n".join(wrapped))
