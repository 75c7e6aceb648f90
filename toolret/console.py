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
    "check_target",
    "counted",
    "fitted",
    "in_brief",
    "learn",
    "load_catalogs",
    "named_catalog",
    "opened",
    "positive",
    "print_json",
    "progress",
    "seen",
    "write",
]


INDEX_HELP = "a folder, or the URL of an index on a Chroma server"

CATALOG_HELP = (
    "catalogs of tools: files or folders of API documents, MCP tools, function schemas or rows; "
    "NAME=CATALOG sets the namespace of its tools, in place of an API's title or a file's name "
    "(rows that name their own keep it)"
)

_LONGEST_TEXT = 160
"""Characters of a text in a list."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s")

_NAMED = re.compile(r"([\w.-]+)=(.+)")


def add_index_options(
    command: argparse.ArgumentParser, *, required: bool, about: str | None = None
) -> None:
    """Add ``--index``, with this help, and ``--embedder``."""
    command.add_argument("--index", metavar="DIR", required=required, help=about or INDEX_HELP)
    command.add_argument(
        "--embedder",
        metavar="MODEL",
        help="a sentence-transformers name or folder, onnx:NAME or openai:NAME",
    )


def add_paths(
    command: argparse.ArgumentParser, option: str, about: str, *, required: bool = False
) -> None:
    """Add an option for files and folders, which adds to the first if it is given again."""
    command.add_argument(
        option,
        nargs="+",
        action="extend",
        metavar="PATH",
        type=Path,
        default=[],
        required=required,
        help=about,
    )


def add_allow(command: argparse.ArgumentParser) -> None:
    """Add ``--allow``: None if it is not given, which allows all tools."""
    command.add_argument(
        "--allow",
        nargs="*",
        action="extend",
        metavar="PERMISSION",
        help="show what a caller with these permissions gets; with none, one who holds none "
        "(default: all tools may be used)",
    )


def add_json(command: argparse.ArgumentParser) -> None:
    """Add ``--json``, a flag."""
    command.add_argument("--json", action="store_true", help="print JSON")


def positive(text: str) -> int:
    """Parse an argument that is a whole number of 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is less than 1")
    return number


def counted(number: int, noun: str) -> str:
    """Put a number before a noun: ``1 tool``, ``2 tools``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def in_brief(text: str) -> str:
    """Return a text's first sentence, in one line, shortened."""
    sentence = _SENTENCE_END.split(text.strip(), maxsplit=1)[0]
    line = " ".join(sentence.split())
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}..."


def fitted(line: str, stream: TextIO) -> str:
    """Make a line safe for a terminal and cut it to its width; leave it as it is for a file."""
    if not stream.isatty():
        return line
    safe, width = seen(line, stream), shutil.get_terminal_size().columns
    return safe if len(safe) <= width else f"{safe[: max(1, width - 3)]}..."


def load_catalogs(given: Sequence[Path]) -> Catalog:
    """Load the tools of ``CATALOG`` and ``NAME=CATALOG`` arguments; NAME is their ``namespace``.

    Raises:
        CatalogError: If something cannot be used, or two different tools share an id.
    """
    from toolret.catalogs import load_with_namespaces

    named = [named_catalog(each) for each in given]
    for _, path in named:
        if path.suffix == ".py" and path.is_file():
            raise CatalogError(
                "functions are not read from files, for that would run them: give the functions "
                "to load_tools(...) in Python, as docs/catalogs.md shows",
                file=path,
            )
    return load_with_namespaces(named)


def named_catalog(given: Path) -> tuple[str | None, Path]:
    """Split an argument into namespace and path; an existing path is taken whole."""
    named = _NAMED.fullmatch(str(given))
    if named is None or given.exists():
        return None, given
    # A shell expands a tilde at the start of a word only.
    return named[1], Path(os.path.expanduser(named[2]))  # noqa: PTH111 - leaves an unknown user's


def learn(index: ToolIndex) -> None:
    """Fit the ranking now, so that no request has to wait for it."""
    from toolret.ranking.comparer import Comparer
    from toolret.ranking.learning import fit_index
    from toolret.stores.derived import derived_path

    fit_index(index, Comparer(index.snapshot, index.embedder, kept=derived_path(index.store)))


@contextmanager
def opened(options: argparse.Namespace, *, create: bool = True) -> Iterator[ToolIndex]:
    """Open the index that the options name, with progress on the terminal."""
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
    """Show bars on a terminal once there is something to show; write nothing to a file."""
    made: list[Bars] = []
    tasks: dict[str, TaskID] = {}

    def show(kind: str, done: int, total: int) -> None:
        if not made:
            made.append(_bars())
        (bars,) = made
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
            made[0].stop()


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True), transient=True)


def check_target(path: Path) -> None:
    """Check that a file can be written, before the work for it is done; nothing is written.

    Raises:
        ToolretError: If it cannot be written, as far as can be told.
    """
    there = path if path.exists() else path.parent
    problem = None
    if path.is_dir():
        problem = "is a folder"
    elif not path.parent.is_dir():
        problem = f"there is no folder {str(path.parent)!r}"
    elif not os.access(there, os.W_OK):
        problem = "not permitted"
    if problem:
        raise ToolretError(f"{path}: cannot be written: {problem}")


def write(path: Path, text: str) -> None:
    """Write a file that the user asked for.

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
        is_plain = seen(text, sys.stdout) == text
    except UnicodeEncodeError:
        is_plain = False
    print(text if is_plain else json.dumps(value, indent=2))


def seen(text: str, stream: TextIO) -> str:
    """Make a catalog's text safe for a terminal; leave it as it is for a file."""
    if not stream.isatty():
        return text
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))
