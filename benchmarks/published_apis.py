"""Measure which operations of published APIs are found by short requests.

    python -m benchmarks.published_apis ../shared/data/openapi

The documents are those of Stripe, Slack, Twilio, Spotify and smaller APIs, many operations of which
have dozens of parameters. The requests beside this file were written for this benchmark, in the
words of users. Often several operations will do: each need of a request names all of them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.systems import Bm25, CachedModel, Data, Dense, Rrf, System, ToolretTexts
from toolret.catalogs import load_tools
from toolret.embedders import Embedder

__all__ = ["Wish", "main", "read_wishes", "share_met"]

WISHES = Path(__file__).with_suffix(".jsonl")
"""The file of the requests."""

SYSTEMS: tuple[type[System], ...] = (Bm25, Dense, Rrf, ToolretTexts)
"""The systems that are compared."""

DEPTHS = (1, 3, 5, 10)
"""The numbers of first tools among which an operation for each need has to be."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A request and its needs.

    Attributes:
        text: The request.
        needs: For each need, the ids of the operations of which any one will do.
    """

    text: str
    needs: tuple[frozenset[str], ...]

    def met_by(self, ids: Sequence[str]) -> bool:
        """Whether some operations include one for each need."""
        return all(not need.isdisjoint(ids) for need in self.needs)


def read_wishes(file: Path) -> list[Wish]:
    """Read the requests of a file."""
    rows = map(json.loads, file.read_text("utf-8").splitlines())
    return [Wish(row["text"], tuple(map(frozenset, row["needs"]))) for row in rows]


def share_met(system: System, wishes: Sequence[Wish], depth: int) -> float:
    """Return the percentage of requests whose needs are all met by the first ``depth`` tools."""
    return 100 * sum(wish.met_by(system.rank(wish.text)[:depth]) for wish in wishes) / len(wishes)


def main(arguments: Sequence[str] | None = None, *, embedder: Embedder | None = None) -> int:
    """Print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("documents", type=Path, help="the folder of the documents")
    parser.add_argument("--wishes", type=Path, default=WISHES, help="other requests")
    options = parser.parse_args(arguments)
    tools, wishes = load_tools(options.documents), read_wishes(options.wishes)
    unknown = {id_ for wish in wishes for need in wish.needs for id_ in need}
    unknown -= {tool.id for tool in tools}
    if unknown:
        parser.error(f"{options.documents} has no {', '.join(sorted(unknown))}")
    print(f"{len(tools)} operations, {len(wishes)} requests\n")
    print("| all needs met by the first |" + "".join(f" {depth} |" for depth in DEPTHS))
    print("|---|" + "---|" * len(DEPTHS))
    with tempfile.TemporaryDirectory() as scratch:
        data = Data(tools, (), embedder or CachedModel(), Path(scratch))
        for kind in SYSTEMS:
            system = kind(data)
            shares = (share_met(system, wishes, depth) for depth in DEPTHS)
            print(f"| {kind.name} |" + "".join(f" {share:.1f} |" for share in shares))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
