"""Compare requests with everything that is indexed."""

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
from toolret.ranking.arrays import Bools, Floats, Ints, products
from toolret.ranking.columns import Columns, columns_of
from toolret.ranking.comparisons import Comparisons
from toolret.ranking.demo_maps import DemoComparison, DemoMaps, DemoModels, Products
from toolret.ranking.evidence import gather
from toolret.ranking.fitting import Example, example_of
from toolret.ranking.scanning import Scan
from toolret.ranking.word_vectors import WordRows, WordVectors, tf_idf
from toolret.stores.derived import Arrays, nested, read_arrays, under, write_arrays
from toolret.text.clauses import split_clauses
from toolret.text.lexical import Postings, bm25, content_and_all_words, name_shares, stems, words
from toolret.text.rendering import searched_text
from toolret.text.values import unquoted, without_values

__all__ = ["Comparer"]

_FORMAT = 10
"""Version of the derived arrays: raise it when they are computed in another way."""

_NEAR_COPY = 0.985
"""The cosine from which on another demonstration is a copy, which would give the answer away."""


class _Scans(NamedTuple):
    """Functions that multiply queries with the vectors of all tools and of all demonstrations."""

    tools: Products
    demos: Products


class Comparer:
    """Compares requests with one snapshot of an index.

    Args:
        snapshot: The index at one moment.
        embedder: The embedder that the index was built with.
        kept: The file that stores what is derived from the snapshot; without one, it is derived
            each time, which takes seconds for 20,000 tools.

    Attributes:
        snapshot: The snapshot.
        columns: Uses, permissions and names of all its items.
        layout: Its vectors and uses.
    """

    def __init__(
        self, snapshot: Snapshot, embedder: RoleEmbedder, *, kept: Path | None = None
    ) -> None:
        self.snapshot = snapshot
        self._embedder = embedder
        arrays = _read_or_derive(kept, self._digest(), self._derive) if kept else self._derive()
        self.columns = Columns(**under(arrays, "columns"))
        self.layout = self.columns.layout(snapshot)
        self._tool_postings = Postings.from_arrays(under(arrays, "tools"))
        self._tool_word_vectors = WordVectors.from_arrays(under(arrays, "tool_words"))
        self._demo_word_vectors = WordVectors.from_arrays(under(arrays, "demo_words"))
        self._demo_word_rows = WordRows(**under(arrays, "demo_rows"))
        self._names = Postings.from_arrays(under(arrays, "names"))
        self._namespaces = Postings.from_arrays(under(arrays, "namespaces"))
        self._maps = (
            DemoMaps.from_arrays(under(arrays, "maps")) if self.columns.shows_tools else None
        )
        both = (snapshot.tools.vectors, snapshot.demos.vectors)
        self._scans = _Scans(*(Scan(vectors).products for vectors in both))
        # For the fit, which must not depend on how many requests there were before.
        self._exact_scans = _Scans(*(partial(products, vectors=vectors) for vectors in both))

    def _digest(self) -> str:
        """Return a digest of all that the stored arrays are derived from.

        An item's key is a digest of all that it consists of. The lengths of vectors are included
        because two embedders of one name may differ in them.
        """
        tools, demos = self.snapshot.tools, self.snapshot.demos
        lengths = f"{tools.vectors.shape[1]}|{demos.vectors.shape[1]}"
        vectors = f"{_FORMAT}|{self._embedder.id}|{self._embedder.instructions}|{lengths}"
        return sha256("\n".join([vectors, *tools.keys, "", *demos.keys]).encode()).hexdigest()

    def _derive(self) -> Arrays:
        """Compute everything that is stored in the file, by parsing all items."""
        tools, demos = self.snapshot.tools, self.snapshot.demos
        texts = [words(searched_text(tool)) for tool in tools.items]
        demo_words = tf_idf([words(text, keep_stop_words=True) for text in demos.texts])
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
        """The models of the demonstrations, for requests with some of them left out."""
        return DemoModels(self.layout)

    def compare(self, queries: Sequence[str], vectors: tuple[Vectors, Vectors]) -> Comparisons:
        """Compare a request with the index.

        Args:
            queries: Texts of the queries, of which the first is the request itself.
            vectors: Their vectors, which ``embed`` returned.
        """
        return self._compare(queries, *vectors, self._scans)

    def count_tools(self, plain_words: Sequence[str], allowed: Bools | None) -> list[int]:
        """Return how many tools have each word in their texts, in any inflection.

        Args:
            plain_words: Words in lower case.
            allowed: The tools that count, shape ``(tools,)``; None if all do.
        """
        texts = map(self._tool_postings.texts_with, stems(plain_words))
        return [len(tools) if allowed is None else int(allowed[tools].sum()) for tools in texts]

    def examples(self, groups: Sequence[Sequence[int]], general: Floats) -> list[Example]:
        """Return demonstrations as examples: asked as requests, with themselves left out.

        Args:
            groups: Positions of the demonstrations that make up each request: one, or several for a
                request of several needs.
            general: Mean vector of general requests, shape ``(dimensions,)``.
        """
        demos = self.snapshot.demos
        texts = [" ".join(demos.items[position].text for position in group) for group in groups]
        queries = [[text, *split_clauses(text)] for text in texts]
        as_tools, as_demos = self.embed(
            [query for group_queries in queries for query in group_queries]
        )
        bounds = pairwise(accumulate(map(len, queries), initial=0))
        examples = []
        for group, group_queries, (start, end) in zip(groups, queries, bounds, strict=True):
            asked = np.array(group, dtype=np.intp)
            likeness = (demos.vectors @ demos.vectors[asked].T).max(axis=1)
            likeness[asked] = 1
            left_out = np.flatnonzero(likeness >= _NEAR_COPY)
            vectors = (as_tools[start:end], as_demos[start:end])
            comparisons = self._compare(group_queries, *vectors, self._exact_scans, left_out)
            examples.append(example_of(self.layout, comparisons, asked, left_out, general))
        return examples

    def description_features(self, positions: Sequence[int]) -> list[Floats]:
        """Return the features of requests for which tools' descriptions are used.

        Args:
            positions: Positions of the tools.
        """
        tools = [self.snapshot.tools.items[position] for position in positions]
        texts = [tool.description or tool.name for tool in tools]
        as_tools, as_demos = self.embed(texts)
        features = []
        for row, text in enumerate(texts):
            vectors = (as_tools[row : row + 1], as_demos[row : row + 1])
            comparisons = self._compare([text], *vectors, self._exact_scans)
            features.append(gather(self.layout, comparisons).features)
        return features

    def embed(self, queries: Sequence[str], tools: Collection[int] = ()) -> tuple[Vectors, Vectors]:
        """Return the queries' vectors to compare with tools, and to compare with demonstrations.

        Demonstrations mention values as requests do, but tools' texts do not. So the vector to
        compare with tools lies halfway between that of the query and that of the query without its
        values.

        Args:
            queries: Texts of the queries.
            tools: Positions of the queries that are written like a tool's text. They are compared
                with tools as a tool is.

        Returns:
            Two arrays of unit vectors, each of shape ``(queries, dimensions)``.
        """
        queries = [unquoted(query) for query in queries]
        bare = [without_values(query) for query in queries]
        both = self._embedder.embed([*queries, *bare], "tool_request")
        self._check_length(both)
        with_values = both[: len(queries)]
        as_tools = unit(with_values + both[len(queries) :])
        if tools and self._embedder.space("tool_request") != self._embedder.space("tool"):
            places = sorted(tools)
            as_tools[places] = self._embedder.embed([queries[i] for i in places], "tool")
        instructions = self._embedder.instructions
        if instructions.tool_request == instructions.demo_request:
            return as_tools, with_values
        return as_tools, self._embedder.embed(queries, "demo_request")

    def _check_length(self, vectors: Vectors) -> None:
        """Raise an EmbedderError if requests' vectors are not as long as those of the index."""
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
        """Compare a request with the index, as if the demonstrations left out did not exist."""
        content_words, all_words = zip(*map(content_and_all_words, queries), strict=True)
        counts = [Counter(query_words) for query_words in content_words]
        word_cosines = self._demo_word_vectors.cosines(all_words)
        demos = self._compare_demos(as_tools, as_demos, word_cosines, scans, left_out)
        # Both kinds in one product, as reading the tools' vectors is what takes time.
        query_vectors = np.concatenate([as_tools, demos.aligned])
        cosines = scans.tools(as_tools if demos.aligned is as_tools else query_vectors)
        each_once = [dict.fromkeys(counts[0], 1)]
        return Comparisons(
            dense=cosines[: len(queries)].T,
            aligned=cosines[-len(queries) :].T,
            lexical=self._tool_postings.scores(counts).T,
            lexical_cosine=self._tool_word_vectors.cosines(content_words).T,
            lexical_most=np.array(
                list(map(self._tool_postings.highest_score, counts)), dtype=np.float32
            ),
            names=self._names.scores(each_once)[0],
            namespace_names=self._namespaces.scores(each_once)[0],
            demo_dense=demos.cosines,
            demo_kriged=demos.kriged,
            demo_sets=demos.sets,
            demo_lexical=word_cosines[0],
            query_vectors=query_vectors,
        )

    def _compare_demos(
        self,
        as_tools: Vectors,
        as_demos: Vectors,
        word_cosines: Floats,
        scans: _Scans,
        left_out: Ints | None,
    ) -> DemoComparison:
        """Compare a request with the demonstrations; queries are aligned only if they use tools."""
        request = (as_tools, as_demos, word_cosines, self._demo_word_rows)
        if self._maps is None:
            return DemoComparison(
                cosines=scans.demos(as_demos).T,
                kriged=np.empty((0, len(as_demos)), dtype=np.float32),
                aligned=as_tools,
                sets=np.empty(0, dtype=np.float32),
            )
        if left_out is None:
            return self._maps.compare(self.layout, scans.demos, *request)
        return self._models.compare_without(*request, left_out)


def _read_or_derive(kept: Path, digest: str, derive: Callable[[], Arrays]) -> Arrays:
    """Return the arrays that a file stores for this digest, else derive and store them."""
    arrays: Arrays | None = read_arrays(kept, digest)
    if arrays is None:
        arrays = derive()
        write_arrays(kept, digest, arrays)
    return arrays
