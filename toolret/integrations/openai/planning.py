"""Plans what a request offers, by the mode that keeps its beginning stable: pure functions.

Providers render a request as tools, then instructions, then the conversation, and cache it by its
beginning. The modes differ in how the model gets other tools in later turns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from toolret.integrations.offers import called_names, names_to_offer
from toolret.integrations.openai.forms import (
    PROVIDER_LIMIT,
    RequestForm,
    callable_tools,
    tool_name,
)
from toolret.integrations.openai.memory import ConversationState, SentTool, ShownExamples
from toolret.integrations.openai.searching import found_names, proxy_tools, search_tool
from toolret.integrations.openai.view import CallerTools, View, names_by_words
from toolret.integrations.tool_choices import chosen_names, without_names
from toolret.prompt.packed import PackedTool, packed_tool
from toolret.retrieval.selection import Selection
from toolret.text.names import wire_name
from toolret.types import JsonObject, Tool

__all__ = ["CallerRequest", "Mode", "Plan", "limited_names_to_offer", "plan"]

Mode: TypeAlias = Literal["grow", "replace", "allowed", "search", "proxy"]
"""How a conversation's later requests differ from its first; see ``wrap``."""

_MAX_BY_WORDS = 32
"""How many of the caller's own tools a turn adds if they are too many for a request: a quarter of
what a request may have, so there is room for some four turns."""

_FIXED_SHARE = 0.75
"""The share of the room for tools that the mode *allowed* begins to fill from a larger catalog: the
rest is for what later turns choose."""


@dataclass(frozen=True, slots=True)
class CallerRequest:
    """A request as the caller made it.

    Attributes:
        form: The form of the API.
        mode: The mode of the client.
        max_offered: The most tools of the index to offer at once.
        items: The conversation as JSON.
        text: The user's last words; empty if there are none.
        tools: The caller's tools.
        choice: The caller's ``tool_choice``.
        view: The part of the index that the caller may use.
        state: The state of the conversation before; None if it is not known.
        trim: Trims a tool by itself to the retriever's budget.
    """

    form: RequestForm
    mode: Mode
    max_offered: int
    items: Sequence[JsonObject]
    text: str
    tools: CallerTools
    choice: Any
    view: View
    state: ConversationState | None
    trim: Callable[[Tool], PackedTool]


@dataclass(frozen=True, slots=True)
class Plan:
    """The planned part of a request, sent instead of the caller's arguments.

    Attributes:
        tools: All tools to send, in order.
        choice: The ``tool_choice``; None for none.
        unsent: Names of tools that the caller's ``tool_choice`` names but that cannot be sent.
        state: The state of the conversation, to be remembered.
    """

    tools: tuple[JsonObject, ...]
    choice: Any
    unsent: tuple[str, ...]
    state: ConversationState


def plan(request: CallerRequest, selection: Selection | None, *, failed: bool = False) -> Plan:
    """Plan what a request offers.

    Args:
        request: The request as the caller made it.
        selection: What was selected for it, packed for OpenAI; None if it has no text, or the
            selection failed.
        failed: Whether the selection failed: then the caller's own tools are offered as they are.
    """
    extras = _extras(request)
    names = _Naming(request, selection, extras)
    required = names.required()
    selected = names.selected(failed=failed)
    room = max(0, PROVIDER_LIMIT - len(request.tools.fixed) - len(extras))
    if not (failed or request.tools.unindexed):
        # What is required is offered even if that is more.
        room = min(room, max(request.max_offered, len(names.offerable(*required))))
    offered = _names_by_mode(request, names, required, selected, room, selection)
    tools = [*request.tools.fixed, *(names.as_sent(name) for name in offered), *extras]
    may_call = [name for tool in callable_tools(tools) if (name := tool_name(tool))]
    sent = {*may_call, *request.form.loaded_names(request.items)}
    unsent = tuple(name for name in chosen_names(request.choice) if name not in sent)
    state = ConversationState(
        offered=offered,
        tools=names.sent_tools(offered),
        examples=_examples(request, names, selection),
        callable={name: names.id_of(name) for name in may_call},
        found=_found_names(request),
        selected=tuple(selected),
        begun=bool(selection or request.state or request.mode == "proxy"),
    )
    choice = without_names(request.choice, unsent) if unsent else request.choice
    if request.mode == "allowed":
        choice = _allowed_choice(request, names, {*required, *selected}) or choice
    return Plan(tuple(tools), choice, unsent, state)


def _names_by_mode(
    request: CallerRequest,
    names: _Naming,
    required: Sequence[str],
    selected: Sequence[str],
    room: int,
    selection: Selection | None,
) -> tuple[str, ...]:
    """Return the names of the tools that may change between requests, as the mode has it."""
    before = names.not_renamed(request.state.offered) if request.state else ()
    if request.mode == "proxy":
        before, selected = (), ()
    elif request.mode == "search" and request.state:
        selected = ()
    elif request.mode == "replace":
        before = ()
    elif request.mode == "allowed" and not request.state:
        before = names.initial(selection, room)
    known = names.offerable(*before, *required, *selected)
    return limited_names_to_offer(before, required, selected, known, most=room)


def limited_names_to_offer(
    offered: Sequence[str],
    called: Sequence[str],
    selected: Sequence[str],
    known: Collection[str],
    *,
    most: int,
) -> tuple[str, ...]:
    """Return at most ``most`` names to offer now; otherwise as ``names_to_offer``.

    A list that would grow longer starts over: what was offered before stays only if it is called or
    selected now, so the prompt's beginning changes once instead of in every turn that follows.
    """
    names = names_to_offer(offered, called, selected, known)
    if len(names) <= most:
        return names
    wanted = {*called, *selected}
    names = names_to_offer([name for name in offered if name in wanted], called, selected, known)
    if len(names) <= most:
        return names
    # What the conversation calls takes precedence over what is merely selected.
    kept = {*names_to_offer((), called, selected, known)[:most]}
    return tuple(name for name in names if name in kept)


def _found_names(request: CallerRequest) -> tuple[str, ...]:
    """Return the names of the tools that the model has found.

    A request that continues another by its id holds only what is new: the state has the rest.
    """
    before = request.state or ConversationState()
    now = found_names(request.items, request.mode, before.searches)
    return tuple(dict.fromkeys([*before.found, *now]))


def _extras(request: CallerRequest) -> tuple[JsonObject, ...]:
    """Return the tools with which the model searches, except those that the caller gave."""
    tools: tuple[JsonObject, ...] = ()
    if request.mode in ("proxy", "search"):
        tools = proxy_tools(request.form) if request.mode == "proxy" else (search_tool(),)
    caller_tools = {(tool.get("type"), tool_name(tool)) for tool in request.tools.fixed}
    return tuple(tool for tool in tools if (tool["type"], tool_name(tool)) not in caller_tools)


def _allowed_choice(request: CallerRequest, names: _Naming, chosen: Iterable[str]) -> Any:
    """Return the ``tool_choice`` of the mode *allowed*; None if the caller made its own."""
    mode = request.choice if isinstance(request.choice, str) else ""
    if request.choice is not None and mode not in ("auto", "required"):
        return None
    callable_now = [names.as_sent(name) for name in sorted(names.offerable(*chosen))]
    allowed = [*request.tools.fixed, *callable_now]
    if not allowed:
        return None if mode == "required" else "none"
    return request.form.allowed_tools(mode or "auto", allowed)


def _examples(
    request: CallerRequest, names: _Naming, selection: Selection | None
) -> tuple[ShownExamples, ...]:
    """Return the conversation's worked examples: earlier ones in their places, then new ones.

    In the mode *proxy* the search's answers hold them instead.
    """
    if request.mode == "proxy":
        return ()
    before = request.state.examples if request.state and request.mode != "replace" else ()
    shown = [block for block in before if all(map(request.view.may_show, block.demos))]
    latest = sum(item.get("role") == "user" for item in request.items) - 1
    if selection is None or any(block.before >= latest for block in shown):
        return tuple(shown)
    known = {demo.id for block in shown for demo in block.demos}
    new = tuple(demo for demo in selection.packed.demos if demo.id not in known)
    if latest >= 0 and new:
        ids = {demo.id for demo in new}
        text = replace(selection.packed, demos=new).examples(names.aliases)
        demos = tuple(hit.demo for hit in selection.demos if hit.demo.id in ids)
        shown.append(ShownExamples(latest, text, demos))
    return tuple(shown)


class _Naming:
    """The tools of one request, by the names that the model sees.

    Args:
        request: The request.
        selection: What was selected for it, if anything.
        extras: The tools with which the model searches.

    Attributes:
        aliases: The caller's names for tools of the index, by their names on the wire.
    """

    def __init__(
        self, request: CallerRequest, selection: Selection | None, extras: Iterable[JsonObject]
    ) -> None:
        self._request = request
        self._selected: dict[str, SentTool] = {}
        if selection:
            tools = {hit.tool.id: packed_tool(hit.tool) for hit in selection.tools}
            trimmed = selection.packed.tools
            self._selected = {tool.id: SentTool(tools[tool.id], tool) for tool in trimmed}
        self._before = request.state.tools if request.state else {}
        self._sent: dict[str, SentTool] = {}
        self._caller_names = {tool_id: name for name, tool_id in request.tools.ids.items()}
        self._always_offered = {tool_name(tool) for tool in (*request.tools.fixed, *extras)}
        self.aliases: Mapping[str, str] = {
            wire_name(tool_id): name for tool_id, name in self._caller_names.items()
        }

    def name_of(self, tool_id: str) -> str:
        """Return the caller's name for a tool, else its name on the wire."""
        return self._caller_names.get(tool_id) or wire_name(tool_id)

    def not_renamed(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the names that are still in use: the caller may have given a tool another one."""
        return tuple(name for name in names if self.aliases.get(name, name) == name)

    def id_of(self, name: str) -> str:
        """Return the id of a tool of the index; for a tool that it does not hold, the name."""
        return self._request.tools.ids.get(name) or self._request.view.names.ids.get(name) or name

    def selected(self, *, failed: bool) -> list[str]:
        """Return the names of the selected tools, best first.

        If nothing was said, they are those of the request before; if selection failed, they are
        the caller's tools, first those that were offered before.
        """
        state, tools = self._request.state, self._request.tools
        if failed:
            before = [name for name in state.offered if name in tools.selectable] if state else []
            return list(dict.fromkeys([*before, *tools.selectable]))[:PROVIDER_LIMIT]
        if state and not self._request.text:  # only what tools have answered
            return list(state.selected)
        names = [self.name_of(tool_id) for tool_id in self._selected]
        if tools.unindexed:
            unindexed = {name: tools.selectable[name] for name in tools.unindexed}
            names += names_by_words(unindexed, self._request.text, most=_MAX_BY_WORDS)
        return names

    def required(self) -> list[str]:
        """Return the names that must not be missing.

        They are those in ``tool_choice``, and those that the conversation calls.
        """
        request = self._request
        loaded = request.form.loaded_names(request.items)
        names = [*chosen_names(request.choice), *called_names(request.items)]
        return [name for name in names if name not in loaded]

    def initial(self, selection: Selection | None, room: int) -> tuple[str, ...]:
        """Return the fixed list of the mode *allowed*: all tools, or the likeliest of them."""
        tools = self._request.view.tools()
        if len(tools) + len(self._request.tools.unindexed) > room and selection:
            hits = selection.ranked[: math.ceil(room * _FIXED_SHARE)]
            return tuple(self.name_of(hit.tool.id) for hit in hits)
        return tuple(self.name_of(tool.id) for tool in tools[:room])

    def offerable(self, *names: str) -> set[str]:
        """Return those of the names that can be offered and are not always offered anyway."""
        others = (name for name in names if name not in self._always_offered)
        return {name for name in others if self._can_offer(name)}

    def as_sent(self, name: str) -> JsonObject:
        """Return the tool of a name that can be offered, as it is sent."""
        caller_tool = self._request.tools.selectable.get(name)
        if caller_tool is not None:
            return caller_tool
        return self._request.form.function(self._sent_tool(name).trimmed)

    def sent_tools(self, names: Sequence[str]) -> Mapping[str, SentTool]:
        """Return the index's tools of these names, as they are sent."""
        selectable = self._request.tools.selectable
        sent = {name: self._sent_tool(name) for name in names if name not in selectable}
        return self._before if sent == self._before else sent

    def _can_offer(self, name: str) -> bool:
        if name in self._request.tools.selectable:
            return True
        tool_id = self._request.view.names.ids.get(name)
        return tool_id is not None and self._request.view.tool(tool_id) is not None

    def _sent_tool(self, name: str) -> SentTool:
        """Return a tool as it was sent before, else as it was selected, else trimmed alone.

        It is cached, since trimming takes time.
        """
        if name not in self._sent:
            tool_id = self.id_of(name)
            tool = self._request.view.tool(tool_id)
            assert tool is not None, "only what can be offered is sent"  # noqa: S101
            untrimmed = packed_tool(tool)
            candidates = (self._before.get(name), self._selected.get(tool_id))
            same = (sent for sent in candidates if sent and sent.untrimmed == untrimmed)
            self._sent[name] = next(same, None) or SentTool(untrimmed, self._request.trim(tool))
        return self._sent[name]
