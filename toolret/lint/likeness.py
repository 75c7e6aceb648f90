"""Tools that a retriever can hardly tell apart, by description or by name."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from math import ceil, sqrt

from toolret.lint.findings import Finding, join_first
from toolret.lint.wording import folded_words, own_description
from toolret.text.rendering import split_identifier
from toolret.types import Tool

__all__ = ["alike_descriptions", "alike_names"]

_MIN_SIMILARITY = 0.9
"""The least cosine of descriptions that count as nearly the same: two descriptions of 16 words that
differ in one reach it; in shorter ones, one word makes a clear difference."""

_MAX_COMPARED = 50
"""The most earlier texts with the same rare feature that a text is compared with; if more share the
feature, they resemble each other anyway."""

_MAX_LISTED = 4
"""The most tools or differences that a finding lists."""

_ACRONYMS = re.compile(r"([A-Z]{2,})s(?![a-z])")
"""Acronyms in the plural, such as ``IDs``."""

Words = tuple[str, ...]
"""The words of a description or a name, in order."""


def alike_descriptions(tools: Sequence[Tool]) -> Iterator[Finding]:
    """Find groups of tools with the same, or nearly the same, description."""
    groups: defaultdict[Words, list[Tool]] = defaultdict(list)
    for tool in tools:
        if text := folded_words(own_description(tool)):
            groups[text].append(tool)
    for group in groups.values():
        if len(group) > 1:
            ids = tuple(tool.id for tool in group)
            problem = f"{len(ids)} tools are described alike: {join_first(ids, _MAX_LISTED)}"
            yield Finding("same-description", ids, problem, "description", 1.0)
    texts = list(groups)
    for cluster in _clusters(texts):
        ids = tuple(tool.id for text in cluster.members for tool in groups[texts[text]])
        first, second = (texts[number] for number in cluster.pair)
        names = groups[first][0].id, groups[second][0].id
        problem = (
            f"{len(ids)} tools are described nearly alike (similarity {cluster.similarity:.2f}): "
            f"{join_first(ids, _MAX_LISTED)}; {_difference(first, second, names)}"
        )
        yield Finding(
            "similar-description", ids, problem, "description", round(cluster.similarity, 3)
        )


def alike_names(tools: Sequence[Tool]) -> Iterator[Finding]:
    """Find names in one namespace that differ only in case, separators or a plural."""
    split = [_name_words(tool.name) for tool in tools]
    known = {word for parts in split for word in parts}
    groups: defaultdict[tuple[str, Words], list[Tool]] = defaultdict(list)
    for tool, parts in zip(tools, split, strict=True):
        groups[tool.namespace, tuple(_singular(word, known) for word in parts)].append(tool)
    for group in groups.values():
        names = list(dict.fromkeys(tool.name for tool in group))
        if len(names) > 1:
            ids = tuple(tool.id for tool in group)
            listed = join_first(names, _MAX_LISTED)
            problem = f"only case, separators or a plural tell them apart: {listed}"
            yield Finding("similar-name", ids, problem, "name")


@dataclass(slots=True)
class _Cluster:
    """Texts that similar pairs link to each other.

    Attributes:
        members: The positions of the texts.
        pair: The least similar of the pairs, as two positions.
        similarity: The similarity of that pair.
    """

    members: list[int]
    pair: tuple[int, int]
    similarity: float


class _LinkedTexts:
    """Groups of texts that are linked directly or through others (union-find).

    Args:
        count: The number of texts.
    """

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def group(self, text: int) -> int:
        """Return the text that stands for the group of a text."""
        parents = self._parents
        while parents[text] != text:
            parents[text] = text = parents[parents[text]]
        return text

    def link(self, first: int, second: int) -> None:
        """Make one group of the groups of two texts."""
        self._parents[self.group(second)] = self.group(first)


def _clusters(texts: Sequence[Words]) -> Iterator[_Cluster]:
    """Yield clusters of texts, linked by pairs with similarity of at least ``_MIN_SIMILARITY``."""
    linked = _LinkedTexts(len(texts))
    clusters: dict[int, _Cluster] = {}
    for similarity, first, second in _link_similar(texts, linked):
        cluster = clusters.setdefault(
            linked.group(first), _Cluster([], (first, second), similarity)
        )
        if similarity < cluster.similarity:
            cluster.pair, cluster.similarity = (first, second), similarity
    for number in range(len(texts)):
        if linked.group(number) in clusters:
            clusters[linked.group(number)].members.append(number)
    yield from clusters.values()


def _link_similar(texts: Sequence[Words], linked: _LinkedTexts) -> list[tuple[float, int, int]]:
    """Link similar texts in ``linked``; return the similarity and the texts of each pair.

    Two such texts share most features, and so at least one of each text's rarest few: only those
    are looked up (Bayardo et al., "Scaling up all pairs similarity search", 2007). Texts that are
    linked already are not compared.
    """
    features = [_features(text) for text in texts]
    count = Counter(feature for own in features for feature in own)
    pairs: list[tuple[float, int, int]] = []
    earlier: defaultdict[str, list[int]] = defaultdict(list)  # texts by their rarest features
    for number, own in enumerate(features):
        # A sufficiently similar text shares at least 0.81 n of this one's n features.
        needed = len(own) - ceil(_MIN_SIMILARITY**2 * len(own)) + 1
        rarest = sorted(own, key=lambda feature: (count[feature], feature))[:needed]
        for candidate in dict.fromkeys(c for f in rarest for c in earlier[f][-_MAX_COMPARED:]):
            if linked.group(candidate) == linked.group(number):
                continue
            similarity = _cosine(own, features[candidate])
            if similarity >= _MIN_SIMILARITY:
                pairs.append((similarity, candidate, number))
                linked.link(candidate, number)
        for feature in rarest:
            earlier[feature].append(number)
    return pairs


def _features(text: Words) -> frozenset[str]:
    """Return the words of a text, and its pairs of adjacent words."""
    return frozenset(text) | {f"{a} {b}" for a, b in pairwise(text)}


def _cosine(first: frozenset[str], second: frozenset[str]) -> float:
    """Return the cosine similarity of two texts' features."""
    return len(first & second) / sqrt(len(first) * len(second))


def _difference(first: Words, second: Words, names: tuple[str, str]) -> str:
    """Say in which words the texts of two tools differ."""
    changes = SequenceMatcher(None, first, second, autojunk=False).get_opcodes()
    parts = [
        _change(" ".join(first[a:b]), " ".join(second[c:d]), names)
        for kind, a, b, c, d in changes
        if kind != "equal"
    ]
    return join_first(parts, _MAX_LISTED, separator="; ")


def _change(first: str, second: str, names: tuple[str, str]) -> str:
    """Say how one tool's text differs from another's in one place; either part may be empty."""
    if first and second:
        return f"{names[0]} says {first!r} where {names[1]} says {second!r}"
    has, lacks = names if first else names[::-1]
    return f"{has} says {first or second!r}, which {lacks} does not"


def _name_words(name: str) -> list[str]:
    """Split a name into lower-case words; acronyms lose their plural ending."""
    return split_identifier(_ACRONYMS.sub(r"\1", name)).casefold().split()


def _singular(word: str, known: Container[str]) -> str:
    """Return the known word whose English plural a word is; the word itself if there is none."""
    return next((form for form in _singulars(word) if len(form) > 1 and form in known), word)


def _singulars(word: str) -> Iterator[str]:
    """Yield possible singulars of a word: ``cache`` and ``cach`` for ``caches``."""
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        yield word[:-1]
    if word.endswith(("ches", "oes", "shes", "ses", "xes", "zes")):
        yield word[:-2]
    if word.endswith("ies"):
        yield f"{word[:-3]}y"
