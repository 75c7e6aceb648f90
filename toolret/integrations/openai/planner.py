"""Turns the arguments of a call into those that are sent: reads, selects, plans, and writes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from toolret.errors import InputError
from toolret.forking import RenewedLock
from toolret.integrations.openai.access import current_permissions, intersection
from toolret.integrations.openai.forms import (
    CHAT,
    PROVIDER_LIMIT,
    RESPONSES,
    RequestForm,
    as_choice,
    as_dict,
    as_items,
    as_json,
    value_or_none,
)
from toolret.integrations.openai.memory import (
    ConversationState,
    Memory,
    ShownExamples,
    beginning_digests,
)
from toolret.integrations.openai.offered import Finder, Offered
from toolret.integrations.openai.planning import CallerRequest, Mode, Plan, plan
from toolret.integrations.openai.searching import found_names, search_ids
from toolret.integrations.openai.view import View, names_of, split_tools, visible_tool
from toolret.json_values import short_repr
from toolret.permissions import Allow, JointLimit, fail_closed
from toolret.prompt import pack_alone
from toolret.queries import as_request
from toolret.retrieval.retriever import ToolRetriever
from toolret.retrieval.selection import Selection
from toolret.text.names import DISCOVER
from toolret.types import JsonObject, Request

__all__ = ["Planner", "earlier_id", "with_lists"]

_log = logging.getLogger(__name__)

_memories: WeakKeyDictionary[ToolRetriever, Memory] = WeakKeyDictionary()
_memories_lock = RenewedLock()

_ONLY_WITH_TOOLS = ("parallel_tool_calls", "tool_choice", "tools")
"""Arguments that OpenAI refuses in a request without tools."""


def with_lists(form: RequestForm, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with lists in place of iterators, which can be read only once."""
    arguments = dict(options)
    for name in (form.items, "tools"):
        if isinstance(options.get(name), Iterator):
            arguments[name] = list(options[name])
    return arguments


@dataclass(frozen=True, slots=True)
class _Draft:
    """A call that is being planned.

    Attributes:
        options: The arguments of the call.
        request: The call as a request.
        search: What to search for; None if no tools are to be selected.
        owners: The owners that the conversation's state may have, see ``Memory``.
        beginnings: Digests of the conversation's beginnings.
    """

    options: Mapping[str, Any]
    request: CallerRequest
    search: Request | None
    owners: Sequence[str]
    beginnings: Sequence[str]

    @property
    def select_options(self) -> dict[str, Any]:
        """Arguments for ``select``; the mode *allowed* first ranks as many as may be offered."""
        begins = self.request.mode == "allowed" and not self.request.state
        return {"allow": self.request.view.allow, "depth": PROVIDER_LIMIT if begins else 0}


class Planner:
    """Plans the requests of a client.

    Args:
        retriever: Selects the tools and examples.
        mode: How later requests of a conversation differ from its first.
        allow: The permissions for requests without ``permitting``.
        max_offered: The most tools of the index to offer at once.
        within: What any request may use at most, also within ``permitting``.
    """

    def __init__(
        self,
        retriever: ToolRetriever,
        *,
        mode: Mode,
        allow: Allow,
        max_offered: int,
        within: JointLimit | None = None,
    ) -> None:
        self._retriever = retriever
        self._mode = mode
        self._allow = fail_closed(allow)
        self._within = within
        self._max_offered = max_offered
        self._memory = _memory(retriever)

    def prepare(self, form: RequestForm, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments to send instead of a call's; never raises."""
        try:
            draft = self._draft(form, options)
            if draft is not None:
                return self._plan(draft, *self._select(draft))
        except Exception as error:  # noqa: BLE001 - the caller's call goes out all the same
            _warn(error)
        return self._unplanned_arguments(form, options)

    async def aprepare(self, form: RequestForm, options: Mapping[str, Any]) -> dict[str, Any]:
        """``prepare`` for event loops."""
        try:
            # In a worker: a predicate is called for all tools, and a conversation may be long.
            draft = await asyncio.to_thread(self._draft, form, options)
            if draft is not None:
                return await asyncio.to_thread(self._plan, draft, *await self._aselect(draft))
        except Exception as error:  # noqa: BLE001 - as above
            _warn(error)
        return await asyncio.to_thread(self._unplanned_arguments, form, options)

    def _unplanned_arguments(self, form: RequestForm, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call that is not planned, without tools that are forbidden.

        If it cannot be determined which are, all are left out, unless everything is allowed.
        """
        may_send = []
        try:
            view = self._view()
            tools = as_items(options.get("tools"))
            visible = (visible_tool(tool, form, view) for tool in tools)
            may_send = [tool for tool in visible if tool is not None]
            if [*map(id, may_send)] == [*map(id, tools)]:
                return dict(options)
        except Exception as error:  # noqa: BLE001 - as above
            _warn(error)
            if self._limit() is None:
                return dict(options)
        # A ``tool_choice`` may name what is left out.
        arguments = _without_tools(options)
        return arguments | {"tools": may_send} if may_send else arguments

    def _select(self, draft: _Draft) -> tuple[Selection | None, bool]:
        """Select tools for a call, if it says anything; return them, and whether that failed."""
        if draft.search is None:
            return None, False
        try:
            selection = self._retriever.select(draft.search, **draft.select_options)
            return _packed_for_openai(selection), False
        except Exception as error:  # noqa: BLE001 - as above
            _warn(error)
            return None, True

    async def _aselect(self, draft: _Draft) -> tuple[Selection | None, bool]:
        """``_select`` for event loops."""
        if draft.search is None:
            return None, False
        try:
            selection = await self._retriever.aselect(draft.search, **draft.select_options)
            return await asyncio.to_thread(_packed_for_openai, selection), False
        except Exception as error:  # noqa: BLE001 - as above
            _warn(error)
            return None, True

    def remember_reply(self, form: RequestForm, options: Mapping[str, Any], reply: Any) -> None:
        """Remember a response by its id, which the next request may name in place of its items."""
        if form is not RESPONSES:
            return
        try:
            reply_id, output = _id_and_output(reply)
            if not isinstance(reply_id, str):
                return
            view = self._view()
            owners = _owners(self._mode, view, earlier_id(options))
            beginnings = beginning_digests(_items(options.get("input")))
            if state := self._memory.recall(owners, beginnings):
                state = state.for_continuation(search_ids(output))
                self._memory.keep(_owners(self._mode, view, reply_id)[0], beginnings[0], state)
                if value_or_none(options.get("conversation")) is not None:
                    self._memory.keep(owners[0], beginnings[0], state)
        except Exception as error:  # noqa: BLE001 - the caller gets its reply all the same
            _warn(error)

    def offered(self, messages: str | Sequence[Any], continued: str | None) -> Offered:
        """Return what a conversation's latest request offered, as far as it is still allowed."""
        view = self._view()
        items = _items(messages)
        beginnings = beginning_digests(items)
        names: dict[str, str] = {}
        found: tuple[str, ...] = ()
        # The messages may not tell whether it was by Chat Completions or by Responses.
        for mode in dict.fromkeys(_mode_of(self._mode, form) for form in (CHAT, RESPONSES)):
            owners = _owners(mode, view, continued or "")
            state = self._memory.recall(owners, beginnings) or ConversationState()
            names |= state.callable
            found += state.found
        proxy = self._mode in ("proxy", "search") and DISCOVER in names
        found += found_names(items, "proxy" if proxy else self._mode)
        names |= {name: id_ for name in found if (id_ := view.names.ids.get(name))}
        positions = view.names.snapshot.tools.positions
        callable_now = {
            name: id_ for name, id_ in names.items() if id_ not in positions or view.tool(id_)
        }
        return Offered(
            callable_now,
            Finder(self._retriever, view.allow),
            proxy=proxy,
            tool_search=self._mode == "search",
        )

    def _draft(self, form: RequestForm, options: Mapping[str, Any]) -> _Draft | None:
        """Read a call that is to be planned; None if tools cannot be added to it."""
        if form.items not in options or options.get("functions"):
            return None
        mode = _mode_of(self._mode, form)
        view = self._view()
        tools = [form.normalized(as_dict(tool)) for tool in as_items(options.get("tools"))]
        items = _items(options[form.items])
        owners, beginnings = _owners(mode, view, earlier_id(options)), beginning_digests(items)
        state = self._memory.recall(owners, beginnings)
        budget, counter = self._retriever.token_budget, self._retriever.counter
        search = _search_request(items)
        request = CallerRequest(
            form,
            mode,
            max_offered=self._max_offered,
            items=items,
            text=search.text if search else "",
            tools=split_tools(tools, view, budget=budget, counter=counter),
            choice=as_choice(options.get("tool_choice")),
            view=view,
            state=state if state and state.begun else None,
            trim=partial(pack_alone, budget=budget, form="openai", counter=counter),
        )
        # In *proxy*, the model asks for what is chosen.
        return _Draft(options, request, None if mode == "proxy" else search, owners, beginnings)

    def _plan(self, draft: _Draft, selection: Selection | None, failed: bool) -> dict[str, Any]:
        """Plan a call, remember its state, and return the arguments to send."""
        planned = plan(draft.request, selection, failed=failed)
        owner, start, latest = draft.owners[0], draft.beginnings[0], draft.beginnings[-1]
        if latest != start:
            # Otherwise nothing was said yet, and all conversations would share the key.
            self._memory.keep(owner, latest, planned.state)
        if value_or_none(draft.options.get("conversation")) is not None:
            # The next request holds only what is new, and this id.
            self._memory.keep(owner, start, planned.state.for_continuation())
        return _arguments_to_send(draft, planned)

    def _view(self) -> View:
        return View(names_of(self._retriever), self._limit())

    def _limit(self) -> Allow:
        return intersection(current_permissions(self._allow), self._within)


def _memory(retriever: ToolRetriever) -> Memory:
    """Return one memory for all clients of a retriever: each request may make its own client."""
    with _memories_lock.current:
        return _memories.setdefault(retriever, Memory())


def _mode_of(mode: Mode, form: RequestForm) -> Mode:
    """Return the mode in which an API works: Chat Completions have no ``tool_search``."""
    return "proxy" if mode == "search" and form is CHAT else mode


def _items(conversation: Any) -> list[dict[str, Any]]:
    """Return the items of a conversation, messages or ``input``, as JSON."""
    return [as_json(item) for item in as_items(conversation)]


def _owners(mode: Mode, view: View, earlier: str) -> list[str]:
    """Return the owners that a conversation's state may have, the latest first; see ``Memory``.

    Args:
        mode: The mode in which the conversation is offered tools.
        view: The part of the index that the user may use.
        earlier: The id of what it continues, at the provider; empty if it continues nothing.
    """
    return [f"{mode}\0{fingerprint}\0{earlier}" for fingerprint in view.fingerprints]


def _packed_for_openai(selection: Selection) -> Selection:
    """Return a selection with its prompt in OpenAI's format.

    Raises:
        BudgetError: If that is not the retriever's, and the budget holds none of the tools.
    """
    return replace(selection, packed=selection.packed_as("openai"))


def _search_request(items: Sequence[JsonObject]) -> Request | None:
    """Return what to search for; None if nothing was said. The result of a call is no request."""
    # Items without either refer to what the provider has.
    readable = [item for item in items if "role" in item or "type" in item]
    if not any(item.get("role") == "user" for item in readable):
        readable = [item for item in readable if item.get("role", "tool") != "tool"]
    try:
        return as_request(readable)
    except InputError:
        return None


def earlier_id(options: Mapping[str, Any]) -> str:
    """Return the id of the conversation or response that a request continues, if any."""
    conversation = value_or_none(options.get("conversation"))
    if conversation is not None and not isinstance(conversation, str):
        conversation = as_json(conversation).get("id")
    return str(conversation or value_or_none(options.get("previous_response_id")) or "")


def _id_and_output(reply: Any) -> tuple[Any, Any]:
    """Return a response's id and items, also of a raw one that was read; no id for streams."""
    http = getattr(reply, "http_response", None)
    if http is not None:
        content = as_json(http.json()) if http.is_closed else {}
        return content.get("id"), content.get("output", ())
    return getattr(reply, "id", None), getattr(reply, "output", ())


def _arguments_to_send(draft: _Draft, planned: Plan) -> dict[str, Any]:
    """Return the arguments to send, changed only where the plan differs."""
    form, options = draft.request.form, dict(draft.options)
    if planned.state.examples:
        options[form.items] = _with_examples(draft, planned.state.examples)
    if planned.tools:
        options["tools"] = list(planned.tools)
    else:
        options = _without_tools(options)
    if planned.unsent:
        _log.warning(
            "tool_choice names %s, which the request cannot have: it goes out without",
            ", ".join(map(short_repr, planned.unsent)),
        )
        options.pop("tool_choice", None)
    if planned.choice is not None and planned.tools:
        options["tool_choice"] = planned.choice
    return options


def _without_tools(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in _ONLY_WITH_TOOLS}


def _with_examples(draft: _Draft, examples: Sequence[ShownExamples]) -> list[Any]:
    """Return the conversation with worked examples before the messages that they are for."""
    users = [place for place, item in enumerate(draft.request.items) if item.get("role") == "user"]
    items = as_items(draft.options[draft.request.form.items])
    for block in reversed(examples):
        if block.before < len(users):
            items.insert(users[block.before], {"role": "system", "content": block.text})
    return items


def _warn(error: Exception) -> None:
    _log.warning(
        "no tools could be selected, so the request goes out with the caller's own: %s: %s",
        type(error).__name__,
        error,
    )
