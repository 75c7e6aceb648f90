"""Resolve a path to files: the file itself, or the files of a folder."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterator
from pathlib import Path

from toolret.errors import InputError

__all__ = ["INDEX_DATABASE", "files_of", "real_path"]

INDEX_DATABASE = "index.sqlite3"
"""Name of the file of an index that holds its records and vectors."""


def files_of(
    path: str | Path, suffixes: Collection[str], *, error: type[InputError]
) -> Iterator[tuple[Path, str]]:
    """Yield the files that a path stands for, each with the given folder, or "" for a single file.

    Args:
        path: The path of a file or a folder.
        suffixes: File suffixes to look for in a folder and its subfolders, in any case; files may
            be gzipped (``.gz``). Names that begin with a dot are skipped, and so are indexes that
            are kept in the folder.
        error: The exception type to raise.

    Raises:
        InputError: ``error``, if the path is empty or an index, a folder holds no such files, a
            subfolder cannot be read, or a link is broken or leads out of the folder.
    """
    if path == "":  # a variable that was not set; to ``Path`` it is the current folder
        raise error("the path is empty: name a file or a folder, '.' for the current one")
    path = Path(path)
    try:
        is_folder = path.is_dir()
    except OSError:  # for example the name is too long; reading it as a file reports that
        is_folder = False
    if not is_folder:
        yield path, ""
        return
    if _is_index(path):
        raise error("the folder is an index: give the files or folders that are indexed", file=path)
    files = sorted(_files_in(path, suffixes, error))
    if not files:
        raise error(f"the folder holds no {', '.join(sorted(suffixes))} files", file=path)
    for file in files:
        yield file, str(path)


def real_path(path: Path) -> Path:
    """Resolve symbolic links; unlike ``Path.resolve`` this does not fail on link loops."""
    return Path(os.path.realpath(path))


def _files_in(folder: Path, suffixes: Collection[str], error: type[InputError]) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders; each folder once, linked ones last."""
    root = real_path(folder)
    seen: set[Path] = set()
    waiting, linked = [folder], deque[Path]()
    while waiting or linked:
        current = waiting.pop() if waiting else linked.popleft()
        if (real := real_path(current)) in seen:
            continue
        seen.add(real)
        try:
            for entry in sorted(current.iterdir()):
                if entry.name.startswith("."):
                    continue
                has_suffix = not _suffixes_of(entry).isdisjoint(suffixes)
                is_link = entry.is_symlink()
                if is_link and (entry.is_dir() or (has_suffix and entry.is_file())):
                    _check_link(entry, root, folder, error)
                if entry.is_dir():
                    if not _is_index(entry):
                        (linked if is_link else waiting).append(entry)
                elif has_suffix and entry.is_file():
                    yield entry
                elif is_link and (has_suffix or not entry.suffix) and not entry.exists():
                    raise error("the link leads nowhere: correct or remove it", file=entry)
        except OSError as exc:
            raise error(f"cannot be read: {exc.strerror or exc}", file=current) from exc


def _is_index(folder: Path) -> bool:
    return (folder / INDEX_DATABASE).is_file()


def _suffixes_of(file: Path) -> set[str]:
    """Return a file's last suffix in lower case; of a gzipped file also the one before ``.gz``."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    return set(suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:])


def _check_link(file: Path, root: Path, folder: Path, error: type[InputError]) -> None:
    """Raise ``error`` if a link leads out of a folder, whose real path is ``root``."""
    if not real_path(file).is_relative_to(root):
        raise error(
            f"the link leads out of the folder {str(folder)!r}: give what it leads to itself",
            file=file,
        )
