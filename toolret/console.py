"""Helpers shared by the command line's commands."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from toolret.errors import CatalogError, ToolretError
from toolret.text.visible import visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from toolret.catalogs import Catalog
    from toolret.index import Progress, ToolIndex

__all__ = [
    "CATALOG_HELP",
    "INDEX_HELP",
    "add_allow",
    "add_index_options",
    "add_json",
    "add_paths",
    "check_writable",
    "count_of",
    "fit_line",
    "fit_ranking",
    "load_catalogs",
    "named_path",
    "open_index",
    "positive",
    "print_json",
    "progress",
    "split_namespace",
    "summary_line",
    "terminal_safe",
    "write_file",
]

INDEX_HELP = "a folder, or the URL of an index on a Chroma server"
"""Help text of ``--index``."""

CATALOG_HELP = (
    "catalogs of tools: files or folders of API documents, MCP tools, function schemas or rows; "
    "NAME=CATALOG sets the namespace of its tools, in place of an API's title or a file's name "
    "(rows that name their own keep it)"
)
"""Help text of arguments that name tool catalogs."""

_LONGEST_SUMMARY = 160
"""The most characters of a text's first sentence that a list shows."""

_AFTER_SENTENCE = re.compile(r"(?<=[.!?])\s")
"""The white space after a sentence."""

_NAMED_CATALOG = re.compile(r"([\w.-]+)=(.+)")
"""An argument of the form ``NAME=CATALOG``."""


def add_index_options(
    command: argparse.ArgumentParser, *, required: bool, about: str | None = None
) -> None:
    """Add the options ``--index`` and ``--embedder``; ``about`` is the help of the first."""
    command.add_argument("--index", metavar="DIR", required=required, help=about or INDEX_HELP)
    command.add_argument(
        "--embedder",
        metavar="MODEL",
        help="a sentence-transformers name or folder, onnx:NAME or openai:NAME",
    )


def add_paths(
    command: argparse.ArgumentParser, option: str, about: str, *, required: bool = False
) -> None:
    """Add an option that takes files and folders; if it is repeated, all its values count."""
    command.add_argument(
        option,
        nargs="+",
        action="extend",
        metavar="PATH",
        type=named_path,
        default=[],
        required=required,
        help=about,
    )


def add_allow(command: argparse.ArgumentParser) -> None:
    """Add the option ``--allow``; its default is None, which allows all tools."""
    command.add_argument(
        "--allow",
        nargs="*",
        action="extend",
        metavar="PERMISSION",
        help="show what a caller with these permissions gets; with none, one who holds none "
        "(default: all tools may be used)",
    )


def add_json(command: argparse.ArgumentParser) -> None:
    """Add the flag ``--json``."""
    command.add_argument("--json", action="store_true", help="print JSON")


def named_path(text: str) -> Path:
    """Parse an argument that is a path; an empty one, as of an unset variable, is an error."""
    if not text:  # ``Path`` would take it for the current folder
        raise argparse.ArgumentTypeError("the path is empty: name it, or '.' for this folder")
    return Path(text)


def positive(text: str) -> int:
    """Parse an argument that is a whole number of 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is less than 1")
    return number


def count_of(number: int, noun: str) -> str:
    """Return a number with a noun, in the plural unless it is 1: ``1 tool``, ``2 tools``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def summary_line(text: str) -> str:
    """Return a text's first sentence, in one line, shortened."""
    sentence = _AFTER_SENTENCE.split(text.strip(), maxsplit=1)[0]
    line = " ".join(sentence.split())
    return line if len(line) <= _LONGEST_SUMMARY else f"{line[:_LONGEST_SUMMARY]}..."


def fit_line(line: str, stream: TextIO) -> str:
    """Return a line made safe for a terminal and cut to its width; unchanged for a file."""
    if not stream.isatty():
        return line
    safe, width = terminal_safe(line, stream), shutil.get_terminal_size().columns
    return safe if len(safe) <= width else f"{safe[: max(1, width - 3)]}..."


def load_catalogs(arguments: Sequence[Path]) -> Catalog:
    """Load the tools of ``CATALOG`` and ``NAME=CATALOG`` arguments; NAME is their ``namespace``.

    Raises:
        CatalogError: If something cannot be used, or two different tools share an id.
    """
    from toolret.catalogs import load_with_namespaces

    catalogs = [split_namespace(argument) for argument in arguments]
    for _, path in catalogs:
        if path.suffix == ".py" and path.is_file():
            raise CatalogError(
                "functions are not read from files, for that would run them: give the functions "
                "to load_tools(...) in Python, as docs/catalogs.md shows",
                file=path,
            )
    return load_with_namespaces(catalogs)


def split_namespace(argument: Path) -> tuple[str | None, Path]:
    """Split a ``NAME=CATALOG`` argument; an existing path, and any other, has no namespace."""
    named = _NAMED_CATALOG.fullmatch(str(argument))
    if named is None or argument.exists():
        return None, argument
    # A shell expands a tilde at the start of a word only.
    return named[1], Path(os.path.expanduser(named[2]))  # noqa: PTH111 - leaves an unknown user's


def fit_ranking(index: ToolIndex) -> None:
    """Fit the ranking now, so that no request has to wait for it."""
    from toolret.ranking.comparer import Comparer
    from toolret.ranking.learning import fit_index
    from toolret.stores.derived import derived_path

    fit_index(index, Comparer(index.snapshot, index.embedder, kept=derived_path(index.store)))


@contextmanager
def open_index(options: argparse.Namespace, *, create: bool = True) -> Iterator[ToolIndex]:
    """Open the index that the options name; its progress is shown on the terminal."""
    from toolret.index import ToolIndex

    with progress() as show:
        yield ToolIndex(
            options.index,
            embedder=options.embedder,
            reembed=getattr(options, "reembed", False),
            create=create,
            progress=show,
        )


@contextmanager
def progress() -> Iterator[Progress]:
    """Show progress bars on a terminal once there is progress; write nothing to a file."""
    created: list[Bars] = []  # at most one, made at the first progress
    tasks: dict[str, TaskID] = {}

    def show(kind: str, done: int, total: int) -> None:
        if not created:
            created.append(_bars())
        (bars,) = created
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
            created[0].stop()


def _bars() -> Bars:
    """Return progress bars on standard error, which vanish when they are done."""
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True), transient=True)


def check_writable(path: Path) -> None:
    """Check that a file can be written, before the work for it is done; nothing is written.

    Raises:
        ToolretError: If it cannot be written, as far as can be told.
    """
    target = path if path.exists() else path.parent
    problem = None
    if path.is_dir():
        problem = "is a folder"
    elif not path.parent.is_dir():
        problem = f"there is no folder {str(path.parent)!r}"
    elif not os.access(target, os.W_OK):
        problem = "not permitted"
    if problem:
        raise ToolretError(f"{path}: cannot be written: {problem}")


def write_file(path: Path, text: str) -> None:
    """Write a text to a file that the user named.

    Raises:
        ToolretError: If it cannot be written.
    """
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ToolretError(f"{path}: cannot be written: {error.strerror}") from error


def print_json(value: object) -> None:
    """Print readable JSON; escape it if a character can't be written or controls a terminal."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
        is_plain = terminal_safe(text, sys.stdout) == text
    except UnicodeEncodeError:
        is_plain = False
    print(text if is_plain else json.dumps(value, indent=2))


def terminal_safe(text: str, stream: TextIO) -> str:
    """Return a text that cannot control a terminal; unchanged for a file.

    Texts of catalogs may hold escape sequences.
    """
    if not stream.isatty():
        return text
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))
