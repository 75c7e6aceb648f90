"""The data that a ranking needs about all items of an index, as arrays.

They are derived once and stored, so that a process need not parse 20,000 items before it answers.
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
from toolret.types import Permissions, Tool

__all__ = ["Columns", "columns_of"]


@dataclass(frozen=True)
class Columns(DemoUses):
    """The uses, permissions and names of all tools and demonstrations of a snapshot.

    Attributes:
        permissions: The number of each tool's permissions, from 0 on: shape ``(tools,)``. Tools
            that need the same permissions share a number.
        permitting: The first tool that has each of these numbers, shape ``(permissions,)``.
        names: Digests of all names of the tools, ascending, shape ``(names,)``. A tool has up to
            three names.
        named: The tool that has each of these names, shape ``(names,)``.
    """

    permissions: Ints
    permitting: Ints
    names: Ints
    named: Ints

    def arrays(self) -> Arrays:
        """Return the columns as arrays, to be stored in a file."""
        return asdict(self)

    @property
    def shows_tools(self) -> bool:
        """Whether any demonstration uses a tool of the index."""
        return len(self.demo_of) > 0

    def layout(self, snapshot: Snapshot) -> Layout:
        """Return the uses of tools with the vectors of the snapshot."""
        uses = {field.name: getattr(self, field.name) for field in fields(DemoUses)}
        return Layout(
            **uses, tool_vectors=snapshot.tools.vectors, demo_vectors=snapshot.demos.vectors
        )

    def tools_named(self, names: Iterable[str]) -> list[int]:
        """Return the positions of the tools with any of these case-folded names."""
        wanted = _digests(names)
        starts, ends = (self.names.searchsorted(wanted, side) for side in ("left", "right"))
        return [
            position
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
            for position in self.named[start:end].tolist()
        ]


def columns_of(snapshot: Snapshot) -> Columns:
    """Return the columns of a snapshot, which takes parsing all its items."""
    tools, demos = snapshot.tools, snapshot.demos
    firsts: dict[Permissions, int] = {}
    for position, tool in enumerate(tools.items):
        firsts.setdefault(tool.permissions, position)
    numbers = {permissions: number for number, permissions in enumerate(firsts)}
    # A tool that was removed after it was demonstrated is no evidence.
    tools_of_demo = [
        [tools.positions[tool] for tool in item.tools if tool in tools.positions]
        for item in demos.items
    ]
    set_of_demo = [tuple(sorted(used)) for used in tools_of_demo]
    sets = {used: number for number, used in enumerate(dict.fromkeys(set_of_demo))}
    names, named = _sorted_names(tools.items)
    return Columns(
        permissions=np.array([numbers[tool.permissions] for tool in tools.items], dtype=np.intp),
        permitting=np.array(list(firsts.values()), dtype=np.intp),
        names=names,
        named=named,
        demo_of=np.repeat(np.arange(len(tools_of_demo)), [len(used) for used in tools_of_demo]),
        tool_of=np.array([tool for used in tools_of_demo for tool in used], dtype=np.intp),
        set_of=np.array([number for used, number in sets.items() for _ in used], dtype=np.intp),
        tool_of_set=np.array([tool for used in sets for tool in used], dtype=np.intp),
        set_of_demo=np.array([sets[used] for used in set_of_demo], dtype=np.intp),
    )


def _sorted_names(tools: Iterable[Tool]) -> tuple[Ints, Ints]:
    """Return the digests of the tools' case-folded names, ascending, and the tool of each name."""
    named = [
        (name, position)
        for position, tool in enumerate(tools)
        for name in {name.casefold() for name in (tool.id, tool.name, wire_name(tool.id))}
    ]
    digests = _digests(name for name, _ in named)
    order = np.argsort(digests, kind="stable")
    return digests[order], np.array([position for _, position in named], dtype=np.intp)[order]


def _digests(names: Iterable[str]) -> Ints:
    """Return a 64-bit digest of each name.

    Among a million names, the odds that two collide are one in 40 million.
    """
    digests = b"".join(sha256(name.encode("utf-8", "surrogatepass")).digest()[:8] for name in names)
    return np.frombuffer(digests, dtype="<u8")
