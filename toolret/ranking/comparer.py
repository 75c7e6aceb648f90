"""A request against an index: everything that the ranking needs to know of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial
from hashlib import sha256
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from toolret.embedders import RoleEmbedder, Vectors
from toolret.embedders.unit_vectors import unit
from toolret.errors import EmbedderError
from toolret.forking import cached_property
from toolret.index import Snapshot
from toolret.ranking.arrays import Floats, Ints, products
from toolret.ranking.columns import Columns, columns_of
from toolret.ranking.comparisons import Comparisons
from toolret.ranking.demo_maps import DemoMaps, DemoModels, Products, Said
from toolret.ranking.evidence import gather
from toolret.ranking.fitting import Example, leave_out
from toolret.ranking.scanning import Scan
from toolret.ranking.word_vectors import WordRows, WordVectors, tf_idf
from toolret.stores.derived import Arrays, nested, read_arrays, under, write_arrays
from toolret.text.clauses import split_clauses
from toolret.text.lexical import Postings, bm25, both_words, name_shares, words
from toolret.text.rendering import searched_text
from toolret.text.values import unquoted, without_values

__all__ = ["Comparer"]

_FORMAT = 10
"""Of what is kept in the file: raised when it is computed in another way."""

_NEAR_COPY = 0.985
"""Cosine from which another demonstration is a copy, and would give the answer away."""


class _Scans(NamedTuple):
    """What multiplies queries with vectors."""

    tools: Products
    demos: Products


class Comparer:
    """Compares requests with one snapshot of an index.

    Args:
        snapshot: The index at one moment.
        embedder: The one that the index was built with.
        kept: The file that keeps what is derived from the snapshot; without one, it is derived
            anew, which takes seconds for 20,000 tools.
    """

    def __init__(
        self, snapshot: Snapshot, embedder: RoleEmbedder, *, kept: Path | None = None
    ) -> None:
        self.snapshot = snapshot
        self._embedder = embedder
        arrays = _derived(kept, self._digest(), self._derive) if kept else self._derive()
        self.columns = Columns(**under(arrays, "columns"))
        self.layout = self.columns.layout(snapshot)
        self._words_of_tools = Postings.from_arrays(under(arrays, "tools"))
        self._cosines_of_tools = WordVectors.from_arrays(under(arrays, "tool_words"))
        self._cosines_of_demos = WordVectors.from_arrays(under(arrays, "demo_words"))
        self._rows_of_demos = WordRows(**under(arrays, "demo_rows"))
        self._names = Postings.from_arrays(under(arrays, "names"))
        self._namespaces = Postings.from_arrays(under(arrays, "namespaces"))
        self._maps = (
            DemoMaps.from_arrays(under(arrays, "maps")) if self.columns.shows_tools else None
        )
        multiplied = (snapshot.tools.vectors, snapshot.demos.vectors)
        self._scans = _Scans(*(Scan(vectors).products for vectors in multiplied))
        # For the fit, which is to be the same whatever was asked before.
        self._plain = _Scans(*(partial(products, vectors=vectors) for vectors in multiplied))

    def _digest(self) -> str:
        """Of all that is derived from: an item's key is a digest of all that it is.

        But two embedders of one name may make vectors of different lengths.
        """
        tools, demos = self.snapshot.tools, self.snapshot.demos
        lengths = f"{tools.vectors.shape[1]}|{demos.vectors.shape[1]}"
        made = f"{_FORMAT}|{self._embedder.id}|{self._embedder.instructions}|{lengths}"
        return sha256("\n".join([made, *tools.keys, "", *demos.keys]).encode()).hexdigest()

    def _derive(self) -> Arrays:
        tools, demos = self.snapshot.tools, self.snapshot.demos
        texts = [words(searched_text(tool)) for tool in tools.items]
        demo_words = tf_idf([words(text, every=True) for text in demos.texts])
        columns = columns_of(self.snapshot)
        parts: dict[str, Arrays] = {
            "columns": columns.arrays(),
            "tools": bm25(texts).arrays(),
            "tool_words": tf_idf(texts).arrays(),
            "demo_words": demo_words.arrays(),
            "demo_rows": demo_words.rows().arrays(),
            "names": name_shares([tool.name for tool in tools.items], texts).arrays(),
            "namespaces": name_shares([tool.namespace for tool in tools.items], texts).arrays(),
        }
        if columns.shows_tools:
            parts["maps"] = DemoModels(columns.layout(self.snapshot)).maps().arrays()
        return nested(**parts)

    @cached_property
    def _models(self) -> DemoModels:
        return DemoModels(self.layout)

    def compare(self, queries: Sequence[str], vectors: tuple[Vectors, Vectors]) -> Comparisons:
        """Compare a request with the index.

        Args:
            queries: Of which the first is the whole request.
            vectors: What ``embed`` gave for them.
        """
        return self._compare(queries, *vectors, self._scans)

    def examples(self, groups: Sequence[Sequence[int]]) -> list[Example]:
        """Demonstrations asked as requests, each group as one, with themselves left out.

        Args:
            groups: Positions of demonstrations: one, or several for a request of several needs.
        """
        demos = self.snapshot.demos
        texts = [" ".join(demos.items[position].text for position in group) for group in groups]
        queries = [[text, *split_clauses(text)] for text in texts]
        as_tools, as_demos = self.embed([query for some in queries for query in some])
        bounds = pairwise(accumulate((len(some) for some in queries), initial=0))
        examples = []
        for group, some, (start, end) in zip(groups, queries, bounds, strict=True):
            asked = np.array(group, dtype=np.intp)
            likeness = (demos.vectors @ demos.vectors[asked].T).max(axis=1)
            likeness[asked] = 1
            left_out = np.flatnonzero(likeness >= _NEAR_COPY)
            vectors = (as_tools[start:end], as_demos[start:end])
            compared = self._compare(some, *vectors, self._plain, left_out)
            examples.append(leave_out(self.layout, compared, asked, left_out))
        return examples

    def descriptions(self, positions: Sequence[int]) -> list[Floats]:
        """Features of the requests that these tools' descriptions would be."""
        tools = [self.snapshot.tools.items[position] for position in positions]
        texts = [tool.description or tool.name for tool in tools]
        as_tools, as_demos = self.embed(texts)
        found = []
        for row, text in enumerate(texts):
            one = slice(row, row + 1)
            compared = self._compare([text], as_tools[one], as_demos[one], self._plain)
            found.append(gather(self.layout, compared).features)
        return found

    def embed(self, queries: Sequence[str], tools: Collection[int] = ()) -> tuple[Vectors, Vectors]:
        """The queries' vectors in search of tools, and in search of demonstrations.

        A tool's text has none of the values that a request has, as a demonstration does: in search
        of tools it lies between what it says and what it says without them.

        Args:
            queries: The texts.
            tools: Positions of those that are the text of a tool, and lie among tools.
        """
        queries = [unquoted(query) for query in queries]
        bare = [without_values(query) for query in queries]
        both = self._embedder.embed([*queries, *bare], "tool_request")
        self._check_length(both)
        said = both[: len(queries)]
        as_tools = unit(said + both[len(queries) :])
        if tools and self._embedder.space("tool_request") != self._embedder.space("tool"):
            places = sorted(tools)
            as_tools[places] = self._embedder.embed([queries[i] for i in places], "tool")
        instructions = self._embedder.instructions
        if instructions.tool_request == instructions.demo_request:
            return as_tools, said
        return as_tools, self._embedder.embed(queries, "demo_request")

    def _check_length(self, vectors: Vectors) -> None:
        for stored in (self.snapshot.tools.vectors, self.snapshot.demos.vectors):
            if stored.size and vectors.shape[1] not in (0, stored.shape[1]):
                raise EmbedderError(
                    f"embedder {self._embedder.id!r} gave a request a vector of "
                    f"{vectors.shape[1]} values, but those of the index have {stored.shape[1]}: "
                    "open the index with reembed=True, which embeds it again"
                )

    def _compare(
        self,
        queries: Sequence[str],
        as_tools: Vectors,
        as_demos: Vectors,
        scans: _Scans,
        left_out: Ints | None = None,
    ) -> Comparisons:
        tokens, every = zip(*map(both_words, queries), strict=True)
        counts = [Counter(some) for some in tokens]
        demo_words = self._cosines_of_demos.cosines(every)
        asked = (as_tools, as_demos, demo_words, self._rows_of_demos)
        if self._maps is None:
            kriged = np.empty((0, len(queries)), dtype=np.float32)
            said = Said(scans.demos(as_demos).T, kriged, as_tools, np.empty(0, dtype=np.float32))
        elif left_out is None:
            said = self._maps.say(self.layout, scans.demos, *asked)
        else:
            said = self._models.say_without(*asked, left_out)
        # Both in one product: what takes time is to read the tools' vectors.
        both = np.concatenate([as_tools, said.aligned])
        cosines = scans.tools(as_tools if said.aligned is as_tools else both)
        once = [dict.fromkeys(counts[0], 1)]
        return Comparisons(
            dense=cosines[: len(queries)].T,
            aligned=cosines[-len(queries) :].T,
            lexical=self._words_of_tools.scores(counts).T,
            lexical_cosine=self._cosines_of_tools.cosines(tokens).T,
            lexical_most=np.array(list(map(self._words_of_tools.most, counts)), dtype=np.float32),
            names=self._names.scores(once)[0],
            namespace_names=self._namespaces.scores(once)[0],
            demo_dense=said.cosines,
            demo_kriged=said.kriged,
            demo_sets=said.sets,
            demo_lexical=demo_words[0],
            asked=both,
        )


def _derived(kept: Path, digest: str, derive: Callable[[], Arrays]) -> Arrays:
    """What the file keeps if it is of this content, else what is derived now and kept."""
    arrays: Arrays | None = read_arrays(kept, digest)
    if arrays is None:
        arrays = derive()
        write_arrays(kept, digest, arrays)
    return arrays
