"""Arrays of what is indexed, and of what comes of comparing a request with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolret.forking import cached_property
from toolret.ranking.arrays import Bools, Floats, Grouping, Ints

__all__ = ["Comparisons", "DemoUses", "Layout"]


@dataclass(frozen=True)
class DemoUses:
    """The tools that each demonstration uses; both are given by their positions.

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
    """The vectors of an index and the uses of its tools, which are the same for every request.

    Attributes:
        tool_vectors: Unit vectors of the tools, shape ``(tools, dimensions)``.
        demo_vectors: Unit vectors of the demonstrations, shape ``(demos, dimensions)``.
    """

    tool_vectors: Floats
    demo_vectors: Floats

    @cached_property
    def uses(self) -> Grouping:
        """The demonstrations, grouped by the tools that they use."""
        return Grouping(self.demo_of, self.tool_of, len(self.tool_vectors))

    @cached_property
    def column_of(self) -> Ints:
        """The position of each use's tool in ``uses.filled``, shape ``(uses,)``."""
        return np.searchsorted(self.uses.filled, self.tool_of)

    @cached_property
    def starts(self) -> Ints:
        """The position of each demonstration's first use, and at last the number of uses.

        Shape ``(demos + 1,)``.
        """
        return np.searchsorted(self.demo_of, np.arange(len(self.demo_vectors) + 1))

    @cached_property
    def sets(self) -> Grouping:
        """The sets, grouped by the tools that are in them."""
        return Grouping(self.set_of, self.tool_of_set, len(self.tool_vectors))

    @cached_property
    def uses_tools(self) -> Bools:
        """Whether each demonstration uses any tool, shape ``(demos,)``."""
        return np.diff(self.starts) > 0


@dataclass(frozen=True, slots=True)
class Comparisons:
    """The comparisons of a request's queries with all that is indexed.

    Query 0 is the request itself, the others are its parts.

    Attributes:
        dense: Cosines of the queries' vectors with the tools', shape ``(tools, queries)``.
        lexical: BM25 scores of the tools' texts, shape ``(tools, queries)``.
        lexical_cosine: Cosines of the queries' words with the tools', shape ``(tools, queries)``.
        lexical_most: The highest BM25 score that each query could reach, shape ``(queries,)``.
        aligned: Cosines of the queries' aligned vectors with the tools', shape
            ``(tools, queries)``; without demonstrations the same as ``dense``.
        names: Share of each tool's name that the request mentions, 0 to 1, shape ``(tools,)``.
        namespace_names: Share of each tool's namespace that it mentions, 0 to 1, same shape.
        demo_dense: Cosines of the queries' vectors with the demonstrations', shape
            ``(demos, queries)``.
        demo_kriged: Prediction by regression on the demonstrations of whether each tool that they
            use is needed, near 1 if so and near 0 if not: shape ``(used, queries)``, in the order
            of ``Layout.uses.filled``.
        demo_sets: Discriminants of the sets, that is, how well the request itself fits the
            demonstrations that use each: shape ``(sets,)``.
        demo_lexical: Cosines of the words of the request itself with those of the demonstrations,
            shape ``(demos,)``.
        query_vectors: The vectors that were multiplied for ``dense``, followed by those for
            ``aligned``: shape ``(2 * queries, dimensions)``. They are needed where those two are
            approximate, and None where they are exact.
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
    query_vectors: Floats | None = None
