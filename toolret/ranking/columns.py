"""What the items of an index say that is needed of all of them, as arrays.

They are derived once and kept, so that a process need not parse 20,000 items before it answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from hashlib import sha256

import numpy as np

from toolret.index.shelves import Snapshot
from toolret.ranking.arrays import Ints
from toolret.ranking.comparisons import DemoUses, Layout
from toolret.stores.derived import Arrays
from toolret.text.names import wire_name
from toolret.types import Permissions

__all__ = ["Columns", "columns_of"]


@dataclass(frozen=True)
class Columns(DemoUses):
    """The tools and demonstrations of a snapshot, as far as a ranking reads all of them.

    Attributes:
        permissions: The number of each tool's permissions, from 0 on: shape ``(tools,)``. Tools
            that need the same permissions share a number.
        permitting: The first tool that has each of these numbers.
        names: Digests of all the names of the tools, ascending. A tool has up to three names.
        named: The tool that each of these is a name of.
    """

    permissions: Ints
    permitting: Ints
    names: Ints
    named: Ints

    def arrays(self) -> Arrays:
        """The same as arrays, to be kept in a file."""
        return asdict(self)

    @property
    def shows_tools(self) -> bool:
        """Whether any demonstration uses a tool that is there."""
        return len(self.demo_of) > 0

    def layout(self, snapshot: Snapshot) -> Layout:
        """The same uses of tools, with the snapshot's vectors."""
        uses = {field.name: getattr(self, field.name) for field in fields(DemoUses)}
        return Layout(
            **uses, tool_vectors=snapshot.tools.vectors, demo_vectors=snapshot.demos.vectors
        )

    def called(self, names: Iterable[str]) -> list[int]:
        """Positions of the tools that have one of these names, without regard to case."""
        wanted = _digests(names)
        starts, ends = (self.names.searchsorted(wanted, side) for side in ("left", "right"))
        return [
            place
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
            for place in self.named[start:end].tolist()
        ]


def columns_of(snapshot: Snapshot) -> Columns:
    """The columns of a snapshot; parses all its items."""
    tools, demos = snapshot.tools, snapshot.demos
    firsts: dict[Permissions, int] = {}
    for place, tool in enumerate(tools.items):
        firsts.setdefault(tool.permissions, place)
    permissions = {some: number for number, some in enumerate(firsts)}
    # A tool that was removed after it was demonstrated is no evidence.
    tools_of_demo = [
        [tools.positions[tool] for tool in item.tools if tool in tools.positions]
        for item in demos.items
    ]
    set_of_demo = [tuple(sorted(some)) for some in tools_of_demo]
    sets = {some: i for i, some in enumerate(dict.fromkeys(set_of_demo))}
    named = [
        (name, place)
        for place, tool in enumerate(tools.items)
        for name in {name.casefold() for name in (tool.id, tool.name, wire_name(tool.id))}
    ]
    digests = _digests(name for name, _ in named)
    order = np.argsort(digests, kind="stable")
    return Columns(
        permissions=np.array([permissions[t.permissions] for t in tools.items], dtype=np.intp),
        permitting=np.array(list(firsts.values()), dtype=np.intp),
        names=digests[order],
        named=np.array([place for _, place in named], dtype=np.intp)[order],
        demo_of=np.repeat(np.arange(len(tools_of_demo)), [len(some) for some in tools_of_demo]),
        tool_of=np.array([tool for some in tools_of_demo for tool in some], dtype=np.intp),
        set_of=np.array([i for i, some in enumerate(sets) for _ in some], dtype=np.intp),
        tool_of_set=np.array([tool for some in sets for tool in some], dtype=np.intp),
        set_of_demo=np.array([sets[some] for some in set_of_demo], dtype=np.intp),
    )


def _digests(names: Iterable[str]) -> Ints:
    """64 bits of each: of a million names two collide with odds of one in 40 million."""
    found = b"".join(sha256(name.encode("utf-8", "surrogatepass")).digest()[:8] for name in names)
    return np.frombuffer(found, dtype="<u8")
