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
from toolret.integrations.openai.forms import PROVIDER_LIMIT, RequestForm, as_dict, tool_name
from toolret.json_values import compact_json
from toolret.permissions import Allow, JointLimit, allowed_tools, is_allowed, may_see
from toolret.retrieval.retriever import ToolRetriever
from toolret.text.lexical import bm25_scores, words
from toolret.text.names import ids_by_name
from toolret.tokens import TokenCounter
from toolret.types import Demo, JsonObject, Tool

__all__ = [
    "CallerTools",
    "Names",
    "View",
    "names_by_words",
    "names_of",
    "split_tools",
    "visible_tool",
]

_EARLIER = 4
"""After how many changes of the index's tools a conversation is still recognised."""


@dataclass(frozen=True)
class Names:
    """The names of a snapshot's tools.

    Attributes:
        snapshot: The snapshot of the index.
        earlier: The index's tools before each of its latest changes, the latest first.
    """

    snapshot: Snapshot
    earlier: tuple[Sequence[Tool], ...] = ()

    @cached_property
    def ids(self) -> Mapping[str, str]:
        """The ids of all tools, by their names on the wire."""
        return ids_by_name(self.snapshot.tools.ids)

    @cached_property
    def by_source(self) -> Mapping[tuple[str, str], str]:
        """The ids of tools, by name and description in the source, if no other has the same."""
        ids: dict[tuple[str, str], str] = {}
        for tool in self.snapshot.tools.items:
            same = (tool.name, tool.description.strip())
            ids[same] = "" if same in ids else tool.id
        return {same: tool_id for same, tool_id in ids.items() if tool_id and all(same)}

    def id_of(self, caller_tool: JsonObject) -> str | None:
        """Return the id of a caller's function in the index: by name, or by name and description.

        The source's name alone is not enough: two APIs might share it.
        """
        function = caller_tool.get("function", caller_tool)
        name, description = tool_name(caller_tool), str(function.get("description") or "")
        if name in self.snapshot.tools.positions:
            return name
        return self.ids.get(name) or self.by_source.get((name, description.strip()))


_names_by_retriever: WeakKeyDictionary[ToolRetriever, Names] = WeakKeyDictionary()


def names_of(retriever: ToolRetriever) -> Names:
    """Return the names of the index's current tools; made once for all of its clients."""
    snapshot = retriever.index.snapshot
    names = _names_by_retriever.get(retriever)
    if names is None or names.snapshot is not snapshot:
        earlier = names.earlier if names else ()
        if names and names.snapshot.tools.keys != snapshot.tools.keys:
            earlier = (names.snapshot.tools.items, *earlier)[:_EARLIER]
        _names_by_retriever[retriever] = names = Names(snapshot, earlier)
    return names


@dataclass(frozen=True)
class View:
    """An index as one caller may see it.

    Attributes:
        names: The names of the index's tools.
        allow: The caller's permissions.
    """

    names: Names
    allow: Allow

    def tool(self, tool_id: str) -> Tool | None:
        """Return a tool that the caller may use; None if there is none of that id."""
        shelf = self.names.snapshot.tools
        position = shelf.positions.get(tool_id)
        if position is None:
            return None
        tool = shelf.items[position]
        return tool if is_allowed(tool, self.allow) else None

    def visible(self, caller_tool: JsonObject) -> JsonObject | None:
        """Return a caller's tool without those of the index that it may not use.

        A namespace of Responses may hold several tools; None is returned if nothing is left.
        """
        is_namespace = caller_tool.get("type") == "namespace"
        inner = caller_tool.get("tools") if is_namespace else None
        if isinstance(inner, list | tuple):
            left = [part for part in inner if not isinstance(part, Mapping) or self.visible(part)]
            if len(left) == len(inner):
                return caller_tool
            return {**caller_tool, "tools": left} if left else None
        is_function = caller_tool.get("type") == "function"
        tool_id = self.names.id_of(caller_tool) if is_function else None
        return caller_tool if tool_id is None or self.tool(tool_id) else None

    def may_show(self, demo: Demo) -> bool:
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
        """Return all tools that the caller may use, in order of their ids."""
        tools = self.names.snapshot.tools.items
        allowed = allowed_tools(tools, self.allow)
        if allowed is None:
            return list(tools)
        return [tool for tool, may in zip(tools, allowed, strict=True) if may]

    @cached_property
    def fingerprints(self) -> Sequence[str]:
        """Texts that two callers share only if they may use and see the same.

        The first is that of the current tools. A predicate has to be asked about each tool, so any
        change of the tools may change what it says: then those of the tools before each of the
        latest changes follow.
        """
        if self.allow is None:
            return [""]
        if not callable(self.allow):
            return [json.dumps(sorted(self.allow))]
        granted = self.allow.granted if isinstance(self.allow, JointLimit) else []
        verdicts: dict[int, bool] = {}
        digests = []
        for tools in (self.names.snapshot.tools.items, *self.names.earlier):
            # What did not change is the same object.
            new = [tool for tool in tools if id(tool) not in verdicts]
            verdicts |= {id(tool): is_allowed(tool, self.allow) for tool in new}
            ids = [tool.id for tool in tools if verdicts[id(tool)]]
            digests.append(sha256(json.dumps([granted, ids]).encode()).hexdigest())
        return list(dict.fromkeys(digests))


@dataclass(frozen=True, slots=True)
class CallerTools:
    """The tools that the caller gave with a request.

    Attributes:
        fixed: Tools that are always offered, in the caller's order.
        selectable: Tools that are offered only when chosen, by name.
        unindexed: Names of the selectable tools that the index does not hold.
        ids: Ids of the tools that the index holds, by the caller's names.
    """

    fixed: tuple[JsonObject, ...]
    selectable: Mapping[str, JsonObject]
    unindexed: tuple[str, ...]
    ids: Mapping[str, str]


def visible_tool(tool: Any, form: RequestForm, view: View) -> Any:
    """Return a caller's tool as the user may see it; None if it is forbidden.

    Where permissions count, one that cannot be read is forbidden.
    """
    try:
        normalized = form.normalized(as_dict(tool))
        visible = view.visible(normalized)
    except Exception:  # noqa: BLE001 - it may be anything
        return tool if view.allow is None else None
    return tool if visible is normalized else visible


def split_tools(
    tools: Iterable[JsonObject], view: View, *, budget: int | None, counter: TokenCounter
) -> CallerTools:
    """Split the caller's tools into those always offered and those offered when chosen.

    Functions that the index holds are chosen from if they exceed the budget, or if all tools exceed
    what a request may have; the caller's other functions only if they alone exceed that. Tools that
    the index holds but the caller may not use are dropped.
    """
    known: dict[str, JsonObject] = {}
    others: list[JsonObject] = []
    ids: dict[str, str] = {}
    ordered = []
    for caller_tool in tools:
        tool = view.visible(caller_tool)
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
        return CallerTools(tuple(ordered), {}, (), ids)
    if len(others) <= PROVIDER_LIMIT:
        return CallerTools(tuple(others), known, (), ids)
    hosted = [tool for tool in others if tool.get("type") != "function"]
    own = {tool_name(tool): tool for tool in others if tool.get("type") == "function"}
    return CallerTools(tuple(hosted[:PROVIDER_LIMIT]), known | own, tuple(own), ids)


def names_by_words(tools: Mapping[str, JsonObject], text: str, *, most: int) -> list[str]:
    """Return the names of the tools that share words with a text, best first by BM25."""
    names = list(tools)
    texts = [json.dumps(tools[name], ensure_ascii=False) for name in names]
    scores = bm25_scores(Counter(words(text)), texts)
    best = sorted(range(len(names)), key=lambda position: -scores[position])
    return [names[position] for position in best[:most] if scores[position] > 0]


def _fits(tools: Sequence[JsonObject], budget: int | None, counter: TokenCounter) -> bool:
    """Whether tools, as JSON, fit a budget of tokens."""
    if budget is None or not tools:
        return True
    text = compact_json(tools)
    # A token is at least one byte, so if the bytes fit, nothing has to be counted.
    return len(text.encode("utf-8", "replace")) <= budget or _tokens(counter, text) <= budget


@lru_cache(maxsize=64)
def _tokens(counter: TokenCounter, text: str) -> int:
    """Count the tokens of a text; cached for all turns that give the same tools."""
    return counter.count(text)
