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
from toolret.console import terminal_safe
from toolret.errors import ToolretError
from toolret.evaluation.command import add_eval
from toolret.lint.command import add_lint

__all__ = ["main"]

_OK = 0
"""Exit code of a command that succeeded."""

_FAILED = 1
"""Exit code of a command that failed. 2 is argparse's, for a command line that cannot be read."""

_INTERRUPTED = 130
"""Exit code after Ctrl-C: what shells report for a program that SIGINT ended."""

_PIPE_CLOSED = 141
"""Exit code if the reader of the output is gone: what shells report for a program that SIGPIPE
ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    _prepare_streams()
    options = _parse_arguments(arguments)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
        print(end="", flush=True)  # write errors are caught here, not at exit
    except ToolretError as error:
        print(
            f"toolret: {terminal_safe(' '.join(str(error).split()), sys.stderr)}", file=sys.stderr
        )
        return _FAILED
    except OSError as error:
        pipe_closed = isinstance(error, BrokenPipeError)  # as by ``head``, once it has its lines
        if not pipe_closed:
            print(f"toolret: {terminal_safe(str(error), sys.stderr)}", file=sys.stderr)
        with suppress(OSError):  # keeps the rest from being written again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED if pipe_closed else _FAILED
    except KeyboardInterrupt:
        print("toolret: interrupted; what was stored is kept", file=sys.stderr)
        return _INTERRUPTED
    return _OK


def _prepare_streams() -> None:
    """Make the standard streams usable, whoever started this process."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the parent process closed it
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal may lack characters. Lines are written one by one, so that a full disk is
            # noticed before a command reports on a line that it could not write.
            stream.reconfigure(errors="backslashreplace", line_buffering=True)


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; leftover words are most likely a request without quotes."""
    parser = _parser()
    options, left = parser.parse_known_args(arguments)
    if left:
        about = f"unrecognized arguments: {' '.join(left)}"
        if "text" in options and not left[0].startswith("-"):
            about += " (put a request of several words in quotes)"
        parser.error(about)
    return options


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with all commands."""
    from toolret import __version__

    parser = argparse.ArgumentParser(
        prog="toolret", description="The right few tools and worked examples for an LLM agent."
    )
    parser.add_argument("--version", action="version", version=f"toolret {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    for add in (add_index, add_list, add_search, add_plan, add_eval, add_lint):
        add(commands)
    return parser
