"""Which files a path stands for: itself, or those of a folder."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterator
from pathlib import Path

from toolret.errors import InputError

__all__ = ["files_of", "real_path"]


def files_of(
    given: str | Path, suffixes: Collection[str], *, error: type[InputError]
) -> Iterator[tuple[Path, str]]:
    """The files that a path stands for, each with the folder that it was found in, if any.

    Args:
        given: The path.
        suffixes: Of the files that are meant in a folder and in those below it, whatever their
            case; each may be gzipped (``.gz``). Names that begin with a dot are passed over.
        error: What to raise.

    Raises:
        InputError: ``error``, if a folder holds no such files, a folder below it cannot be read, or
            a link leads out of it or nowhere.
    """
    path = Path(given)
    try:
        is_folder = path.is_dir()
    except OSError:  # such as a name that is too long; reading it as a file says so
        is_folder = False
    if not is_folder:
        yield path, ""
        return
    files = sorted(_found(path, suffixes, error))
    if not files:
        raise error(f"the folder holds no {', '.join(sorted(suffixes))} files", file=path)
    for file in files:
        yield file, str(path)


def real_path(path: Path) -> Path:
    """The path without symbolic links; unlike ``Path.resolve`` it does not fail at their loops."""
    return Path(os.path.realpath(path))


def _found(folder: Path, suffixes: Collection[str], error: type[InputError]) -> Iterator[Path]:
    """The files in a folder and in those below it, each folder once, links to them last."""
    root = real_path(folder)
    seen: set[Path] = set()
    waiting, linked = [folder], deque[Path]()
    while waiting or linked:
        here = waiting.pop() if waiting else linked.popleft()
        if (real := real_path(here)) in seen:
            continue
        seen.add(real)
        try:
            for entry in sorted(here.iterdir()):
                if entry.name.startswith("."):
                    continue
                wanted = not _suffixes_of(entry).isdisjoint(suffixes)
                is_link = entry.is_symlink()
                if is_link and (entry.is_dir() or (wanted and entry.is_file())):
                    _check_link(entry, root, folder, error)
                if entry.is_dir():
                    (linked if is_link else waiting).append(entry)
                elif wanted and entry.is_file():
                    yield entry
                elif is_link and (wanted or not entry.suffix) and not entry.exists():
                    raise error("the link leads nowhere: correct or remove it", file=entry)
        except OSError as exc:
            raise error(f"cannot be read: {exc.strerror or exc}", file=here) from exc


def _suffixes_of(file: Path) -> set[str]:
    """What a file's kind is told by, in small letters: its suffix, and that before ``.gz``."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    return set(suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:])


def _check_link(file: Path, root: Path, folder: Path, error: type[InputError]) -> None:
    if not real_path(file).is_relative_to(root):
        raise error(
            f"the link leads out of the folder {str(folder)!r}: give what it leads to itself",
            file=file,
        )
