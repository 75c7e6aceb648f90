"""Measure how well the right tools are found where a catalog or its requests are in worse shape.

    python -m benchmarks.robustness ../shared/data nestful ultratool --adapters DIR --limit 150

Each set is asked as it is, and then with one thing changed: in all of its tools or in all of its
requests. Demonstrations stay as they are. The exit code is 1 if COMP@5 or nDCG@10 of toolret is
ever more than a point below that of the best plain method. ``benchmarks.quality`` says what the
sets consist of, what the systems are, and what ``--adapters`` is.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from string import ascii_lowercase
from typing import NamedTuple

from benchmarks.quality import answerable_requests, held_out_adapter, measure_system, sample
from benchmarks.systems import Bm25, CachedModel, Data, Dense, Rrf, Toolret, ToolretTexts, Votes
from toolret.catalogs import load_tools
from toolret.console import positive
from toolret.embedders import Embedder
from toolret.errors import InputError, ToolretError
from toolret.rows import load_demos
from toolret.text.lexical import words
from toolret.types import Tool

__all__ = ["CHANGES", "Change", "main"]

MEASURES = ("COMP@5", "nDCG@10")
"""The metrics that are shown."""

PLAIN = (Bm25, Dense, Rrf, Votes)
"""The plain methods."""

MOST_LOST = 1.0
"""The most points by which toolret may be below the best plain method."""

_TYPOS = 0.35
"""The share of words of four and more letters that are misspelt."""

_CHATTER = (
    "Hi there! I hope you are having a great day. I have been at this since this morning and my "
    "manager is waiting. {} Thanks a lot in advance, I really appreciate your help!"
)
"""What a polite user says around a request."""

_ASIDE = (
    "{} For context, here is what a colleague wrote yesterday: the offsite will be near the lake, "
    "lunch is at noon, and everybody should bring good shoes. The printer on the second floor is "
    "broken again, so use the one upstairs. Parking is free after six. Our new colleague starts on "
    "Monday and sits next to the window; she likes coffee. The budget was approved last week, and "
    "the slides are on the shared drive."
)
"""A request with a paragraph of other matters after it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is changed.

    Attributes:
        name: What the set is like after it.
        tool: Changes a tool, given its position.
        request: Changes a request's text.
    """

    name: str
    tool: Callable[[int, Tool], Tool] = lambda _, tool: tool
    request: Callable[[str], str] = lambda text: text


class Figures(NamedTuple):
    """A metric in percent.

    Attributes:
        plain: The best plain method's.
        without: toolret's without demonstrations.
        with_demos: toolret's with all demonstrations; None if the set has none.
    """

    plain: float
    without: float
    with_demos: float | None


def _with_typos(text: str) -> str:
    """Misspell some words, always the same ones of the same text.

    Of two letters anywhere in a word, one is missing, doubled or wrong, or they changed places.
    """
    random = Random(text)

    def misspell(match: re.Match[str]) -> str:
        word = match[0]
        if random.random() >= _TYPOS:
            return word
        at = random.randrange(len(word) - 1)
        one, other = word[at], word[at + 1]
        wrong = random.choice(ascii_lowercase)
        mistyped = random.choice([other, one + one + other, wrong + other, other + one])
        return word[:at] + mistyped + word[at + 2 :]

    return re.sub(r"\b[a-zA-Z]{4,}\b", misspell, text)


def _key_words(text: str) -> str:
    """Return the words of a text that are no stop words, as they are written."""
    return " ".join(word for word in re.findall(r"\w+", text) if words(word)) or text


CHANGES = (
    Change("as it is"),
    Change("no descriptions", tool=lambda _, tool: replace(tool, description="")),
    Change("no parameters", tool=lambda _, tool: replace(tool, parameters={"type": "object"})),
    Change(
        "names that say nothing",
        tool=lambda position, tool: replace(tool, name=f"fn_{position:04d}", namespace=""),
    ),
    Change("small talk around the request", request=_CHATTER.format),
    Change("a paragraph of other matters", request=_ASIDE.format),
    Change("typing errors", request=_with_typos),
    Change(
        "lower case, no punctuation",
        request=lambda text: re.sub(r"[^\w\s]", " ", text.lower()),
    ),
    Change("key words only", request=_key_words),
)
"""What is measured, in the order of the table."""


def main(arguments: Sequence[str] | None = None, *, embedder: Embedder | None = None) -> int:
    """Print a row for each set and change, and return the exit code; tests give an embedder."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of the sets")
    parser.add_argument("sets", nargs="+", metavar="SET", help="folders in it")
    parser.add_argument("--adapters", type=Path, metavar="DIR", help="that saw nothing of the sets")
    parser.add_argument("--limit", type=positive, metavar="N", help="requests a set, evenly spaced")
    options = parser.parse_args(arguments)
    embedder = embedder or CachedModel()
    columns = ("best plain", "toolret, no demonstrations", "toolret")
    print("| set | changed |", *(f"{measure} {name} |" for measure in MEASURES for name in columns))
    print("|---" * (2 + len(MEASURES) * len(columns)) + "|")
    lost = False
    try:
        for name in options.sets:
            for change, figures in measure_set(name, options, embedder):
                cells = [_cell(figure) for row in figures for figure in row]
                print(f"| {name} | {change.name} | {' | '.join(cells)} |", flush=True)
                lost |= any(map(_is_lost, figures))
    except ToolretError as error:
        print(f"robustness: {error}", file=sys.stderr)
        return 1
    return int(lost)


def measure_set(
    name: str, options: argparse.Namespace, embedder: Embedder
) -> Iterator[tuple[Change, list[Figures]]]:
    """Yield each change of a set, and the figures of each metric after it.

    Raises:
        InputError: If there is no such set.
    """
    folder = options.data / name
    files = sorted(folder.glob("dev.jsonl*"))
    if not files:
        raise InputError(f"there is no {folder / 'dev.jsonl'}")
    tools = load_tools(*sorted(folder.glob("tools.jsonl*")))
    demos = load_demos(*sorted(folder.glob("demos.jsonl*")))
    requests = sample([each for file in files for each in answerable_requests(file)], options.limit)
    adapter = held_out_adapter(options.adapters, name)
    for change in CHANGES:
        changed_tools = [change.tool(*numbered) for numbered in enumerate(tools)]
        asked = {
            name: [replace(each, text=change.request(each.text), messages=()) for each in requests]
        }
        with tempfile.TemporaryDirectory() as scratch:
            data = Data(changed_tools, demos, embedder, Path(scratch), adapter)
            measures = {
                system: measure_system(system, data, asked)[0].measures
                for system in (*PLAIN, ToolretTexts, Toolret)
            }
        yield (
            change,
            [
                Figures(
                    max(measures[system].get(measure, 0.0) for system in PLAIN),
                    measures[ToolretTexts][measure],
                    measures[Toolret].get(measure),
                )
                for measure in MEASURES
            ],
        )


def _is_lost(figures: Figures) -> bool:
    """Whether toolret, with the demonstrations there are, is too far below the plain methods."""
    ours = figures.without if figures.with_demos is None else figures.with_demos
    return ours < figures.plain - MOST_LOST


def _cell(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.1f}"


if __name__ == "__main__":
    sys.exit(main())
