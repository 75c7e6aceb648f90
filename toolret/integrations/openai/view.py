"""The tools that one caller may be offered: the index's, and those that the caller gives itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from weakref import WeakKeyDictionary

from toolret.index import Snapshot
from toolret.integrations.openai.forms import tool_name
from toolret.lexical import bm25, words
from toolret.names import ids_by_name
from toolret.offers import PROVIDER_LIMIT
from toolret.permissions import Allow, allowed_tools, is_allowed
from toolret.retriever import ToolRetriever
from toolret.tokens import TokenCounter
from toolret.types import JsonObject, Tool

__all__ = ["Given", "Names", "View", "by_words", "names_of", "told_apart"]


@dataclass(frozen=True)
class Names:
    """What the tools of a snapshot are called."""

    snapshot: Snapshot

    @cached_property
    def ids(self) -> Mapping[str, str]:
        """Ids by the names that they have on the wire."""
        return ids_by_name(self.snapshot.tools.ids)

    @cached_property
    def by_source(self) -> Mapping[tuple[str, str], str]:
        """Ids by the names and descriptions of their source, of those that no other tool has."""
        ids: dict[tuple[str, str], str] = {}
        for tool in self.snapshot.tools.items:
            same = (tool.name, tool.description.strip())
            ids[same] = "" if same in ids else tool.id
        return {same: tool_id for same, tool_id in ids.items() if tool_id and all(same)}

    def id_of(self, given: JsonObject) -> str | None:
        """The id of the tool that a function of the caller's is: by name, or name and description.

        A name alone that two APIs might share does not make one the other.
        """
        function = given.get("function", given)
        name, description = tool_name(given), str(function.get("description") or "")
        if name in self.snapshot.tools.positions:
            return name
        return self.ids.get(name) or self.by_source.get((name, description.strip()))


_latest: WeakKeyDictionary[ToolRetriever, Names] = WeakKeyDictionary()


def names_of(retriever: ToolRetriever) -> Names:
    """The names of what a retriever's index holds now: made once, for all of its clients."""
    snapshot = retriever.index.snapshot
    names = _latest.get(retriever)
    if names is None or names.snapshot is not snapshot:
        _latest[retriever] = names = Names(snapshot)
    return names


@dataclass(frozen=True)
class View:
    """An index as one caller may see it.

    Attributes:
        names: What its tools are called.
        allow: What the caller may use.
    """

    names: Names
    allow: Allow

    def tool(self, tool_id: str) -> Tool | None:
        """A tool that the caller may use; None if there is none, or it may not."""
        shelf = self.names.snapshot.tools
        position = shelf.positions.get(tool_id)
        if position is None:
            return None
        tool = shelf.items[position]
        return tool if is_allowed(tool, self.allow) else None

    def tools(self) -> list[Tool]:
        """All that the caller may use, in order of their ids."""
        tools = self.names.snapshot.tools.items
        allowed = allowed_tools(tools, self.allow)
        if allowed is None:
            return list(tools)
        return [tool for tool, may in zip(tools, allowed, strict=True) if may]

    def fingerprint(self) -> str:
        """The same for callers who may use the same, and for none else."""
        if self.allow is None:
            return ""
        if not callable(self.allow):
            return json.dumps(sorted(self.allow))
        allowed = allowed_tools(self.names.snapshot.tools.items, self.allow)
        return sha256(b"" if allowed is None else allowed.tobytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class Given:
    """The tools that the caller gave with a request.

    Attributes:
        kept: Those that are always offered, in the caller's order.
        open: Those that are offered when they are chosen, by name.
        own: Names of those of them that the index does not hold.
        ids: Ids of those that it holds, by the caller's names.
    """

    kept: tuple[JsonObject, ...]
    open: Mapping[str, JsonObject]
    own: tuple[str, ...]
    ids: Mapping[str, str]


def told_apart(
    tools: Iterable[JsonObject], view: View, *, budget: int | None, counter: TokenCounter
) -> Given:
    """What of the caller's tools is kept, and what is only offered when it is chosen.

    Functions that the index holds are chosen from when they take more than the budget, or all
    tools are more than a request may have; the caller's other functions only when they alone are
    more than that. What the index holds and the caller may not use is neither.
    """
    known: dict[str, JsonObject] = {}
    others: list[JsonObject] = []
    ids: dict[str, str] = {}
    ordered = []
    for tool in tools:
        name = tool_name(tool)
        tool_id = view.names.id_of(tool) if tool.get("type") == "function" else None
        if tool_id is None:
            others.append(tool)
        elif view.tool(tool_id) is None:
            continue
        else:
            known[name], ids[name] = tool, tool_id
        ordered.append(tool)
    if len(ordered) <= PROVIDER_LIMIT and _fits(list(known.values()), budget, counter):
        return Given(tuple(ordered), {}, (), ids)
    if len(others) <= PROVIDER_LIMIT:
        return Given(tuple(others), known, (), ids)
    hosted = [tool for tool in others if tool.get("type") != "function"]
    own = {tool_name(tool): tool for tool in others if tool.get("type") == "function"}
    return Given(tuple(hosted[:PROVIDER_LIMIT]), known | own, tuple(own), ids)


def by_words(tools: Mapping[str, JsonObject], text: str, *, most: int) -> list[str]:
    """The names of the tools that share words with a text, best first: BM25."""
    names = list(tools)
    texts = [words(json.dumps(tools[name], ensure_ascii=False)) for name in names]
    scores = bm25(texts).scores(words(text))
    best = sorted(range(len(names)), key=lambda position: -scores[position])
    return [names[position] for position in best[:most] if scores[position] > 0]


def _fits(tools: Sequence[JsonObject], budget: int | None, counter: TokenCounter) -> bool:
    if budget is None or not tools:
        return True
    text = json.dumps(tools, ensure_ascii=False, separators=(",", ":"))
    # No token is shorter than a byte; where all of them fit, none need be counted.
    return len(text.encode("utf-8", "replace")) <= budget or _tokens(counter, text) <= budget


@lru_cache(maxsize=64)
def _tokens(counter: TokenCounter, text: str) -> int:
    """Counted once for all turns that give the same tools."""
    return counter.count(text)
