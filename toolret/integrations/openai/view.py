"""The tools that one caller may be offered: the index's, and the caller's own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

from toolret.forking import cached_property
from toolret.index import Snapshot
from toolret.integrations.openai.forms import Form, as_dict, tool_name
from toolret.json_values import compact_json
from toolret.permissions import Allow, allowed_tools, is_allowed, may_see
from toolret.prompt.offers import PROVIDER_LIMIT
from toolret.retrieval.retriever import ToolRetriever
from toolret.text.lexical import bm25_scores, words
from toolret.text.names import ids_by_name
from toolret.tokens import TokenCounter
from toolret.types import Demo, JsonObject, Tool

__all__ = ["Given", "Names", "View", "as_seen", "by_words", "names_of", "told_apart"]


_EARLIER = 4
"""How many changes of the tools a conversation may have slept through, and still be known."""


@dataclass(frozen=True)
class Names:
    """The names of a snapshot's tools.

    Attributes:
        snapshot: The snapshot.
        earlier: The tools before its latest changes, the latest first.
    """

    snapshot: Snapshot
    earlier: tuple[Sequence[Tool], ...] = ()

    @cached_property
    def ids(self) -> Mapping[str, str]:
        """Ids by their names on the wire."""
        return ids_by_name(self.snapshot.tools.ids)

    @cached_property
    def by_source(self) -> Mapping[tuple[str, str], str]:
        """Ids by name and description in the source, where no other tool has the same."""
        ids: dict[tuple[str, str], str] = {}
        for tool in self.snapshot.tools.items:
            same = (tool.name, tool.description.strip())
            ids[same] = "" if same in ids else tool.id
        return {same: tool_id for same, tool_id in ids.items() if tool_id and all(same)}

    def id_of(self, given: JsonObject) -> str | None:
        """The id of a caller's function in the index: by name, or by name and description.

        The source's name alone is not enough: two APIs might share it.
        """
        function = given.get("function", given)
        name, description = tool_name(given), str(function.get("description") or "")
        if name in self.snapshot.tools.positions:
            return name
        return self.ids.get(name) or self.by_source.get((name, description.strip()))


_latest: WeakKeyDictionary[ToolRetriever, Names] = WeakKeyDictionary()


def names_of(retriever: ToolRetriever) -> Names:
    """Return the names of the index's current tools; made once for all of its clients."""
    snapshot = retriever.index.snapshot
    names = _latest.get(retriever)
    if names is None or names.snapshot is not snapshot:
        earlier = names.earlier if names else ()
        if names and names.snapshot.tools.keys != snapshot.tools.keys:
            earlier = (names.snapshot.tools.items, *earlier)[:_EARLIER]
        _latest[retriever] = names = Names(snapshot, earlier)
    return names


@dataclass(frozen=True)
class View:
    """An index as one caller may see it.

    Attributes:
        names: The names of its tools.
        allow: The caller's permissions.
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

    def seen(self, given: JsonObject) -> JsonObject | None:
        """A caller's tool, without what is the index's and forbidden; None if nothing is left."""
        inner = given.get("tools") if given.get("type") == "namespace" else None
        if isinstance(inner, list | tuple):
            left = [each for each in inner if not isinstance(each, Mapping) or self.seen(each)]
            if len(left) == len(inner):
                return given
            return {**given, "tools": left} if left else None
        tool_id = self.names.id_of(given) if given.get("type") == "function" else None
        return given if tool_id is None or self.tool(tool_id) else None

    def shows(self, demo: Demo) -> bool:
        """Whether the caller may be shown a demonstration, and the index holds it unchanged."""
        shelf = self.names.snapshot.demos
        position = shelf.positions.get(demo.id)
        return (
            position is not None
            and shelf.items[position] == demo
            and may_see(demo, self.allow)
            and all(self.tool(tool_id) for tool_id in demo.tools)
        )

    def tools(self) -> list[Tool]:
        """All tools that the caller may use, in order of their ids."""
        tools = self.names.snapshot.tools.items
        allowed = allowed_tools(tools, self.allow)
        if allowed is None:
            return list(tools)
        return [tool for tool, may in zip(tools, allowed, strict=True) if may]

    @cached_property
    def fingerprints(self) -> Sequence[str]:
        """Texts that two callers share only if they may use the same tools.

        The first is of now. A predicate has to be asked about each tool, so any change of the tools
        may change what it says: then others follow, of the tools as they were before.
        """
        if self.allow is None:
            return [""]
        if not callable(self.allow):
            return [json.dumps(sorted(self.allow))]
        verdicts: dict[int, bool] = {}
        found = []
        for tools in (self.names.snapshot.tools.items, *self.names.earlier):
            # What did not change is the same object.
            new = [tool for tool in tools if id(tool) not in verdicts]
            verdicts |= {id(tool): is_allowed(tool, self.allow) for tool in new}
            ids = [tool.id for tool in tools if verdicts[id(tool)]]
            found.append(sha256(json.dumps(ids).encode()).hexdigest())
        return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Given:
    """The tools that the caller gave with a request.

    Attributes:
        kept: Tools that are always offered, in the caller's order.
        open: Tools that are offered only when chosen, by name.
        own: Names of the open tools that the index does not hold.
        ids: Ids of the tools that the index holds, by the caller's names.
    """

    kept: tuple[JsonObject, ...]
    open: Mapping[str, JsonObject]
    own: tuple[str, ...]
    ids: Mapping[str, str]


def as_seen(tool: Any, form: Form, view: View) -> Any:
    """Return a caller's tool as the user may see it; None if it is forbidden.

    Where permissions count, one that cannot be read is forbidden.
    """
    try:
        read = form.given(as_dict(tool))
        seen = view.seen(read)
    except Exception:  # noqa: BLE001 - it may be anything
        return tool if view.allow is None else None
    return tool if seen is read else seen


def told_apart(
    tools: Iterable[JsonObject], view: View, *, budget: int | None, counter: TokenCounter
) -> Given:
    """Split the caller's tools into those always offered and those offered when chosen.

    Functions that the index holds are chosen from if they exceed the budget, or if all tools exceed
    what a request may have; the caller's other functions only if they alone exceed that. Tools that
    the index holds but the caller may not use are dropped.
    """
    known: dict[str, JsonObject] = {}
    others: list[JsonObject] = []
    ids: dict[str, str] = {}
    ordered = []
    for given in tools:
        tool = view.seen(given)
        if tool is None:
            continue
        name = tool_name(tool)
        tool_id = view.names.id_of(tool) if tool.get("type") == "function" else None
        if tool_id is None:
            others.append(tool)
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
    """Return the names of the tools that share words with a text, best first by BM25."""
    names = list(tools)
    texts = [json.dumps(tools[name], ensure_ascii=False) for name in names]
    scores = bm25_scores(Counter(words(text)), texts)
    best = sorted(range(len(names)), key=lambda position: -scores[position])
    return [names[position] for position in best[:most] if scores[position] > 0]


def _fits(tools: Sequence[JsonObject], budget: int | None, counter: TokenCounter) -> bool:
    if budget is None or not tools:
        return True
    text = compact_json(tools)
    # A token is at least one byte, so if the bytes fit, nothing has to be counted.
    return len(text.encode("utf-8", "replace")) <= budget or _tokens(counter, text) <= budget


@lru_cache(maxsize=64)
def _tokens(counter: TokenCounter, text: str) -> int:
    """Count once for all turns that give the same tools."""
    return counter.count(text)
