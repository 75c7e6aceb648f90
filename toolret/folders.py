"""Which files a path stands for: itself, or those of a folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from toolret.errors import InputError

__all__ = ["files_of"]


def files_of(
    given: str | Path, suffixes: Collection[str], *, error: type[InputError]
) -> Iterator[tuple[Path, str]]:
    """The files that a path stands for, each with the folder that it was found in, if any.

    Args:
        given: The path.
        suffixes: Of the files that are meant in a folder and in those below it; each may be
            gzipped (``.gz``). Names that begin with a dot are passed over.
        error: What to raise.

    Raises:
        InputError: ``error``, if a folder holds no such files, or a link that leads out of it.
    """
    path = Path(given)
    try:
        is_folder = path.is_dir()
    except OSError:  # such as a name that is too long; reading it as a file says so
        is_folder = False
    if not is_folder:
        yield path, ""
        return
    files = sorted(
        file
        for file in path.rglob("*")
        if set(suffixes).intersection(file.suffixes[-2:] if file.suffix == ".gz" else [file.suffix])
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and file.is_file()
    )
    if not files:
        raise error(f"the folder holds no {', '.join(sorted(suffixes))} files", file=path)
    root = path.resolve()
    for file in files:
        if not file.resolve().is_relative_to(root):
            raise error(
                f"the link leads out of the folder {str(path)!r}: give the file itself", file=file
            )
        yield file, str(path)
