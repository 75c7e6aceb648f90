"""The command line: ``toolret index``, ``list``, ``search``, ``plan``, ``eval`` and ``lint``."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from toolret.commands.asking import add_plan, add_search
from toolret.commands.indexing import add_index
from toolret.commands.listing import add_list
from toolret.console import seen
from toolret.errors import ToolretError
from toolret.evaluation.command import add_eval
from toolret.lint.command import add_lint

__all__ = ["main"]

_OK, _FAILED, _INTERRUPTED, _UNREAD = 0, 1, 130, 141
"""Exit codes; 2 is argparse's, for a command line that cannot be read. The last two are what shells
report of programs that SIGINT and SIGPIPE end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed by whoever started this
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal may lack characters.
            # Each line at once, so that a full disk is noticed before anything is told of the line.
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    options = _read(arguments)
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


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; words that are left over are most likely a request's."""
    parser = _parser()
    options, left = parser.parse_known_args(arguments)
    if left:
        about = f"unrecognized arguments: {' '.join(left)}"
        if "text" in options and not left[0].startswith("-"):
            about += " (put a request of several words in quotes)"
        parser.error(about)
    return options


def _parser() -> argparse.ArgumentParser:
    from toolret import __version__

    parser = argparse.ArgumentParser(
        prog="toolret", description="The right few tools and worked examples for an LLM agent."
    )
    parser.add_argument("--version", action="version", version=f"toolret {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    for add in (add_index, add_list, add_search, add_plan, add_eval, add_lint):
        add(commands)
    return parser
