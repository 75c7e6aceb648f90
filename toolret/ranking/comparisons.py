"""A request against everything that is indexed, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolret.forking import cached_property
from toolret.ranking.arrays import Bools, Floats, Grouping, Ints

__all__ = ["Comparisons", "DemoUses", "Layout"]


@dataclass(frozen=True)
class DemoUses:
    """Which tools the demonstrations use, tools and demonstrations by their positions.

    A use is one tool in one demonstration. Demonstrations that use the same tools share a set.

    Attributes:
        demo_of: The demonstration of each use, shape ``(uses,)``, ascending.
        tool_of: The tool of each use, shape ``(uses,)``.
        set_of: The set of each membership of a tool in a set, shape ``(memberships,)``.
        tool_of_set: The tool of each membership, shape ``(memberships,)``.
        set_of_demo: The set of each demonstration, shape ``(demos,)``.
    """

    demo_of: Ints
    tool_of: Ints
    set_of: Ints
    tool_of_set: Ints
    set_of_demo: Ints


@dataclass(frozen=True)
class Layout(DemoUses):
    """What is indexed, as far as it does not change between requests.

    Attributes:
        tool_vectors: Unit vectors of the tools, shape ``(tools, dimensions)``.
        demo_vectors: Unit vectors of the demonstrations, shape ``(demos, dimensions)``.
    """

    tool_vectors: Floats
    demo_vectors: Floats

    @cached_property
    def uses(self) -> Grouping:
        """Groups the demonstrations by the tools that they use."""
        return Grouping(self.demo_of, self.tool_of, len(self.tool_vectors))

    @cached_property
    def column_of(self) -> Ints:
        """The place of each use's tool among the tools that are used: shape ``(uses,)``."""
        return np.searchsorted(self.uses.filled, self.tool_of)

    @cached_property
    def starts(self) -> Ints:
        """Where each demonstration's uses begin, and the last one's end: ``(demos + 1,)``."""
        return np.searchsorted(self.demo_of, np.arange(len(self.demo_vectors) + 1))

    @cached_property
    def sets(self) -> Grouping:
        """Groups the sets by the tools that are in them."""
        return Grouping(self.set_of, self.tool_of_set, len(self.tool_vectors))

    @cached_property
    def uses_tools(self) -> Bools:
        """Which of the demonstrations use a tool."""
        return np.diff(self.starts) > 0


@dataclass(frozen=True, slots=True)
class Comparisons:
    """A request against everything that is indexed; column 0 is the request itself.

    Attributes:
        dense: Cosines, shape ``(tools, queries)``.
        lexical: BM25, shape ``(tools, queries)``.
        lexical_cosine: Cosines of the words, shape ``(tools, queries)``.
        lexical_most: What BM25 could give each query at most, shape ``(queries,)``.
        aligned: Cosines of the queries as the demonstrations' tools would have them: shape
            ``(tools, queries)``; without demonstrations the same as ``dense``.
        names: Share of the tool's name that the request says, shape ``(tools,)``, 0 to 1.
        namespace_names: The same of the namespace's name.
        demo_dense: Cosines, shape ``(demos, queries)``.
        demo_kriged: What regression on the demonstrations says of each tool that they use, in the
            order of ``Layout.uses``: near 1 if the tool is needed, near 0 if not; shape
            ``(used, queries)``.
        demo_sets: How well the request itself fits the demonstrations that use each set of tools:
            discriminants, shape ``(sets,)``.
        demo_lexical: Cosines of the words of the request itself, shape ``(demos,)``.
        asked: The vectors of which ``dense`` and ``aligned`` are the cosines, one after the other:
            shape ``(2 * queries, dimensions)``. With them, those two need not be exact; None if
            they are.
    """

    dense: Floats
    aligned: Floats
    lexical: Floats
    lexical_cosine: Floats
    lexical_most: Floats
    names: Floats
    namespace_names: Floats
    demo_dense: Floats
    demo_kriged: Floats
    demo_sets: Floats
    demo_lexical: Floats
    asked: Floats | None = None
