"""Plans what a request offers, by the mode that keeps its beginning stable: pure functions.

Providers render a request as tools, then instructions, then the conversation, and cache it by its
beginning. The modes differ in how the model gets other tools in later turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from toolret.integrations.openai.forms import Form, callables, tool_name
from toolret.integrations.openai.memory import Sent, Shown, State
from toolret.integrations.openai.searching import found_names, proxy_tools, search_tool
from toolret.integrations.openai.view import Given, View, by_words
from toolret.integrations.tool_choices import chosen, without
from toolret.prompt.offers import PROVIDER_LIMIT, called_names, limited_names_to_offer
from toolret.prompt.packed import PackedTool, packed_tool
from toolret.retrieval.selection import Selection
from toolret.text.names import wire_name
from toolret.types import JsonObject, Tool

__all__ = ["Asked", "Mode", "Plan", "plan"]

Mode: TypeAlias = Literal["grow", "replace", "allowed", "search", "proxy"]
"""How a conversation's later requests differ from its first; see ``wrap``."""

_BY_WORDS = 32
"""How many of the caller's own tools a turn adds if they are too many for a request: a quarter of
what a request may have, so there is room for some four turns."""

_FIXED = 96
"""How many tools of a larger catalog the mode *allowed* begins with: three quarters of what a
request may have; the rest is for what later turns choose."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the caller made it.

    Attributes:
        form: The API.
        mode: How to offer tools.
        max_offered: The most tools of the index to offer at once.
        items: The conversation as JSON.
        text: The user's last words; empty if there are none.
        given: The caller's tools.
        choice: The caller's ``tool_choice``.
        view: The part of the index that the caller may use.
        state: What the conversation was offered before; None if it is not known.
        trim: Trims a tool by itself to the retriever's budget.
    """

    form: Form
    mode: Mode
    max_offered: int
    items: Sequence[JsonObject]
    text: str
    given: Given
    choice: Any
    view: View
    state: State | None
    trim: Callable[[Tool], PackedTool]


@dataclass(frozen=True, slots=True)
class Plan:
    """The planned part of a request, sent instead of the caller's arguments.

    Attributes:
        tools: All tools, in order.
        choice: The ``tool_choice``; None for none.
        unsent: Tools that the caller's ``tool_choice`` names but that cannot be sent.
        state: What to remember.
    """

    tools: tuple[JsonObject, ...]
    choice: Any
    unsent: tuple[str, ...]
    state: State


def plan(asked: Asked, selection: Selection | None, *, failed: bool = False) -> Plan:
    """Plan what a request offers.

    Args:
        asked: The request.
        selection: What was selected for it, packed for OpenAI; None if it has no text, or the
            selection failed.
        failed: Whether the selection failed: then the caller's own tools are offered as they are.
    """
    extras = _extras(asked)
    names = _Naming(asked, selection, extras)
    room = max(0, PROVIDER_LIMIT - len(asked.given.kept) - len(extras))
    wanted = names.wanted()
    selected = names.selected(failed=failed)
    if not (failed or asked.given.own or asked.mode == "allowed"):
        room = min(room, max(asked.max_offered, len(names.known(*wanted))))
    offered = _offered(asked, names, wanted, selected, room, selection)
    tools = [*asked.given.kept, *(names.written(name) for name in offered), *extras]
    choice = _narrowed(asked, names, {*wanted, *selected}) if asked.mode == "allowed" else None
    may_call = [name for tool in callables(tools) if (name := tool_name(tool))]
    sent = {*may_call, *asked.form.loaded(asked.items)}
    unsent = tuple(name for name in chosen(asked.choice) if name not in sent)
    state = State(
        offered=offered,
        tools=names.kept(offered),
        examples=_examples(asked, names, selection),
        callable={name: names.id_of(name) for name in may_call},
        found=_found(asked),
        selected=tuple(selected),
        begun=bool(selection or asked.state or asked.mode == "proxy"),
    )
    left = without(asked.choice, unsent) if unsent else asked.choice
    return Plan(tuple(tools), choice or left, unsent, state)


def _offered(
    asked: Asked,
    names: _Naming,
    wanted: Sequence[str],
    selected: Sequence[str],
    room: int,
    selection: Selection | None,
) -> tuple[str, ...]:
    """Return the names of the tools that may change between requests, by mode."""
    before = names.alone(asked.state.offered) if asked.state else ()
    if asked.mode == "proxy":
        before, selected = (), ()
    elif asked.mode == "search" and asked.state:
        selected = ()
    elif asked.mode == "replace":
        before = ()
    elif asked.mode == "allowed" and not asked.state:
        before = names.base(selection, room)
    known = names.known(*before, *wanted, *selected)
    return limited_names_to_offer(before, wanted, selected, known, most=room)


def _found(asked: Asked) -> tuple[str, ...]:
    """Return what the model has found: a request that goes on by id holds only what is new."""
    before = asked.state or State()
    now = found_names(asked.items, asked.mode, before.searches)
    return tuple(dict.fromkeys([*before.found, *now]))


def _extras(asked: Asked) -> tuple[JsonObject, ...]:
    """Return the tools with which the model searches, but for those that the caller gave."""
    tools: tuple[JsonObject, ...] = ()
    if asked.mode in ("proxy", "search"):
        tools = proxy_tools(asked.form) if asked.mode == "proxy" else (search_tool(),)
    there = {(tool.get("type"), tool_name(tool)) for tool in asked.given.kept}
    return tuple(tool for tool in tools if (tool["type"], tool_name(tool)) not in there)


def _narrowed(asked: Asked, names: _Naming, chosen: Iterable[str]) -> Any:
    """Return the ``tool_choice`` of the mode *allowed*; None if the caller made its own."""
    asked_for = asked.choice if isinstance(asked.choice, str) else ""
    if asked.choice is not None and asked_for not in ("auto", "required"):
        return None
    callable_now = [names.written(name) for name in sorted(names.known(*chosen))]
    allowed = [*asked.given.kept, *callable_now]
    if not allowed:
        return None if asked_for == "required" else "none"
    return asked.form.allowed_tools(asked_for or "auto", allowed)


def _examples(asked: Asked, names: _Naming, selection: Selection | None) -> tuple[Shown, ...]:
    """Return the conversation's worked examples: earlier ones in their places, then new ones.

    In the mode *proxy* the search's answers hold them instead.
    """
    if asked.mode == "proxy":
        return ()
    before = asked.state.examples if asked.state and asked.mode != "replace" else ()
    shown = [each for each in before if all(map(asked.view.shows, each.demos))]
    latest = sum(item.get("role") == "user" for item in asked.items) - 1
    if selection is None or any(each.before >= latest for each in shown):
        return tuple(shown)
    known = {demo.id for each in shown for demo in each.demos}
    new = tuple(demo for demo in selection.packed.demos if demo.id not in known)
    if latest >= 0 and new:
        ids = {demo.id for demo in new}
        text = replace(selection.packed, demos=new).examples(names.aliases)
        demos = tuple(hit.demo for hit in selection.demos if hit.demo.id in ids)
        shown.append(Shown(latest, text, demos))
    return tuple(shown)


class _Naming:
    """The tools of one request by the names that the model sees."""

    def __init__(
        self, asked: Asked, selection: Selection | None, extras: Iterable[JsonObject]
    ) -> None:
        self._asked = asked
        self._found: dict[str, Sent] = {}
        if selection:
            tools = {hit.tool.id: packed_tool(hit.tool) for hit in selection.tools}
            self._found = {form.id: Sent(tools[form.id], form) for form in selection.packed.tools}
        self._before = asked.state.tools if asked.state else {}
        self._sent: dict[str, Sent] = {}
        given = asked.given
        self._name = {tool_id: name for name, tool_id in given.ids.items()}
        self._kept = {tool_name(tool) for tool in (*given.kept, *extras)}
        self.aliases: Mapping[str, str] = {wire_name(id_): name for id_, name in self._name.items()}

    def of(self, tool_id: str) -> str:
        """The caller's name for a tool, else its name on the wire."""
        return self._name.get(tool_id) or wire_name(tool_id)

    def alone(self, names: Sequence[str]) -> tuple[str, ...]:
        """Names under which a tool is still offered: the caller may have given it another."""
        return tuple(name for name in names if self.aliases.get(name, name) == name)

    def id_of(self, name: str) -> str:
        """The id of an index's tool; for a tool that the index does not hold, its name."""
        given = self._asked.given
        return given.ids.get(name) or self._asked.view.names.ids.get(name) or name

    def selected(self, *, failed: bool) -> list[str]:
        """Names of the selected tools, best first.

        If nothing was said, they are those of the request before; if selection failed, they are of
        given tools, first those that were offered before.
        """
        given = self._asked.given
        if failed:
            before = self._asked.state.offered if self._asked.state else ()
            stay = [name for name in before if name in given.open]
            return list(dict.fromkeys([*stay, *given.open]))[:PROVIDER_LIMIT]
        if self._asked.state and not self._asked.text:  # only what tools have answered
            return list(self._asked.state.selected)
        names = [self.of(tool_id) for tool_id in self._found]
        if given.own:
            own = {name: given.open[name] for name in given.own}
            names += by_words(own, self._asked.text, most=_BY_WORDS)
        return names

    def wanted(self) -> list[str]:
        """Names that must not be missing: in ``tool_choice``, or called in the conversation."""
        asked = self._asked
        loaded = asked.form.loaded(asked.items)
        names = [*chosen(asked.choice), *called_names(asked.items)]
        return [name for name in names if name not in loaded]

    def base(self, selection: Selection | None, room: int) -> tuple[str, ...]:
        """The fixed list of the mode *allowed*: the whole catalog, or its likeliest tools."""
        tools = self._asked.view.tools()
        if len(tools) + len(self._asked.given.own) > room and selection:
            return tuple(self.of(hit.tool.id) for hit in selection.ranked[: min(room, _FIXED)])
        return tuple(self.of(tool.id) for tool in tools[:room])

    def known(self, *names: str) -> set[str]:
        """Filter names to those that can be offered and are not always offered anyway."""
        return {name for name in names if name not in self._kept and self._there(name)}

    def written(self, name: str) -> JsonObject:
        """Return the tool of a name that can be offered, as it is sent."""
        given = self._asked.given.open.get(name)
        return given if given is not None else self._asked.form.function(self._as_sent(name).form)

    def kept(self, names: Sequence[str]) -> Mapping[str, Sent]:
        """Return the index's tools of these names, as they are sent."""
        given = self._asked.given.open
        kept = {name: self._as_sent(name) for name in names if name not in given}
        return self._before if kept == self._before else kept

    def _there(self, name: str) -> bool:
        if name in self._asked.given.open:
            return True
        tool_id = self._asked.view.names.ids.get(name)
        return tool_id is not None and self._asked.view.tool(tool_id) is not None

    def _as_sent(self, name: str) -> Sent:
        """Return a tool as it was sent before, else as it was selected, else trimmed alone."""
        if name not in self._sent:
            tool_id = self.id_of(name)
            tool = self._asked.view.tool(tool_id)
            assert tool is not None, "only what is known is written"  # noqa: S101
            whole = packed_tool(tool)
            forms = (self._before.get(name), self._found.get(tool_id))
            same = (sent for sent in forms if sent and sent.whole == whole)
            self._sent[name] = next(same, None) or Sent(whole, self._asked.trim(tool))
        return self._sent[name]
