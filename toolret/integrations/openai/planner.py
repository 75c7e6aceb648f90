"""Turns the arguments of a call into those that are sent: read, select, plan, write."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from toolret.errors import InputError
from toolret.forking import RenewedLock
from toolret.integrations.openai.forms import (
    CHAT,
    RESPONSES,
    Form,
    as_choice,
    as_dict,
    as_items,
    given,
    plain,
)
from toolret.integrations.openai.memory import Memory, Shown, State, beginnings
from toolret.integrations.openai.offered import Finder, Offered
from toolret.integrations.openai.planning import Asked, Mode, Plan, plan
from toolret.integrations.openai.searching import found_names, search_ids
from toolret.integrations.openai.view import View, as_seen, names_of, told_apart
from toolret.json_values import short_repr
from toolret.permissions import Allow, fail_closed, is_allowed
from toolret.prompt import pack_alone
from toolret.prompt.offers import DISCOVER, PROVIDER_LIMIT
from toolret.queries import as_request
from toolret.retrieval.retriever import ToolRetriever
from toolret.retrieval.selection import Selection
from toolret.types import JsonObject, Request

__all__ = ["Planner", "both", "earlier_id", "listed", "permitted_here", "permitting"]

_log = logging.getLogger(__name__)

_allowed: ContextVar[tuple[Allow] | None] = ContextVar("toolret_allowed", default=None)

_memories: WeakKeyDictionary[ToolRetriever, Memory] = WeakKeyDictionary()
_remembering = RenewedLock()

_ONLY_WITH_TOOLS = ("parallel_tool_calls", "tool_choice", "tools")
"""Arguments that OpenAI refuses in a request without tools."""


def listed(form: Form, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with iterators read into lists, which can be read again."""
    read = dict(options)
    for name in (form.items, "tools"):
        if isinstance(options.get(name), Iterator):
            read[name] = list(options[name])
    return read


@contextmanager
def permitting(allow: Allow) -> Iterator[None]:
    """Set what the user of the requests within may use, overriding ``wrap``'s ``allow``.

    Threads other than those of ``asyncio`` do not inherit it: there, ``wrap``'s applies.

    Args:
        allow: The permissions that the user holds, or a predicate over tools.
    """
    token = _allowed.set((fail_closed(allow),))
    try:
        yield
    finally:
        _allowed.reset(token)


def permitted_here() -> Allow:
    """Return what ``permitting`` allows here; None outside of it."""
    here = _allowed.get()
    return here[0] if here else None


def both(one: Allow, other: Allow) -> Allow:
    """Return what two limits together allow; sets of permissions cannot be intersected for that."""
    if one is None or other is None:
        return other if one is None else one
    return lambda tool: is_allowed(tool, one) and is_allowed(tool, other)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A call that is being planned."""

    options: Mapping[str, Any]
    asked: Asked
    request: Request | None
    owners: Sequence[str]
    beginnings: Sequence[str]

    @property
    def how(self) -> dict[str, Any]:
        """Arguments for ``select``; the mode *allowed* first ranks as many as may be offered."""
        begins = self.asked.mode == "allowed" and not self.asked.state
        return {"allow": self.asked.view.allow, "depth": PROVIDER_LIMIT if begins else 0}


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
        within: Allow = None,
    ) -> None:
        self._retriever = retriever
        self._mode = mode
        self._allow = fail_closed(allow)
        self._within = fail_closed(within)
        self._max_offered = max_offered
        self._memory = _memory(retriever)

    def prepare(self, form: Form, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments to send instead of a call's; never raises."""
        try:
            draft = self._draft(form, options)
            if draft is not None:
                return self._write(draft, *self._selected(draft))
        except Exception as error:  # noqa: BLE001 - the caller's call goes out all the same
            _warn(error)
        return self._unplanned(form, options)

    async def aprepare(self, form: Form, options: Mapping[str, Any]) -> dict[str, Any]:
        """``prepare`` for event loops."""
        try:
            # In a worker: a predicate is called for all tools, and a conversation may be long.
            draft = await asyncio.to_thread(self._draft, form, options)
            if draft is not None:
                return await asyncio.to_thread(self._write, draft, *await self._aselected(draft))
        except Exception as error:  # noqa: BLE001 - as above
            _warn(error)
        return await asyncio.to_thread(self._unplanned, form, options)

    def _unplanned(self, form: Form, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call that is not planned, without tools that are forbidden.

        If that cannot be told, all may be forbidden, unless everything is allowed.
        """
        may_send = []
        try:
            view = self._view()
            tools = as_items(options.get("tools"))
            may_send = [seen for each in tools if (seen := as_seen(each, form, view)) is not None]
            if [*map(id, may_send)] == [*map(id, tools)]:
                return dict(options)
        except Exception as error:  # noqa: BLE001 - as above
            _warn(error)
            if self._limit() is None:
                return dict(options)
        # A ``tool_choice`` may name what is left out.
        left = _without_tools(options)
        return left | {"tools": may_send} if may_send else left

    def _selected(self, draft: _Draft) -> tuple[Selection | None, bool]:
        """Return what is selected for a call, None without a text; and whether that failed."""
        if draft.request is None:
            return None, False
        try:
            return _as_sent(self._retriever.select(draft.request, **draft.how)), False
        except Exception as error:  # noqa: BLE001 - as above
            return None, _warn(error)

    async def _aselected(self, draft: _Draft) -> tuple[Selection | None, bool]:
        if draft.request is None:
            return None, False
        try:
            selection = await self._retriever.aselect(draft.request, **draft.how)
            return await asyncio.to_thread(_as_sent, selection), False
        except Exception as error:  # noqa: BLE001 - as above
            return None, _warn(error)

    def answered(self, form: Form, options: Mapping[str, Any], reply: Any) -> None:
        """Remember a response by its id, which the next request may name in place of its items."""
        if form is not RESPONSES:
            return
        try:
            reply_id, output = _id_and_output(reply)
            if not isinstance(reply_id, str):
                return
            view = self._view()
            owners = _owners(self._mode, view, earlier_id(options))
            said = beginnings(_items(options.get("input")))
            if state := self._memory.recall(owners, said):
                state = state.carried(search_ids(output))
                self._memory.keep(_owners(self._mode, view, reply_id)[0], said[0], state)
                if given(options.get("conversation")) is not None:
                    self._memory.keep(owners[0], said[0], state)
        except Exception as error:  # noqa: BLE001 - the caller gets its reply all the same
            _warn(error)

    def offered(self, messages: str | Sequence[Any], continued: str | None) -> Offered:
        """Return what a conversation's latest request offered, as far as it is still allowed."""
        view = self._view()
        items = _items(messages)
        said = beginnings(items)
        names: dict[str, str] = {}
        found: tuple[str, ...] = ()
        # Whether it was by Chat Completions or Responses, the messages may not say.
        for mode in dict.fromkeys(_mode_of(self._mode, form) for form in (CHAT, RESPONSES)):
            state = self._memory.recall(_owners(mode, view, continued or ""), said) or State()
            names |= state.callable
            found += state.found
        proxy = self._mode in ("proxy", "search") and DISCOVER in names
        found += found_names(items, "proxy" if proxy else self._mode)
        names |= {name: id_ for name in found if (id_ := view.names.ids.get(name))}
        positions = view.names.snapshot.tools.positions
        callable_now = {
            name: id_ for name, id_ in names.items() if id_ not in positions or view.tool(id_)
        }
        return Offered(callable_now, Finder(self._retriever, view.allow), proxy=proxy)

    def _draft(self, form: Form, options: Mapping[str, Any]) -> _Draft | None:
        """Read a call that is to be planned; None if tools cannot be added to it."""
        if form.items not in options or options.get("functions"):
            return None
        mode = _mode_of(self._mode, form)
        view = self._view()
        tools = [form.given(as_dict(tool)) for tool in as_items(options.get("tools"))]
        items = _items(options[form.items])
        owners, said = _owners(mode, view, earlier_id(options)), beginnings(items)
        state = self._memory.recall(owners, said)
        budget, counter = self._retriever.token_budget, self._retriever.counter
        request = _request(items)
        asked = Asked(
            form,
            mode,
            self._max_offered,
            items,
            request.text if request else "",
            told_apart(tools, view, budget=budget, counter=counter),
            as_choice(options.get("tool_choice")),
            view,
            state if state and state.begun else None,
            partial(pack_alone, budget=budget, form="openai", counter=counter),
        )
        # In *proxy*, the model asks for what is chosen.
        return _Draft(options, asked, None if mode == "proxy" else request, owners, said)

    def _write(self, draft: _Draft, selection: Selection | None, failed: bool) -> dict[str, Any]:
        planned = plan(draft.asked, selection, failed=failed)
        owner, start, latest = draft.owners[0], draft.beginnings[0], draft.beginnings[-1]
        if latest != start:
            # Otherwise nothing was said yet, and all conversations would share the key.
            self._memory.keep(owner, latest, planned.state)
        if given(draft.options.get("conversation")) is not None:
            # The next request holds only what is new, and this id.
            self._memory.keep(owner, start, planned.state.carried())
        return _written(draft, planned)

    def _view(self) -> View:
        return View(names_of(self._retriever), self._limit())

    def _limit(self) -> Allow:
        here = _allowed.get()
        return both(here[0] if here else self._allow, self._within)


def _memory(retriever: ToolRetriever) -> Memory:
    """Return one memory for all clients of a retriever: each request may make its own client."""
    with _remembering.current:
        return _memories.setdefault(retriever, Memory())


def _mode_of(mode: Mode, form: Form) -> Mode:
    """Return the mode in which an API works: Chat Completions have no ``tool_search``."""
    return "proxy" if mode == "search" and form is CHAT else mode


def _items(conversation: Any) -> list[dict[str, Any]]:
    """Return the items of a conversation, messages or ``input``, as JSON."""
    return [plain(item) for item in as_items(conversation)]


def _owners(mode: Mode, view: View, earlier: str) -> list[str]:
    """Return whose states a conversation may have, the latest first; see ``Memory``.

    Args:
        mode: How the conversation is offered tools.
        view: What the user may use.
        earlier: The id of what it continues, at the provider; empty if it continues nothing.
    """
    return [f"{mode}\0{fingerprint}\0{earlier}" for fingerprint in view.fingerprints]


def _as_sent(selection: Selection) -> Selection:
    """Return a selection with its prompt in OpenAI's format.

    Raises:
        BudgetError: If that is not the retriever's, and the budget holds none of the tools.
    """
    return replace(selection, packed=selection.packed_as("openai"))


def _request(items: Sequence[JsonObject]) -> Request | None:
    """Return what to search for; None if nothing was said. The result of a call is no request."""
    # Items without either refer to what the provider has.
    read = [item for item in items if "role" in item or "type" in item]
    if not any(item.get("role") == "user" for item in read):
        read = [item for item in read if item.get("role", "tool") != "tool"]
    try:
        return as_request(read)
    except InputError:
        return None


def earlier_id(options: Mapping[str, Any]) -> str:
    """Return the id of the conversation or response that a request continues, if any."""
    conversation = given(options.get("conversation"))
    if conversation is not None and not isinstance(conversation, str):
        conversation = plain(conversation).get("id")
    return str(conversation or given(options.get("previous_response_id")) or "")


def _id_and_output(reply: Any) -> tuple[Any, Any]:
    """Return a response's id and items, also of a raw one that was read; no id for streams."""
    http = getattr(reply, "http_response", None)
    if http is not None:
        read = plain(http.json()) if http.is_closed else {}
        return read.get("id"), read.get("output", ())
    return getattr(reply, "id", None), getattr(reply, "output", ())


def _written(draft: _Draft, planned: Plan) -> dict[str, Any]:
    """Return the arguments to send, changed only where the plan differs."""
    form, options = draft.asked.form, dict(draft.options)
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
    return {key: each for key, each in options.items() if key not in _ONLY_WITH_TOOLS}


def _with_examples(draft: _Draft, examples: Sequence[Shown]) -> list[Any]:
    places = [place for place, item in enumerate(draft.asked.items) if item.get("role") == "user"]
    items = as_items(draft.options[draft.asked.form.items])
    for each in reversed(examples):
        if each.before < len(places):
            items.insert(places[each.before], {"role": "system", "content": each.text})
    return items


def _warn(error: Exception) -> bool:
    _log.warning(
        "no tools could be selected, so the request goes out with the caller's own: %s: %s",
        type(error).__name__,
        error,
    )
    return True
