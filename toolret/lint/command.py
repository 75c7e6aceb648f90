"""``toolret lint``: print findings as a table or as JSON, with an exit code for CI."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from toolret.console import CATALOG_HELP, counted, load_catalogs
from toolret.errors import ToolretError
from toolret.lint.findings import CHECKS, LEVELS, Finding

__all__ = ["add_lint"]


def add_lint(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line's subcommands."""
    lint = commands.add_parser(
        "lint",
        help="why retrieval will suffer from a catalog",
        description="Tell what in a catalog will hurt retrieval or may do harm, and what to do "
        "about it. docs/lint.md explains each check.",
    )
    lint.add_argument("catalogs", nargs="+", metavar="CATALOG", type=Path, help=CATALOG_HELP)
    lint.add_argument("--json", action="store_true", help="print JSON")
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
        rows = [finding.to_json() for finding in findings]
        counts = dict(Counter(finding.check for finding in findings))
        report = {"tools": len(tools), "counts": counts, "findings": rows}
        print(json.dumps(report, ensure_ascii=True, indent=2))
    else:
        _print_table(findings, len(tools))
    if options.fail_on == "never":
        return
    grave = LEVELS[: LEVELS.index(options.fail_on) + 1]
    if count := sum(finding.level in grave for finding in findings):
        raise ToolretError(
            f"{counted(count, 'finding')} of level {' or '.join(grave)}; see docs/lint.md"
        )


def _print_table(findings: Sequence[Finding], tools: int) -> None:
    from toolret.text.visible import visible

    rows = [("level", "check", "tool", "place", "problem")]
    for finding in findings:
        more = f" (+{len(finding.tools) - 1})" if len(finding.tools) > 1 else ""
        tool = f"{finding.tools[0]}{more}"
        rows.append((finding.level, finding.check, tool, finding.place, finding.problem))
    if findings:
        shown = [tuple(map(visible, row)) for row in rows]
        widths = [max(len(row[column]) for row in shown) for column in range(4)]
        for row in shown:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            print("  ".join([*cells, row[-1]]).rstrip())
        print()
    counts = Counter(finding.check for finding in findings)
    for check, known in CHECKS.items():
        if counts[check]:
            print(f"{counts[check]:6} {check}: {known.advice}")
    print(f"{counted(len(findings), 'finding')} in {counted(tools, 'tool')}")
